"""A key: material bound to one algorithm, that shows nothing but its id.

Derivation, for the suite `sealed-v1` (`‖` is concatenation, all labels are ASCII)::

    LABEL       = "sealwire/sealed-v1" ‖ 00
    content key = HKDF-Expand(SHA-512, prk = root, info = LABEL ‖ "content-key" ‖ 00 ‖ id, 32 bytes)
    content-id key
                = HKDF-Expand(SHA-512, prk = root, info = LABEL ‖ "content-id" ‖ 00 ‖ id, 32 bytes)
    check value = HKDF-Expand(SHA-512, prk = root, info = LABEL ‖ "kcv" ‖ 00 ‖ id, 8 bytes)

The suite `blind-index` has an index key in the place of the content key, of the same size and with
"index-key" in its derivation.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, NoReturn, Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sealwire.errors import ConfigurationError

LABEL: Final = b"sealwire/sealed-v1\x00"
KEY_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+=-]{0,199}")
ROOT_SIZE: Final = 32
CHECK_VALUE_SIZE: Final = 8
_INTEROP_SIZES: Final = (16, 24, 32)  # AES-128, AES-192, AES-256
# Seconds; a float counts every second up to here, and the year of it still has a name.
_MAX_TIME: Final = 2**53
_MIN_DISTINCT: Final = 8  # of 32 random bytes fewer are distinct once in 10**36 keys
_TEXT: Final = frozenset(string.printable.encode())


class KeySuite(StrEnum):
    """The algorithm a key is for. A message never chooses it.

    - `SEALED`: Cobblestone-256, `binary/sealed-v1`;
    - `INTEROP`: AES-GCM with random nonces and no context, `binary/encrypted`;
    - `INDEX`: HMAC-SHA-256, the tokens of a `BlindIndex`. It encrypts nothing.
    """

    SEALED = "sealed-v1"
    INTEROP = "interop"
    INDEX = "blind-index"


class Opaque:
    """Cannot be changed, and gives nothing of itself away: neither by pickling nor by copying."""

    __slots__ = ()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a key cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a key cannot be changed: {name}")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError("a key does not give away its state")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key cannot be pickled: give the other process a key provider instead")


class Key(Opaque):
    """Immutable key material with its id, its suite and its place in the life cycle.

    The material is never shown, pickled or copied. Overwriting it on release is beyond what Python
    can promise: the interpreter may have copied it before.

    Args:
        id: 1 to 200 ASCII characters, stored in clear beside each payload.
        material: For `SEALED` and `INDEX`, 32 uniformly random bytes, never text. For `INTEROP`,
            16, 24 or 32 bytes as the other SDKs use them. None for a key that was destroyed.
        suite: What the key is for.
        created: When, in seconds since 1970.
        encrypt_from: From when on the key may encrypt, or make tokens, in seconds since 1970.
        disabled: An administrator has withdrawn it.
        destroyed_at: When it is, or was, destroyed, in seconds since 1970.

    Attributes:
        id_bytes: The id as it stands in a payload.
        content_key: The derived key of the suite `SEALED`, else empty.
        content_id_key: The one for content ids, of the same suite, else empty.
        aead: The cipher of the suite `INTEROP`, else None.
        aes: Its block cipher, for messages that are encrypted piece by piece, else None.
        index_key: The derived key of the suite `INDEX`, else empty.
        check_value: 8 bytes that differ if the material does.

    Raises:
        ConfigurationError: The id, the material or a time is not acceptable.
    """

    __slots__ = (
        "aead",
        "aes",
        "check_value",
        "content_id_key",
        "content_key",
        "created",
        "destroyed_at",
        "disabled",
        "encrypt_from",
        "id",
        "id_bytes",
        "index_key",
        "suite",
    )

    id: str
    id_bytes: bytes
    suite: KeySuite
    created: float
    encrypt_from: float
    disabled: bool
    destroyed_at: float | None
    content_key: bytes
    content_id_key: bytes
    aead: AESGCM | None
    aes: AES | None
    index_key: bytes
    check_value: bytes

    def __init__(
        self,
        id: str,  # noqa: A002 - the word of the metadata entry and of the documents
        material: bytes | None,
        *,
        suite: KeySuite = KeySuite.SEALED,
        created: float = 0.0,
        encrypt_from: float = 0.0,
        disabled: bool = False,
        destroyed_at: float | None = None,
    ) -> None:
        self._set("id", id)  # these two first: a traceback may show the half-made key
        self._set("suite", suite)
        times = (created, encrypt_from, destroyed_at or 0.0)
        problem = _problem(id, material, suite, times, destroyed=destroyed_at is not None)
        if problem is not None:
            del material  # a traceback may show the variables
            raise ConfigurationError(problem, key_id=id if KEY_ID.fullmatch(id) else None)
        self._set("id_bytes", id.encode())
        self._set("created", created)
        self._set("encrypt_from", encrypt_from)
        self._set("disabled", disabled)
        self._set("destroyed_at", destroyed_at)
        # No suite has what is for another one: a key never serves two purposes.
        sealed = suite is KeySuite.SEALED
        self._set(
            "content_key", derive(material, "content-key", id, 32) if material and sealed else b""
        )
        self._set(
            "content_id_key", derive(material, "content-id", id, 32) if material and sealed else b""
        )
        interop = suite is KeySuite.INTEROP
        self._set("aead", AESGCM(material) if material and interop else None)
        self._set("aes", AES(material) if material and interop else None)
        index = suite is KeySuite.INDEX
        self._set("index_key", derive(material, "index-key", id, 32) if material and index else b"")
        self._set("check_value", derive(material, "kcv", id, CHECK_VALUE_SIZE) if material else b"")

    @classmethod
    def generate(cls, id: str, **options: Any) -> Self:  # noqa: A002
        """Make a key from the system's randomness, of the suite `SEALED` if no other is given."""
        import secrets

        return cls(id, secrets.token_bytes(ROOT_SIZE), **options)

    @property
    def readable(self) -> bool:
        """Whether the key may decrypt: nobody has withdrawn it."""
        return not self.disabled and self.destroyed_at is None

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, suite={self.suite.value!r})"


