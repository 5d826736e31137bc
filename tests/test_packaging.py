"""The mapping from folders to packages, what an import costs, and what an install contains."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("cli", "codecs", "converter", "keys", "server", "temporal", "testing")
CORE = ("sealwire", "sealwire.config", "sealwire.converter", "sealwire.codecs", "sealwire.keys")
INSTALLED = os.environ.get("SEALWIRE_TEST_INSTALLED")


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def python(*arguments: str, cwd: Path | None = None, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
    )
    assert 0 == run.returncode, run.stdout[-6000:] + run.stderr[-6000:]
    return run.stdout


def test_every_room_is_a_listed_package() -> None:
    """Each folder with an `__init__.py` is in `packages`, and mapped to its folder."""
    options = pyproject()["tool"]["setuptools"]
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert set(ROOMS) == folders
    assert {"sealwire", *(f"sealwire.{room}" for room in ROOMS)} == set(options["packages"])
    assert {"": "src", **{f"sealwire.{room}": room for room in ROOMS}} == options["package-dir"]


@pytest.mark.parametrize("room", ROOMS)
def test_every_link_points_at_its_room(room: str) -> None:
    """`src/sealwire/<room>` is a relative link to the folder."""
    link = ROOT / "src" / "sealwire" / room
    assert Path("..", "..", room) == link.readlink()
    assert (link / "__init__.py").exists()


def test_every_room_states_its_api() -> None:
    """Each package has an `__all__` whose names exist."""
    program = "import importlib, sys\n" + "\n".join(
        f"m = importlib.import_module({name!r}); [getattr(m, n) for n in m.__all__]"
        for name in ("sealwire", *(f"sealwire.{room}" for room in ROOMS))
    )
    python("-c", program)


def test_the_standard_codecs_module_is_not_shadowed(tmp_path: Path) -> None:
    """`import codecs` gives Python's own module, also with sealwire installed."""
    program = "import codecs, sealwire.codecs; print(codecs.lookup('utf8').name)"
    assert "utf-8\n" == python("-c", program, cwd=tmp_path)


