"""Real parts that several rooms' tests share, and what happens where one is missing."""

from __future__ import annotations

import base64
import hmac
import importlib.util
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from sealwire.testing.devserver import DevServer

TESTS: Final = Path(__file__).parent
# As GitHub, GitLab and most others set it.
IN_CI: Final = os.environ.get("CI", "").lower() not in ("", "0", "false")


@dataclass(frozen=True)
class Part:
    """Something real that tests use and that Python's packages do not bring.

    Args:
        find: Returns where it is, or None.
        tests: What is not tested without it.
        get: What to do to have it.
    """

    find: Callable[[], Path | None]
    tests: str
    get: str


def find_node() -> Path | None:
    """The `node` command, where the packages of `tests/node` are installed too."""
    command = shutil.which("node")
    installed = (TESTS / "node" / "node_modules" / ".package-lock.json").exists()
    return Path(command).absolute() if command and installed else None


def find_atheris() -> Path | None:
    """The fuzzer, for which there are wheels on some platforms only."""
    spec = importlib.util.find_spec("atheris")
    return None if spec is None or spec.origin is None else Path(spec.origin)


def find_azurite() -> Path | None:
    """The program of Azurite, which Node.js runs.

    `tests/node/package.json` leaves out what it brings for its telemetry and for databases.
    """
    program = TESTS / "node/node_modules/azurite/dist/src/blob/main.js"
    return program if find_node() and program.exists() else None


def find_chromium() -> Path | None:
    """A browser of Chromium's family."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((Path(found) for found in map(shutil.which, names) if found), None)


def find_postgresql() -> Path | None:
    """The folder with `initdb` and `postgres`, which Debian does not put into PATH."""
    command = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = Path(command).resolve() if command else next(reversed(installed), None)
    return found.parent if found and (found.parent / "postgres").exists() else None


def find_softhsm() -> Path | None:
    """The library of SoftHSM, where its command is installed too."""
    folders = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib")
    libraries = (Path(folder, "softhsm", "libsofthsm2.so") for folder in folders)
    found = next((library for library in libraries if library.exists()), None)
    return found if shutil.which("softhsm2-util") else None


PARTS: Final = {
    "atheris": Part(
        find=find_atheris,
        tests="what is decoded, against the inputs that the fuzzer found and a few thousand more",
        get="run them on Linux with an x86-64 processor and a Python that atheris has a wheel for",
    ),
    "azurite": Part(
        find=find_azurite,
        tests="keyrings and large payloads in Azure Blob Storage",
        get="install Node.js 20.3 or later with npm, then run `make test`",
    ),
    "chromium": Part(
        find=find_chromium,
        tests="the codec server with Temporal's Web UI in a browser",
        get="install Chromium (on Debian the package `chromium`)",
    ),
    "node": Part(
        find=find_node,
        tests="payloads and workflows beside Temporal's TypeScript SDK, the vectors in JavaScript",
        get="install Node.js 20.3 or later with npm, then run `make test`",
    ),
    "postgresql": Part(
        find=find_postgresql,
        tests="keyrings in a PostgreSQL server",
        get="install PostgreSQL (on Debian the package `postgresql`)",
    ),
    "softhsm": Part(
        find=find_softhsm,
        tests="a key-encryption key in a PKCS#11 token",
        get="install SoftHSM 2 (on Debian the package `softhsm2`)",
    ),
}


def pytest_configure() -> None:
    """Gives the processes that share the tests one hash seed: names of tests show sets."""
    os.environ.setdefault("PYTHONHASHSEED", str(random.randrange(2**32)))  # noqa: S311


@pytest.fixture(scope="session")
def require_part() -> Callable[[str], Path]:
    """Returns where the named part is; without it, fails in CI and skips elsewhere."""

    def require(name: str) -> Path:
        found = PARTS[name].find()
        if found is not None:
            return found
        if IN_CI:
            pytest.fail(f"{missing(name)}; to have it: {PARTS[name].get}", pytrace=False)
        pytest.skip(missing(name))

    return require


def missing(name: str) -> str:
    return f"the part `{name}` is missing"


@pytest.hookimpl(wrapper=True, tryfirst=True)  # the last words of the report
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Says which tests did not run for want of a part, and how to get it."""
    yield
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    counts = {name: sum(missing(name) in reason for reason in reasons) for name in PARTS}
    if not any(counts.values()):
        return
    terminalreporter.section("NOT RUN", red=True, bold=True)
    for name, count in counts.items():
        if count:
            tests, them = ("test", "it") if count == 1 else ("tests", "them")
            terminalreporter.line(f"{count} {tests} without `{name}`: {PARTS[name].tests}")
            terminalreporter.line(f"    to run {them}: {PARTS[name].get}")


