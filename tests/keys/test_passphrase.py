"""A key-encryption key from a passphrase."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import (
    FileKeyringStore,
    KeyringAdmin,
    KeyWrapper,
    LocalKeyWrapper,
    WrappedKeyProvider,
)
from sealwire.keys.passphrase import PassphraseWrapper
from sealwire.testing import KeyWrapperConformance

Leaks = Callable[..., list[str]]
WORDS: Final = "correct horse battery staple"
KEY: Final = bytes.fromhex("c4d2" * 16)


@pytest.fixture
def passphrase() -> PassphraseWrapper:
    return PassphraseWrapper(lambda: WORDS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A private file with the passphrase."""
    path = tmp_path / "passphrase"
    path.touch(0o600)
    path.write_text(WORDS + "\n")
    return path


class TestPassphraseWrapper(KeyWrapperConformance):
    """The published contract."""

    @pytest.fixture(autouse=True)
    def _cheap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The suite derives some hundred keys: 1 ms each instead of a third of a second."""
        monkeypatch.setattr("sealwire.keys.passphrase.Scrypt", cheap)

    def wrapper(self) -> KeyWrapper:
        return PassphraseWrapper(lambda: WORDS)

    def other(self) -> KeyWrapper:
        return PassphraseWrapper(lambda: "another passphrase", label="other")

    def secrets(self) -> list[bytes]:
        return [WORDS.encode()]


def cheap(salt: bytes, length: int, *, n: int, r: int, p: int) -> Scrypt:
    return Scrypt(salt, length, n=n >> 10, r=r, p=p)


async def test_the_bytes_are_as_documented(passphrase: PassphraseWrapper) -> None:
    """A reader made of the documentation and hashlib's scrypt opens what was wrapped."""
    wrapped = await passphrase.wrap(KEY, "shop")
    assert bytes((1, 17, 8, 1)) == wrapped[:4]
    assert 4 + 16 + 12 + 32 + 16 == len(wrapped)
    derived = hashlib.scrypt(
        WORDS.encode(), salt=wrapped[4:20], n=2**17, r=8, p=1, dklen=32, maxmem=2**28
    )
    label = b"sealwire/passphrase-v1\x00" + wrapped[:4] + b"shop"
    assert KEY == AESGCM(derived).decrypt(wrapped[20:32], wrapped[32:], label)


async def test_a_file_and_a_prompt_are_the_same(passphrase: PassphraseWrapper, file: Path) -> None:
    """Neither the line end of a file nor the way in which letters are composed matters."""
    wrapped = await PassphraseWrapper(file).wrap(KEY, "shop")
    assert KEY == await passphrase.unwrap(wrapped, "shop")
    assert KEY == await PassphraseWrapper(lambda: WORDS.encode() + b"\r\n").unwrap(wrapped, "shop")
    composed = await PassphraseWrapper(lambda: "élégant élégant").wrap(KEY, "shop")
    decomposed = PassphraseWrapper(lambda: "e\u0301le\u0301gant e\u0301le\u0301gant")
    assert KEY == await decomposed.unwrap(composed, "shop")


async def test_a_higher_cost_is_noted_and_read(passphrase: PassphraseWrapper) -> None:
    """The cost can be raised; what was wrapped with another one still opens."""
    wrapped = await PassphraseWrapper(lambda: WORDS, log_n=18).wrap(KEY, "shop")
    assert 18 == wrapped[1]
    assert KEY == await passphrase.unwrap(wrapped, "shop")


@pytest.mark.parametrize("log_n", [-1, 0, 14, 16, 21, 63])
def test_costs_out_of_range_are_refused(log_n: int) -> None:
    """Neither a weak cost nor one that uses up the machine can be configured."""
    with pytest.raises(ConfigurationError, match="log_n must be 17 to 20"):
        PassphraseWrapper(lambda: WORDS, log_n=log_n)


@pytest.mark.parametrize("label", ["", "a\nb", "x" * 101, "a\x00"])
def test_labels_that_do_not_fit_into_a_line_are_refused(label: str) -> None:
    """A label is one short line."""
    with pytest.raises(ConfigurationError, match="1 to 100 printable characters"):
        PassphraseWrapper(lambda: WORDS, label=label)


HEADERS: Final = {
    "version": (0, 2),
    "cost too high": (1, 21),
    "cost absurd": (1, 255),
    "cost low": (1, 10),
    "block size": (2, 255),
    "parallelism": (3, 255),
}


