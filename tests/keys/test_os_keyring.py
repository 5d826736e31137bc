"""A key-encryption key in the system's keyring, here one in memory."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Generator
from typing import Any

import keyring
import keyring.backend
import pytest
from keyring.errors import InitError, KeyringLocked, NoKeyringError, PasswordSetError

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import KeyWrapper
from sealwire.keys import os_keyring as module
from sealwire.keys.os_keyring import OsKeyringWrapper
from sealwire.testing import KeyWrapperConformance

Leaks = Callable[..., list[str]]
KEY = bytes.fromhex("a1b2" * 16)
GOOD = base64.b64encode(KEY).decode()


class Memory(keyring.backend.KeyringBackend):
    """A backend that keeps its entries, and fails when told to."""

    priority = 1.0  # pyright: ignore[reportAssignmentType]

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.fault: Exception | None = None
        self.gate: threading.Event | None = None
        self.forgets = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.gate is not None:
            self.gate.wait(30)
        if self.fault is not None:
            raise self.fault
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if not self.forgets:
            self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


@pytest.fixture(autouse=True)
def backend() -> Generator[Memory]:
    """The keyring of the system, empty."""
    before: Any = keyring.get_keyring()
    memory = Memory()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


class TestOsKeyringWrapper(KeyWrapperConformance):
    """An entry of the keyring."""

    @pytest.fixture(autouse=True)
    def _entries(self, backend: Memory) -> None:
        self.backend = backend
        for user in ("one", "other"):
            OsKeyringWrapper("sealwire", user).create()

    def wrapper(self) -> KeyWrapper:
        return OsKeyringWrapper("sealwire", "one")

    def other(self) -> KeyWrapper:
        return OsKeyringWrapper("sealwire", "other")

    def secrets(self) -> list[bytes]:
        return [base64.b64decode(text.split()[1]) for text in self.backend.entries.values()]


def test_a_key_is_created_once(backend: Memory) -> None:
    """Losing it would lose all keys."""
    wrapper = OsKeyringWrapper()
    wrapper.create()
    before = dict(backend.entries)
    assert [("sealwire", "default")] == list(before)
    with pytest.raises(ConfigurationError, match="exists already; it was not changed"):
        wrapper.create()
    assert before == backend.entries


def test_a_keyring_that_forgets_is_noticed(backend: Memory) -> None:
    """Before the first key depends on it."""
    backend.forgets = True
    with pytest.raises(ConfigurationError, match="does not give back what is stored in it"):
        OsKeyringWrapper().create()


async def test_a_missing_entry_may_come_later() -> None:
    """The message names it."""
    wrapper = OsKeyringWrapper("shop", "ada")
    for call in (wrapper.name(), wrapper.wrap(KEY, "t"), wrapper.unwrap(b"", "t")):
        with pytest.raises(KeyProviderUnavailableError, match=r"'shop' of 'ada' .* not exist"):
            await call


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (NoKeyringError(GOOD), ConfigurationError, "use another key wrapper"),
        (KeyringLocked(GOOD), KeyProviderUnavailableError, "is locked: unlock it"),
        (InitError(GOOD), KeyProviderUnavailableError, "fails: InitError"),
        (PasswordSetError(GOOD), KeyProviderUnavailableError, "fails: PasswordSetError"),
        (OSError(GOOD), KeyProviderUnavailableError, "fails: OSError"),
    ],
)
async def test_a_failing_keyring_shows_nothing(
    fault: Exception, error: type[Exception], message: str, backend: Memory, leaks: Leaks
) -> None:
    """Its error is told by its class, and neither it nor the key is in what can be seen."""
    backend.fault = fault
    with pytest.raises(error, match=message) as caught:
        await OsKeyringWrapper().wrap(KEY, "t")
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), KEY)
    with pytest.raises(error, match=message) as caught:
        OsKeyringWrapper().create()
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), KEY)


async def test_a_keyring_that_asks_its_user_is_waited_for_only_so_long(
    backend: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dialog that nobody answers makes the key unavailable."""
    monkeypatch.setattr(module, "_TIMEOUT", 0.05)
    backend.gate = threading.Event()
    with pytest.raises(KeyProviderUnavailableError, match=r"within 0\.05 seconds: unlock it"):
        await OsKeyringWrapper().name()
    backend.gate.set()


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD,
        "sealwire-os-key-v1",
        f"sealwire-os-key-v1 {GOOD[:-4]}",
        f"sealwire-os-key-v1 {GOOD}é",
        f"sealwire-os-key-v1 {GOOD[:-1]}",
        f"sealwire-os-key-v2 {GOOD}",
    ],
)
async def test_another_entry_is_refused(text: str, backend: Memory, leaks: Leaks) -> None:
    """A password of something else is not a key, and is not shown."""
    backend.entries["sealwire", "default"] = text
    with pytest.raises(ConfigurationError, match="is not a key of sealwire") as caught:
        await OsKeyringWrapper().name()
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), KEY)


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00", "x" * 201])
def test_an_entry_has_a_plain_name(name: str) -> None:
    """For the service and for the user."""
    with pytest.raises(ConfigurationError, match="1 to 200 printable characters"):
        OsKeyringWrapper(name)
    with pytest.raises(ConfigurationError, match="1 to 200 printable characters"):
        OsKeyringWrapper("sealwire", name)