def test_the_command_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m sealwire --version` prints the version."""
    version = python("-c", "import sealwire; print(sealwire.__version__)").strip()
    assert f"sealwire {version}\n" == python("-m", "sealwire", "--version", cwd=tmp_path)


def test_importing_sealwire_imports_no_optional_part(tmp_path: Path) -> None:
    """No web framework, command line, cloud SDK, or client and worker of temporalio is imported."""
    program = "import sys, sealwire; print(*sorted(sys.modules))"
    loaded = set(python("-c", program, cwd=tmp_path).split())
    unwanted = {
        *("temporalio.client", "temporalio.worker", "temporalio.converter"),
        *("starlette", "uvicorn", "typer", "rich", "pydantic", "cryptography", "zstandard"),
        *("lz4", "brotli", "cramjam", "httpx2", "opentelemetry"),
        *("boto3", "google.cloud", "azure", "hvac", "pkcs11", "sqlalchemy", "obstore"),
        *("keyring", "pytest", "hypothesis"),
    }
    assert set() == loaded & unwanted
    # The names of the front door are there before the rooms are loaded.
    assert set() == loaded & {f"sealwire.{room}" for room in ROOMS}


BLOCKER = """
import importlib, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"temporalio", "starlette", "uvicorn", "typer", "rich",
                                      "pydantic", "hypothesis", "pytest", "nexusrpc", "lz4",
                                      "brotli", "cramjam", "httpx2", "opentelemetry",
                                      "boto3", "grpc", "azure", "hvac", "pkcs11",
                                      "sqlalchemy", "obstore", "keyring"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def test_the_core_needs_the_core_dependencies_alone(tmp_path: Path) -> None:
    """Converters, codecs, keys and configuration work where no extra is installed."""
    program = (
        BLOCKER
        + f"""
for name in {CORE!r}:
    importlib.import_module(name)
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.codecs import CodecChain, CompressionCodec, EncryptionCodec
keyring = Keyring(StaticKeyProvider(Key.generate("k")))
import sealwire
chain = CodecChain(CompressionCodec(), EncryptionCodec(keyring, namespace="a"))
converter = sealwire.DataConverter(codec=chain)
print(converter.decode_sync(converter.encode_sync([{{"a": [1, None]}}, b"x", None])))
"""
    )
    assert "[{'a': [1, None]}, b'x', None]\n" == python("-c", program, cwd=tmp_path)


def test_the_command_says_what_to_install(tmp_path: Path) -> None:
    """Without the extra `cli`, the command names the fix and exits with 1."""
    program = BLOCKER + "from sealwire.__main__ import main; sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert 1 == run.returncode
    assert "pip install 'sealwire[cli]'" in run.stderr


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel built from the checkout, and one built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    # A copy, so that nothing from an earlier build can get in.
    made = shutil.ignore_patterns(
        "node_modules", ".venv*", ".git", "build", "dist", "*.egg-info", "__pycache__"
    )
    source = shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=made)
    direct, by_sdist = folder / "direct", folder / "sdist"
    options = ("--no-isolation", "--outdir")
    python("-m", "build", "--wheel", *options, str(direct), str(source))
    python("-m", "build", *options, str(by_sdist), str(source))
    return next(direct.glob("*.whl")), next(by_sdist.glob("*.whl"))


def test_the_sdist_gives_the_same_wheel(distributions: tuple[Path, Path]) -> None:
    """A wheel built by way of the sdist has the same files with the same contents."""
    contents: list[dict[str, bytes]] = []
    for wheel in distributions:
        with zipfile.ZipFile(wheel) as archive:
            contents.append(
                {
                    name: archive.read(name)
                    for name in archive.namelist()
                    if not name.endswith("RECORD")
                }
            )
    assert contents[0] == contents[1]


def test_an_install_adds_one_name(distributions: tuple[Path, Path]) -> None:
    """The wheel has the package `sealwire`, complete, and nothing else at its top."""
    with zipfile.ZipFile(distributions[0]) as archive:
        names = set(archive.namelist())
    assert {"sealwire"} == {
        name.partition("/")[0] for name in names if ".dist-info" not in name.partition("/")[0]
    }
    expected = {
        str(Path("sealwire", path.relative_to(folder.parent if room else folder)))
        for room, folder in [("", ROOT / "src" / "sealwire"), *((r, ROOT / r) for r in ROOMS)]
        for path in (folder.glob("*.py"))
    }
    assert expected == {name for name in names if name.endswith(".py")}
    assert "sealwire/py.typed" in names


# What the wheel must have is checked above; these see that it works, room by room.
SAMPLE = (
    "codecs/test_chain.py",
    "converter/test_typed.py",
    "keys/test_rotation.py",
    "server/test_auth.py",
    "temporal/test_plugin.py",
    "test_payload.py",
)


@pytest.mark.skipif(INSTALLED is not None, reason="this already is the run of the installed wheel")
def test_an_installed_wheel_works_room_by_room(
    distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    """They pass with the wheel, from an empty folder, without the checkout's packages."""
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    install = ("--quiet", "--no-deps", "--no-index", "--target", str(site))
    python("-m", "pip", "install", "--disable-pip-version-check", *install, str(distributions[0]))
    environment = {"PYTHONPATH": str(site), "SEALWIRE_TEST_INSTALLED": str(site)}
    found = python("-c", "import sealwire; print(sealwire.__file__)", cwd=empty, **environment)
    assert found.startswith(str(site))
    suite = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider")
    files = [str(ROOT / "tests" / name) for name in SAMPLE]
    report = python("-m", "pytest", "-q", *suite, *files, cwd=empty, **environment)
    assert " passed" in report
    assert " failed" not in report
