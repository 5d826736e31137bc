"""The reference implementation of the sealed format, for the tests of this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def make_vectors() -> ModuleType:
    """The script that writes the published vectors of the sealed format."""
    return script("make_vectors")


@pytest.fixture(scope="session")
def make_enveloped_vectors() -> ModuleType:
    """The script that writes the published vectors of the enveloped format."""
    return script("make_enveloped_vectors")


@pytest.fixture(scope="session")
def reference(make_vectors: ModuleType) -> ModuleType:
    """The sealed format once more, apart from the product."""
    module: ModuleType = make_vectors.reference
    return module


def script(name: str) -> ModuleType:
    """Load a script of `tests/reference`."""
    path = Path(__file__).parents[1] / "reference" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
