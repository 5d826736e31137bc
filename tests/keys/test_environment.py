"""`EnvironmentKeyProvider`: keys in a variable, and nothing of them anywhere else."""

from __future__ import annotations

import base64
import secrets
import traceback

import pytest

from sealwire.codecs import EncryptionCodec
from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import EnvironmentKeyProvider, KeyProvider, Keyring, KeySuite
from sealwire.payload import Payload
from sealwire.testing import KeyProviderConformance

PLAIN = Payload(data=b"plain")


def text_of(material: bytes) -> str:
    return base64.b64encode(material).decode()


def new() -> str:
    return text_of(secrets.token_bytes(32))


class TestConformance(KeyProviderConformance):
    """It keeps the contract of a provider."""

    @pytest.fixture(autouse=True)
    def _variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEALWIRE_KEYS", f"a {new()}, b {new()}")

    def provider(self) -> KeyProvider:
        return EnvironmentKeyProvider()


@pytest.mark.parametrize("separator", [",", ", ", "\n", "\n\n  ", ",\n", " ,\t"])
async def test_keys_are_read_in_order(monkeypatch: pytest.MonkeyPatch, separator: str) -> None:
    """Commas and line breaks separate; the last key of its suite encrypts."""
    shared = "test-key-id " + text_of(b"test-key-test-key-test-key-test!") + " interop"
    search = f"search {new()} blind-index"
    entries = [f"2026/08:a=b {new()}", f"2026-11 {new()}", shared, search]
    monkeypatch.setenv("KEYS", separator + separator.join(entries) + separator)

    keys = (await EnvironmentKeyProvider("KEYS").snapshot("any")).keys

    assert ["2026/08:a=b", "2026-11", "test-key-id", "search"] == [key.id for key in keys]
    suites = [KeySuite.SEALED, KeySuite.SEALED, KeySuite.INTEROP, KeySuite.INDEX]
    assert suites == [key.suite for key in keys]
    codec = EncryptionCodec(Keyring(EnvironmentKeyProvider("KEYS")), "default")
    [outer] = await codec.encode([PLAIN])
    assert b"2026-11" == outer.metadata.get("encryption-key-id")


async def test_a_program_may_rotate_by_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refresh the new key encrypts, and the old one still decrypts."""
    first = f"one {new()}"
    monkeypatch.setenv("SEALWIRE_KEYS", first)
    keyring = Keyring(EnvironmentKeyProvider())
    codec = EncryptionCodec(keyring, "default")
    before = await codec.encode([PLAIN])

    monkeypatch.setenv("SEALWIRE_KEYS", f"{first}, two {new()}")
    await keyring.refresh()

    [after] = await codec.encode([PLAIN])
    assert b"two" == after.metadata.get("encryption-key-id")
    assert [PLAIN, PLAIN] == await codec.decode([*before, after])


@pytest.mark.parametrize("value", [None, "", " \n "])
async def test_without_the_variable_there_are_no_keys(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """The error names the variable and what belongs in it."""
    monkeypatch.delenv("SEALWIRE_KEYS", raising=False)
    if value is not None:
        monkeypatch.setenv("SEALWIRE_KEYS", value)
    with pytest.raises(KeyProviderUnavailableError, match="SEALWIRE_KEYS is not set; it holds"):
        await EnvironmentKeyProvider().snapshot("default")


SECRET = text_of(b"a secret of thirty-two bytes ...")
SHORT = text_of(b"\x00\xff only sixteen")[:24]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (SECRET, "entry 1: expected an id"),
        (f"a {new()}, {SECRET}", "entry 2: expected an id"),
        (f"a {SECRET} sealed", "entry 1: expected an id"),
        (f"a {SECRET} interop more", "entry 1: expected an id"),
        (f"a !{SECRET}", "entry 1: the key is not valid base64"),
        (f"a {SECRET}", "entry 1: key 'a' is text"),
        (f"a {SHORT}", "entry 1: key 'a' has"),
        (f"no/../id! {SECRET}", "entry 1: a key id is 1 to 200 characters"),
        (f"a {new()}, a {new()}", "two keys with the same id"),
    ],
    ids=range(9),
)
async def test_a_faulty_variable_is_explained_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    """The message names the entry; neither it nor a traceback with variables has key material."""
    monkeypatch.setenv("SEALWIRE_KEYS", value)

    with pytest.raises(ConfigurationError) as caught:
        await EnvironmentKeyProvider().snapshot("default")

    assert problem in str(caught.value)
    error = caught.value
    assert error.__traceback__ is not None
    inner = error.__traceback__.tb_next  # without this test, which knows the value
    shown = traceback.TracebackException(type(error), error, inner, capture_locals=True)
    text = "".join(shown.format())
    assert "EnvironmentKeyProvider" in text
    for word in value.replace(",", " ").split():
        assert len(word) < 20 or word not in text
