from __future__ import annotations

import enum
import hashlib
import hmac
import traceback
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.codecs import EncryptionCodec
from sealwire.errors import (
    ConfigurationError,
    ConversionError,
    DecryptError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
)
from sealwire.keys import (
    BlindIndex,
    FileKeyringStore,
    Key,
    KeyLifecycle,
    Keyring,
    KeyringAdmin,
    KeyState,
    KeySuite,
    LocalKeyWrapper,
    StaticKeyProvider,
    WrappedKeyProvider,
)
from sealwire.payload import Payload
from sealwire.testing.clock import FakeClock

ROOT = bytes.fromhex("9f8e7d6c5b4a3928" * 4)
DAY = 86_400.0


class Plan(enum.Enum):
    GOLD = "gold"


class Level(enum.IntEnum):
    HIGH = 3


def index_of(*keys: Key, fold: str = "") -> BlindIndex:
    keyring = Keyring(StaticKeyProvider(*keys))
    keyring.ready_sync()
    return BlindIndex(keyring, frozenset({fold} if fold else ()))


INDEX = index_of(Key("index-1", ROOT, suite=KeySuite.INDEX))
FOLDED = index_of(Key("index-1", ROOT, suite=KeySuite.INDEX), fold="Customer")


def expand(key: bytes, info: bytes) -> bytes:
    """HKDF-Expand (RFC 5869) with SHA-512, for one block."""
    return hmac.digest(key, info + b"\x01", "sha512")[:32]


def by_hand(attribute: str, message: bytes) -> str:
    """A token, computed from the documentation with nothing but the standard library."""
    index_key = expand(ROOT, b"sealwire/sealed-v1\x00index-key\x00index-1")
    attribute_key = expand(index_key, b"sealwire/blind-index-v1\x00" + attribute.encode())
    return hmac.new(attribute_key, message, hashlib.sha256).hexdigest()[:32]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ada", b"sada"),
        ("", b"s"),
        ("Zoe\u0308", b"sZo\xc3\xab"),
        (0, b"i0"),
        (-(2**70), b"i-1180591620717411303424"),
        (True, b"b1"),
        (False, b"b0"),
        (b"\x00ada", b"y\x00ada"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), b"t1767323045000006"),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), b"t-1"),
        (Plan.GOLD, b"sgold"),
        (Level.HIGH, b"i3"),
    ],
    ids=range(12),
)
def test_a_token_is_what_the_documentation_says(value: Any, message: bytes) -> None:
    """Each type has its tag and its text, under a key for the attribute."""
    assert by_hand("Customer", message) == INDEX.token("Customer", value)


def test_tokens_never_change() -> None:
    """What one release stored, every later one finds."""
    assert [
        "a88708c6b89fe62cca873b3371506e08",
        "838fe460bfb7138e85188217c3bc65a8",
        "9b787058787d8c8c1f2d26939f56a6c3",
    ] == [INDEX.token("Customer", "ada"), INDEX.token("Order", 7), FOLDED.token("Customer", "Ada")]


def test_a_moment_has_one_token_in_every_time_zone() -> None:
    """The same moment, written in two zones, is the same value."""
    moment = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    there = moment.astimezone(timezone(timedelta(hours=-7)))
    assert INDEX.token("At", moment) == INDEX.token("At", there)


@given(st.lists(st.one_of(st.text(), st.integers(), st.booleans(), st.binary()), min_size=2))
def test_different_values_have_different_tokens(values: list[Any]) -> None:
    """Type and value decide: 1, True, "1" and b"1" are four values."""
    distinct = {
        (type(value).__name__, unicodedata.normalize("NFC", value) if type(value) is str else value)
        for value in values
    }
    assert len(distinct) == len({INDEX.token("Customer", value) for value in values})


@given(st.text())
def test_the_form_of_a_text_does_not_matter(text: str) -> None:
    """Composed and decomposed characters are the same text."""
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
    assert 1 == len({INDEX.token("Customer", form) for form in forms})


