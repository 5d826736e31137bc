"""What happens where the package of an extra is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A module that is None in `sys.modules` is not found.
WITHOUT = """
import sys
from sealwire.errors import ConfigurationError
import sealwire.keys
extras = {"sqlalchemy", "psycopg", "obstore", "keyring"}
assert not extras & set(sys.modules), "importing sealwire.keys imports an extra"
sys.modules[sys.argv[1]] = None
try:
    exec(sys.argv[2])
except ConfigurationError as err:
    print(err)
"""


def said_without(package: str, program: str) -> str:
    command = [sys.executable, "-c", WITHOUT, package, program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("package", "extra", "program"),
    [
        ("sqlalchemy", "sql", "import sealwire.keys.sql"),
        (
            "psycopg",
            "sql",
            "from sealwire.keys.sql import SqlKeyringStore; SqlKeyringStore('postgresql://h/d')",
        ),
        ("obstore", "storage", "import sealwire.keys.objects"),
        ("keyring", "keyring", "import sealwire.keys.os_keyring"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package: str, extra: str, program: str) -> None:
    """Nothing of it is needed before; then the message has the command that installs it."""
    said = said_without(package, program)
    assert f"'{package}'; fix: pip install 'sealwire[{extra}]'" in said


def test_sqlite_needs_no_driver() -> None:
    """It comes with Python."""
    program = "from sealwire.keys.sql import SqlKeyringStore; SqlKeyringStore('sqlite:///x.db')"
    assert "" == said_without("psycopg", program)