# One request at a time, so that moto compares and writes in one step, as S3 does.
MOTO: Final = """
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app))
print(server.port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="session")
def moto() -> Generator[str]:
    """The address of moto's server."""
    with subprocess.Popen(
        [sys.executable, "-c", MOTO],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where it tells of each request
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


@dataclass(frozen=True)
class AzureAccount:
    """A storage account.

    Args:
        address: Of the account.
        key: Of the account, in base64.
    """

    address: str
    key: str
    name: str = "orders"

    @property
    def environment(self) -> dict[str, str]:
        """What a worker would get from its platform."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.name,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
        }

    def create(self, container: str) -> None:
        """Make a container, with the signature that Azure calls Shared Key."""
        request = Request(f"{self.address}/{container}?restype=container", method="PUT")  # noqa: S310
        date = formatdate(usegmt=True)
        headers = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
        signed = "".join(f"{name}:{value}\n" for name, value in headers.items())
        resource = f"/{self.name}{urlsplit(request.full_url).path}"
        newlines = "\n" * 12  # between them, eleven headers that are empty here
        text = f"PUT{newlines}{signed}{resource}\nrestype:container".encode()
        signature = hmac.digest(base64.b64decode(self.key), text, "sha256")
        authorization = f"SharedKey {self.name}:{base64.b64encode(signature).decode()}"
        for name, value in {**headers, "Authorization": authorization}.items():
            request.add_header(name, value)
        urlopen(request, timeout=10).close()  # noqa: S310 - on this machine


@pytest.fixture(scope="session")
def azurite(
    require_part: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Generator[AzureAccount]:
    """An account at Azurite, Microsoft's emulator of Azure Storage."""
    key = base64.b64encode(os.urandom(64)).decode()
    program = [require_part("node"), require_part("azurite")]
    with subprocess.Popen(
        [*program, "--blobPort=0", "--inMemoryPersistence", "--silent", "--disableTelemetry"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("azurite"),
        env={**os.environ, "AZURITE_ACCOUNTS": f"{AzureAccount.name}:{key}"},
    ) as server:
        try:
            assert server.stdout is not None
            listens = next(line for line in server.stdout if "successfully listens on" in line)
            yield AzureAccount(f"{listens.split()[-1]}/{AzureAccount.name}", key)
        finally:
            server.terminate()


@pytest.fixture
def azure_endpoint(azurite: AzureAccount) -> str:
    """The address of the account."""
    return azurite.address


@pytest.fixture
def azure_container(azurite: AzureAccount, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new container; the environment has what signs in to it."""
    for variable, value in azurite.environment.items():
        monkeypatch.setenv(variable, value)
    name = f"sealwire-{os.urandom(6).hex()}"
    azurite.create(name)
    return name


@pytest.fixture(scope="session")
def google_storage() -> Generator[str]:
    """The address of Google Cloud Storage, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, str(TESTS / "google_storage.py")], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


@pytest.fixture
def google_bucket(google_storage: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new bucket; the environment has what signs in to it, as on a machine there."""
    monkeypatch.setenv("GCE_METADATA_HOST", urlsplit(google_storage).netloc)
    name = f"sealwire-{os.urandom(6).hex()}"
    owner = {"Authorization": "Bearer token-of-the-owner"}
    request = Request(f"{google_storage}/{name}", method="PUT", headers=owner)  # noqa: S310
    urlopen(request, timeout=10).close()  # noqa: S310 - on this machine
    return name


# A workflow is deleted once these have written down how far they are, every 30 seconds or so.
PROMPTLY: Final = [
    option
    for kind in ("timer", "transfer", "visibility")
    for option in ("--dynamic-config-value", f'history.{kind}ProcessorUpdateAckInterval="1s"')
]


@pytest.fixture(scope="session")
def temporal_server() -> Generator[str]:
    """The address of a real server with the namespaces `default` and `other`."""
    with DevServer(("default", "other"), options=PROMPTLY) as server:
        yield server.address