@given(st.text())
def test_case_is_folded_on_request(text: str) -> None:
    """Texts whose canonical caseless forms are equal share a token, in that attribute alone."""
    folded = unicodedata.normalize("NFD", text).casefold()
    assert FOLDED.token("Customer", text) == FOLDED.token("Customer", folded)
    assert FOLDED.token("Customer", text) != INDEX.token("Customer", text)
    assert FOLDED.token("Order", text) == INDEX.token("Order", text)


@pytest.mark.parametrize(
    ("one", "other"), [("ADA", "ada"), ("Straße", "STRASSE"), ("ΣΊΣΥΦΟΣ", "σίσυφος")]
)
def test_capitals_are_small_letters(one: str, other: str) -> None:
    """Unicode's full folding applies, not only that of ASCII; without it, case tells apart."""
    assert FOLDED.token("Customer", one) == FOLDED.token("Customer", other)
    assert INDEX.token("Customer", one) != INDEX.token("Customer", other)


def test_equal_values_in_two_attributes_do_not_match() -> None:
    """Nobody can join two attributes by their tokens."""
    assert INDEX.token("Payer", "ada") != INDEX.token("Payee", "ada")


def test_two_keys_give_two_tokens() -> None:
    """Another root, or the same one under another id, gives other tokens."""
    others = [Key("index-2", ROOT, suite=KeySuite.INDEX), Key.generate("i", suite=KeySuite.INDEX)]
    tokens = {index_of(key).token("Customer", "ada") for key in others}
    assert 3 == len(tokens | {INDEX.token("Customer", "ada")})


@pytest.mark.parametrize(
    "value",
    [1.5, None, ["SECRET"], {"SECRET": 1}, datetime(2026, 1, 1), "SECRET\ud800", 2**8192],  # noqa: DTZ001
    ids=range(7),
)
def test_what_has_no_canonical_text_is_refused(value: Any) -> None:
    """The error names the type and never the value, and its traceback has no cause with it."""
    with pytest.raises(ConversionError, match="cannot be made a token") as caught:
        INDEX.token("Customer", value)
    shown = "".join(traceback.format_exception(caught.value))
    assert "SECRET" not in shown.replace("SECRET\\", "")


@pytest.mark.parametrize("name", ["", "a b", "a'b", "1a", "a" * 101, "Ä", "a\n"])
def test_a_name_that_would_change_a_query_is_refused(name: str) -> None:
    """An attribute's name goes into a query as it is, so it has no quotes and no spaces."""
    with pytest.raises(ConversionError, match="name of a search attribute"):
        INDEX.query(name, "ada")


def test_a_query_looks_for_all_tokens() -> None:
    """A value stored under an older key is found, too; the newest key comes first."""
    old, new = (Key(name, ROOT, suite=KeySuite.INDEX) for name in ("index-1", "index-2"))
    both = index_of(old, Key.generate("sealed"), new)
    first, second = both.tokens("Customer", "ada")
    assert (both.token("Customer", "ada"), INDEX.token("Customer", "ada")) == (first, second)
    assert f"Customer IN ('{first}', '{second}')" == both.query("Customer", "ada")


def test_no_key_of_another_suite_makes_tokens() -> None:
    """A keyring for payloads alone has no tokens, and says so."""
    index = index_of(Key("sealed", ROOT), Key("interop", ROOT, suite=KeySuite.INTEROP))
    for ask in (index.token, index.query):
        with pytest.raises(KeyNotFoundError, match="no active blind-index key"):
            ask("Customer", "ada")
    assert [] == index.tokens("Customer", "ada")


def test_keys_must_be_loaded() -> None:
    """Tokens are made without I/O, so the keys come before."""
    index = BlindIndex(Keyring(StaticKeyProvider(Key.generate("i", suite=KeySuite.INDEX))))
    with pytest.raises(KeyProviderUnavailableError, match="not loaded"):
        index.token("Customer", "ada")