def derive(root: bytes, purpose: str, key_id: str, size: int) -> bytes:
    """Derive `size` bytes for one purpose; see the module's docstring."""
    info = LABEL + purpose.encode() + b"\x00" + key_id.encode()
    return HKDFExpand(SHA512(), size, info).derive(root)


def _problem(
    key_id: str,
    material: bytes | None,
    suite: KeySuite,
    times: Iterable[float],
    *,
    destroyed: bool,
) -> str | None:
    if not KEY_ID.fullmatch(key_id):
        return (
            "a key id is 1 to 200 characters out of A-Z a-z 0-9 . _ : / @ + = - "
            "and starts with a letter or digit"
        )
    if not all(abs(moment) <= _MAX_TIME for moment in times):  # NaN is not in the range either
        return f"key {key_id!r} has a time out of range; times are seconds since 1970"
    if material is None:
        return None if destroyed else f"key {key_id!r} has no material"
    size = len(material)
    if suite is KeySuite.INTEROP:
        if size in _INTEROP_SIZES:
            return None
        return f"key {key_id!r} has {size} bytes; an interop key has 16, 24 or 32"
    if size != ROOT_SIZE:
        return f"key {key_id!r} has {size} bytes; a {suite} key has 32"
    # Random bytes are all printable once in 10**13 keys; text typed in by somebody always is.
    if isinstance(material, str) or _TEXT.issuperset(material):
        return (
            f"key {key_id!r} is text; a {suite} key is 32 random bytes "
            "(os.urandom(32), or `sealwire keys init`)"
        )
    if len(set(material)) < _MIN_DISTINCT:
        return f"key {key_id!r} repeats few bytes; a {suite} key is 32 random bytes"
    return None
