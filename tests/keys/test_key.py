from __future__ import annotations

import base64
import copy
import dataclasses
import hmac
import io
import logging
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.errors import ConfigurationError
from sealwire.keys import Key, Keyring, KeySet, KeySuite, StaticKeyProvider
from sealwire.keys.key import CHECK_VALUE_SIZE, KEY_ID, ROOT_SIZE, derive

ROOT = bytes.fromhex("9f8e7d6c5b4a3928" * 4)
Leaks = Callable[..., list[str]]
Seen = Callable[[str | BaseException], str]
IDS = st.from_regex(KEY_ID, fullmatch=True)


def secrets_of(key: Key, root: bytes) -> list[bytes]:
    """The root, and everything derived from it that must stay inside."""
    return [secret for secret in (root, key.content_key, key.index_key) if secret]


def test_the_search_for_leaks_finds_them(leaks: Leaks) -> None:
    """The search that the tests below rely on sees bytes in every usual spelling."""
    for written in (
        repr(ROOT),
        ROOT.hex().upper(),
        ROOT.hex(":"),
        base64.b64encode(ROOT).decode(),
        base64.urlsafe_b64encode(ROOT).decode(),
        str(list(ROOT)),
        str(int.from_bytes(ROOT)),
    ):
        assert leaks(f"… {written} …", ROOT)
    assert not leaks("nothing to see", ROOT)


# Material and ids


@pytest.mark.parametrize("suite", [KeySuite.SEALED, KeySuite.INDEX])
@pytest.mark.parametrize("size", [*range(32), 33, 64])
def test_a_root_has_32_bytes(size: int, suite: KeySuite) -> None:
    """Any other size is refused, and named."""
    with pytest.raises(ConfigurationError, match=f"has {size} bytes; a {suite} key has 32"):
        Key("k", b"\xff" * size, suite=suite)


@pytest.mark.parametrize("size", [0, 1, 15, 17, 23, 25, 31, 33, 64])
def test_an_interop_key_has_an_aes_size(size: int) -> None:
    """Anything but 16, 24 and 32 bytes is refused."""
    with pytest.raises(ConfigurationError, match=f"has {size} bytes; an interop key has 16, 24 or"):
        Key("k", b"\xff" * size, suite=KeySuite.INTEROP)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_an_interop_key_may_be_text(size: int) -> None:
    """Other SDKs' samples use text as AES keys, so an interop key takes it and has a cipher."""
    key = Key("k", b"a" * size, suite=KeySuite.INTEROP)
    assert key.aead is not None
    assert b"" == key.content_key


@pytest.mark.parametrize("suite", [KeySuite.SEALED, KeySuite.INDEX])
@pytest.mark.parametrize(
    "text",
    [
        b"test-key-test-key-test-key-test!",
        b"0123456789abcdef0123456789abcdef",
        b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NT0=",
        b" " * 32,
        b"a\tb\nc\rd\x0be\x0cf" + b"." * 21,
    ],
)
def test_text_is_no_root(text: bytes, suite: KeySuite) -> None:
    """Printable ASCII of the right length is refused."""
    with pytest.raises(ConfigurationError, match="is text"):
        Key("k", text, suite=suite)


def test_a_string_is_not_a_sealed_key() -> None:
    """A string of the right length is refused as text, not with a TypeError from deep below."""
    text: Any = "é" * 32
    with pytest.raises(ConfigurationError, match="is text"):
        Key("k", text)


@pytest.mark.parametrize("pattern", [b"\x00", b"\xff", b"\x01\x02", b"\x80\x81\x82\x83"])
def test_a_pattern_is_not_a_sealed_key(pattern: bytes) -> None:
    """Bytes that no random source gives, such as all zeros, are refused."""
    with pytest.raises(ConfigurationError, match="repeats few bytes"):
        Key("k", (pattern * 32)[:32])


def test_eight_distinct_bytes_are_enough() -> None:
    """Seven are refused, which random bytes practically never are."""
    assert Key("k", bytes(range(200, 208)) * 4).content_key
    with pytest.raises(ConfigurationError, match="repeats few bytes"):
        Key("k", (bytes(range(200, 207)) * 5)[:32])