def test_an_index_key_opens_no_payload() -> None:
    """It neither encrypts nor decrypts, even for a payload that names it."""
    sealed = EncryptionCodec(Keyring(StaticKeyProvider(Key("k", ROOT))), "default")
    codec = EncryptionCodec(
        Keyring(StaticKeyProvider(Key("k", ROOT, suite=KeySuite.INDEX))), "default"
    )
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    with pytest.raises(KeyNotFoundError, match="no active sealed-v1 key"):
        codec.encode_sync([plain])
    with pytest.raises(DecryptError):
        codec.decode_sync(sealed.encode_sync([plain]))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def made(folder: Any, clock: FakeClock) -> KeyringAdmin:
    wrapper = LocalKeyWrapper(folder / "keyring.key")
    wrapper.create()
    admin = KeyringAdmin(FileKeyringStore(folder / "keyring.json"), wrapper, clock=clock)
    await admin.create()
    return admin


async def test_an_index_key_is_made_and_rotated_apart(tmp_path: Any, clock: FakeClock) -> None:
    """The first works at once, the next after its delay; the sealing key stays what it was."""
    admin = await made(tmp_path, clock)
    keyring = Keyring(WrappedKeyProvider(admin.store, admin.wrapper), clock=clock)
    sealing = (await admin.keys()).keys[0].id

    first = (await admin.rotate(suite=KeySuite.INDEX)).key
    await keyring.ready()
    index = BlindIndex(keyring)
    before = index.token("Customer", "ada")
    clock.advance(100 * DAY)
    assert not (await admin.rotate(suite=KeySuite.INDEX, if_older_than=365 * DAY)).rotated
    second = (await admin.rotate(suite=KeySuite.INDEX)).key
    await keyring.refresh()

    # Pending here, the new key may be active in a process whose clock is ahead.
    assert before == index.token("Customer", "ada")
    assert [before] == index.tokens("Customer", "ada")[1:]
    clock.advance(2 * 3600)
    await keyring.refresh()
    assert [index.token("Customer", "ada"), before] == index.tokens("Customer", "ada")
    found = await admin.keys()
    states = {key.id: found.state(key, clock()) for key in found.keys}
    assert {
        sealing: KeyState.ACTIVE,
        first.id: KeyState.DECRYPT_ONLY,
        second.id: KeyState.ACTIVE,
    } == states


async def test_a_withdrawn_index_key_is_not_looked_for(tmp_path: Any, clock: FakeClock) -> None:
    """Once the values are written anew, the old key goes, and queries get shorter."""
    admin = await made(tmp_path, clock)
    first = (await admin.rotate(suite=KeySuite.INDEX)).key
    await admin.rotate(suite=KeySuite.INDEX, delay=0.0)
    keyring = Keyring(WrappedKeyProvider(admin.store, admin.wrapper), clock=clock)
    await keyring.ready()
    assert 2 == len(BlindIndex(keyring).tokens("Customer", "ada"))
    clock.advance(DAY)
    await KeyLifecycle(admin).disable(first.id)
    await keyring.refresh()
    index = BlindIndex(keyring)
    assert [index.token("Customer", "ada")] == index.tokens("Customer", "ada")


async def test_the_active_index_key_is_not_withdrawn_by_accident(
    tmp_path: Any, clock: FakeClock
) -> None:
    """It takes the word; and it does not count as a key that decrypts."""
    admin = await made(tmp_path, clock)
    key = (await admin.rotate(suite=KeySuite.INDEX)).key
    lifecycle = KeyLifecycle(admin)
    with pytest.raises(ConfigurationError, match="makes the tokens of search attributes"):
        await lifecycle.disable(key.id)
    with pytest.raises(ConfigurationError, match="is the last that decrypts"):
        await lifecycle.disable((await admin.keys()).keys[0].id)
    await lifecycle.disable(key.id, even_if_in_use=True)


async def test_interop_keys_are_not_made(tmp_path: Any, clock: FakeClock) -> None:
    """They are what other programs have."""
    admin = await made(tmp_path, clock)
    with pytest.raises(ConfigurationError, match="import them"):
        await admin.rotate(suite=KeySuite.INTEROP)
