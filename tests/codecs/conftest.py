"""The reference implementation of the sealed format, for the tests of this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def make_vectors() -> ModuleType:
    """The script that writes the published vectors."""
    path = Path(__file__).parents[1] / "reference" / "make_vectors.py"
    spec = importlib.util.spec_from_file_location("make_vectors", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reference(make_vectors: ModuleType) -> ModuleType:
    """The sealed format once more, apart from the product."""
    module: ModuleType = make_vectors.reference
    return module