def test_one_byte_beyond_ascii_is_not_text() -> None:
    """Only material that is text all through is refused."""
    assert Key("k", b"abcdefgh" * 3 + b"abcdefg\x80").content_key


@pytest.mark.parametrize("name", ["created", "encrypt_from", "destroyed_at"])
@pytest.mark.parametrize("moment", [1e300, -1e300, 2.0**54, float("inf"), float("nan")])
def test_a_time_that_no_calendar_has_is_refused(name: str, moment: float) -> None:
    """What cannot be shown as a date is refused at once, and not when an error is to show it."""
    with pytest.raises(ConfigurationError, match="times are seconds since 1970"):
        Key("k", ROOT, **{name: moment})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["created", "encrypt_from", "destroyed_at"])
@pytest.mark.parametrize("sign", [1, -1])
def test_times_go_as_far_as_every_second_has_a_float(name: str, sign: int) -> None:
    """2**53 seconds is the last, in both directions."""
    last = sign * 2.0**53

    assert last == getattr(Key("k", ROOT, **{name: last}), name)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="times are seconds since 1970"):
        Key("k", ROOT, **{name: last + 2 * sign})  # type: ignore[arg-type]


def test_options_of_a_key_are_named() -> None:
    """Numbers in a row would be mixed up; id and material may be named too."""
    assert "k" == Key(id="k", material=ROOT).id
    with pytest.raises(TypeError, match="positional"):
        Key("k", ROOT, KeySuite.SEALED, 0.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_key_is_active_from_the_beginning_unless_told_otherwise() -> None:
    """The defaults are those of a key for tests and containers."""
    key = Key("k", ROOT)

    assert (0.0, 0.0) == (key.created, key.encrypt_from)
    assert (False, None) == (key.disabled, key.destroyed_at)
    assert KeySuite.SEALED is key.suite


def test_a_key_without_material_is_one_that_was_destroyed() -> None:
    """Only a tombstone has no material, and it has neither a derived key nor a check value."""
    with pytest.raises(ConfigurationError, match="'k' has no material") as caught:
        Key("k", None)
    assert "k" == caught.value.key_id
    tombstone = Key("k", None, destroyed_at=1.0)
    assert (b"", None, b"", False) == (
        tombstone.content_key,
        tombstone.aead,
        tombstone.check_value,
        tombstone.readable,
    )


@given(IDS)
def test_ids_of_the_right_form_are_accepted(key_id: str) -> None:
    """Whatever the pattern allows becomes the id as it is."""
    assert key_id == Key(key_id, ROOT).id


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        ".a",
        "-a",
        "_a",
        "/a",
        "a b",
        "a\n",
        "\na",
        "a\x00",
        "schlüssel",
        "a%2f",
        "a" * 201,
        "a?b",
    ],
)
def test_other_ids_are_refused(key_id: str) -> None:
    """An id is not repeated in the message, because it may be anything."""
    with pytest.raises(ConfigurationError, match=r"^a key id is 1 to 200 characters") as caught:
        Key(key_id, ROOT)
    assert caught.value.key_id is None


def test_the_longest_id_has_200_characters() -> None:
    """200 is the last accepted length."""
    assert 200 == len(Key("a" * 200, ROOT).id)


# Derivation