@pytest.mark.parametrize("what", HEADERS)
async def test_a_document_cannot_use_up_the_machine(
    what: str, passphrase: PassphraseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters out of bounds are refused before anything is derived."""
    wrapped = bytearray(await passphrase.wrap(KEY, "shop"))
    place, value = HEADERS[what]
    wrapped[place] = value

    def derive(*_: Any, **__: Any) -> Scrypt:
        raise AssertionError("a key was derived")

    monkeypatch.setattr("sealwire.keys.passphrase.Scrypt", derive)
    with pytest.raises(ConfigurationError, match="was not wrapped by a passphrase"):
        await passphrase.unwrap(bytes(wrapped), "shop")


async def test_a_cost_in_bounds_is_authenticated(passphrase: PassphraseWrapper) -> None:
    """Who changes the cost in a document changes what comes out: nothing."""
    wrapped = bytearray(await passphrase.wrap(KEY, "shop"))
    wrapped[1] = 18
    with pytest.raises(ConfigurationError, match="does not open this keyring"):
        await passphrase.unwrap(bytes(wrapped), "shop")


@pytest.mark.parametrize("text", ["", "short", "elevenchars", "elevenchars\n", "e\u0301" * 11])
async def test_weak_passphrases_are_refused(text: str, leaks: Leaks) -> None:
    """Less than 12 characters are not accepted; the message tells the length and not the text."""
    with pytest.raises(ConfigurationError, match=r"has \d+ characters; it must have 12") as caught:
        await PassphraseWrapper(lambda: text).wrap(KEY, "shop")
    hidden = [KEY, *([text.strip().encode()] if len(text) > 5 else [])]
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), *hidden)


async def test_very_long_passphrases_are_refused() -> None:
    """A file that is no passphrase, such as a key or an image, is not taken for one."""
    with pytest.raises(ConfigurationError, match="has 2000 characters"):
        await PassphraseWrapper(lambda: "x" * 2000).wrap(KEY, "shop")


@pytest.mark.parametrize("given", [b"\xff\xfe" * 10, "lone surrogate \ud800"])
async def test_what_is_no_text_is_refused(given: str | bytes) -> None:
    """A passphrase that cannot be typed again is not accepted."""
    with pytest.raises(ConfigurationError, match="not text in UTF-8"):
        await PassphraseWrapper(lambda: given).wrap(KEY, "shop")


async def test_a_file_must_be_private(file: Path, tmp_path: Path) -> None:
    """A passphrase that others can read is not used; one that is missing may come later."""
    file.chmod(0o640)  # noqa: ASYNC240
    with pytest.raises(ConfigurationError, match="chmod 600"):
        await PassphraseWrapper(file).wrap(KEY, "shop")
    with pytest.raises(KeyProviderUnavailableError, match="absent does not exist"):
        await PassphraseWrapper(tmp_path / "absent").unwrap(b"\x01\x11\x08\x01" + bytes(60), "shop")


async def test_the_name_says_nothing_about_the_passphrase(passphrase: PassphraseWrapper) -> None:
    """It is the label alone: a hash of the passphrase would be quick to guess from."""
    assert "passphrase:default" == await passphrase.name()
    assert await passphrase.name() == await PassphraseWrapper(lambda: "something else").name()
    assert "passphrase:safe" == await PassphraseWrapper(lambda: WORDS, label="safe").name()


async def test_a_prompt_that_fails_shows_no_key(leaks: Leaks) -> None:
    """Whatever a prompt raises, no frame of the wrapper holds the key."""

    def closed() -> str:
        raise EOFError

    with pytest.raises(EOFError) as caught:
        await PassphraseWrapper(closed).wrap(KEY, "shop")
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), KEY)


async def test_too_little_memory_is_worth_another_try(
    passphrase: PassphraseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says how much is needed."""

    def full(*_: Any, **__: Any) -> Scrypt:
        raise MemoryError

    monkeypatch.setattr("sealwire.keys.passphrase.Scrypt", full)
    with pytest.raises(KeyProviderUnavailableError, match="needs 128 MiB"):
        await passphrase.wrap(KEY, "shop")


async def test_it_opens_a_keyring_beside_another_wrapper(
    store: FileKeyringStore,
    admin: KeyringAdmin,
    wrapper: LocalKeyWrapper,
    passphrase: PassphraseWrapper,
) -> None:
    """A passphrase in a safe opens the document when the key file is lost."""
    key = await admin.create()
    await admin.rewrap((wrapper, passphrase))
    found = await WrappedKeyProvider(store, passphrase).snapshot("default")
    assert [key.check_value] == [one.check_value for one in found.keys]