def hkdf_expand(root: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869, 2.3, with SHA-512 and nothing but the standard library."""
    blocks = b""
    block = b""
    counter = 0
    while len(blocks) < size:
        counter += 1
        block = hmac.digest(root, block + info + bytes([counter]), "sha512")
        blocks += block
    return blocks[:size]


@given(st.binary(min_size=32, max_size=32).filter(lambda root: max(root) > 127), IDS)
def test_derivation_is_hkdf_with_the_documented_labels(root: bytes, key_id: str) -> None:
    """The content key and the check value are what RFC 5869 gives for the documented labels."""
    key = Key(key_id, root)
    label = b"sealwire/sealed-v1\x00"
    assert key.content_key == hkdf_expand(
        root, label + b"content-key\x00" + key_id.encode("ascii"), 32
    )
    assert key.check_value == hkdf_expand(root, label + b"kcv\x00" + key_id.encode("ascii"), 8)


@given(st.integers(1, 200), st.sampled_from(["content-key", "kcv", "other"]))
def test_derivation_of_any_size(size: int, purpose: str) -> None:
    """More than one block of the hash is derived right as well."""
    info = b"sealwire/sealed-v1\x00" + purpose.encode() + b"\x00k"
    assert hkdf_expand(ROOT, info, size) == derive(ROOT, purpose, "k", size)


def test_everything_that_is_derived_differs_from_the_rest() -> None:
    """Another root, id or purpose gives unrelated bytes."""
    keys = [Key("a", ROOT), Key("b", ROOT), Key("a", ROOT[1:] + b"\x00")]
    derived = {key.content_key for key in keys} | {
        derive(ROOT, "kcv", "a", ROOT_SIZE),
        derive(ROOT, "kcv", "b", ROOT_SIZE),
        ROOT,
    }
    assert 6 == len(derived)
    assert 3 == len({key.check_value for key in keys})
    assert {CHECK_VALUE_SIZE} == {len(key.check_value) for key in keys}


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        (KeySuite.SEALED, {"content_key", "content_id_key"}),
        (KeySuite.INTEROP, {"aead", "aes"}),
        (KeySuite.INDEX, {"index_key"}),
    ],
)
def test_a_key_serves_one_purpose(suite: KeySuite, expected: set[str]) -> None:
    """It has what its suite needs, and nothing of another one; and nothing once it is destroyed."""
    names = ("content_key", "content_id_key", "aead", "aes", "index_key")

    key, destroyed = Key("k", ROOT, suite=suite), Key("k", None, suite=suite, destroyed_at=1.0)

    assert expected == {name for name in names if getattr(key, name)}
    assert set() == {name for name in names if getattr(destroyed, name)}


def test_generated_keys_are_new() -> None:
    """Each generated key has bytes of its own, and takes the options of a key."""
    keys = [Key.generate("k", encrypt_from=5.0) for _ in range(8)]
    assert 8 == len({key.check_value for key in keys})
    assert {5.0} == {key.encrypt_from for key in keys}
    assert {KeySuite.SEALED} == {key.suite for key in keys}


# Immutability


@pytest.mark.parametrize("name", ["id", "content_key", "disabled", "destroyed_at", "new"])
def test_a_key_cannot_be_changed(name: str) -> None:
    """No attribute can be set, deleted or added."""
    key = Key("k", ROOT)
    with pytest.raises(AttributeError, match=f"a key cannot be changed: {name}"):
        setattr(key, name, None)
    with pytest.raises(AttributeError, match=f"a key cannot be changed: {name}"):
        delattr(key, name)


# Nothing shows


@dataclass
class Holder:
    """What somebody may keep a key in."""

    key: Key
    keys: dict[str, Key]
    key_set: KeySet
    provider: StaticKeyProvider
    note: str = field(default="held")


def held(key: Key) -> Holder:
    return Holder(key, {key.id: key}, KeySet((key,)), StaticKeyProvider(key))


def loaded(key: Key) -> Keyring:
    keyring = Keyring(StaticKeyProvider(key))
    keyring.ready_sync()
    return keyring


KEYS = [
    pytest.param(lambda: Key("sealed-key", ROOT), id="sealed"),
    pytest.param(lambda: Key("interop-key", ROOT, suite=KeySuite.INTEROP), id="interop"),
    pytest.param(lambda: Key("index-key", ROOT, suite=KeySuite.INDEX), id="index"),
]


def raised(key: Key) -> BaseException:
    """An error with keys in the variables of several frames and in its chain."""

    def inner(found: Holder, keyring: Keyring) -> None:
        wanted = keyring.decryption_key(found.key.id)
        table = {wanted.id: [wanted, found]}
        raise LookupError(f"no {wanted} in {table}", wanted)

    def outer() -> None:
        holder = held(key)
        try:
            inner(holder, loaded(key))
        except LookupError as err:
            raise RuntimeError(f"while using {holder}") from err

    with pytest.raises(RuntimeError) as caught:
        outer()
    return caught.value


def logged(key: Key) -> str:
    stream = io.StringIO()
    logger = logging.Logger("leaks")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("key %s %r", key, held(key), extra={"key": key})
    logger.error("it failed", exc_info=raised(key))
    return stream.getvalue()


WAYS: dict[str, Callable[[Key], str | BaseException]] = {
    "repr": repr,
    "str": str,
    "format": lambda key: f"{key} {key!s} {key!r} {key!a} {key:}",
    "percent": lambda key: "%s %r" % (key, key),  # noqa: UP031 - one way more to write it
    "holder": lambda key: repr(held(key)),
    "asdict": lambda key: repr(dataclasses.asdict(held(key))),
    "astuple": lambda key: repr(dataclasses.astuple(held(key))),
    "copies": lambda key: repr([copy.copy(key), copy.deepcopy(key), copy.deepcopy({"k": key})]),
    "logging": logged,
    "exception arguments": lambda key: repr(raised(key).__cause__),
    "tracebacks": raised,
    "keyring": lambda key: repr(vars(loaded(key))),
}


@pytest.mark.parametrize("make", KEYS)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_shows_the_material(
    make: Callable[[], Key], way: str, seen: Seen, leaks: Leaks
) -> None:
    """Whatever is done to a key, its id is seen at most, and never its bytes."""
    key = make()
    shown = seen(WAYS[way](key))
    assert key.id in shown
    assert not leaks(shown, *secrets_of(key, ROOT))


@pytest.mark.parametrize("make", KEYS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_key_cannot_be_pickled(make: Callable[[], Key], protocol: int, leaks: Leaks) -> None:
    """No protocol takes a key, alone or inside something else, and the refusal shows nothing."""
    key = make()
    for value in (key, {"k": [key]}, KeySet((key,)), StaticKeyProvider(key)):
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            pickle.dumps(value, protocol)
        assert not leaks(str(caught.value), ROOT)


def test_a_key_has_no_state_to_take() -> None:
    """`vars` and the state that serializers ask for are refused."""
    key = Key("k", ROOT)
    with pytest.raises(TypeError, match="__dict__"):
        vars(key)
    with pytest.raises(TypeError, match="does not give away its state"):
        key.__getstate__()


def test_a_copy_of_a_key_is_the_key() -> None:
    """Copying makes no second place where the material lies."""
    key = Key("k", ROOT)
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key


@pytest.mark.parametrize(
    ("key_id", "material", "suite"),
    [
        ("not an id", ROOT, KeySuite.SEALED),
        ("k", ROOT + b"\x01", KeySuite.SEALED),
        ("k", b"text-text-text-text-text-text-te", KeySuite.SEALED),
        ("k", ROOT[:-1], KeySuite.INTEROP),
    ],
)
def test_refused_material_shows_in_no_traceback(
    key_id: str, material: bytes, suite: KeySuite, seen: Seen, leaks: Leaks
) -> None:
    """The frames of sealwire that refuse a key do not hold it any more."""
    with pytest.raises(ConfigurationError) as caught:
        Key(key_id, material, suite=suite)
    # The first frame is this test's: a caller's own variables are the caller's business.
    inner = caught.value.with_traceback(caught.tb.tb_next)
    assert "in __init__" in seen(inner)
    assert not leaks(seen(inner), material)


@pytest.mark.parametrize(
    ("suite", "names"),
    [
        (KeySuite.SEALED, {"content_key", "content_id_key"}),
        (KeySuite.INDEX, {"index_key"}),
        (KeySuite.INTEROP, set[str]()),
    ],
)
def test_each_purpose_has_32_bytes_of_its_own(suite: KeySuite, names: set[str]) -> None:
    """Derived keys are as long as the ciphers and HMAC-SHA-256 want them, and differ."""
    key = Key("k", bytes(range(32)), suite=suite)
    derived = {name: getattr(key, name) for name in ("content_key", "content_id_key", "index_key")}
    assert {name: 32 * (name in names) for name in derived} == {
        name: len(value) for name, value in derived.items()
    }
    assert len(names) == len({value for value in derived.values() if value})
