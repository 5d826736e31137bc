"""A data key: 32 random bytes that travel, wrapped, in each payload that they seal.

Derivation (`‖` is concatenation, all labels are ASCII)::

    LABEL       = "sealwire/enveloped-v1" ‖ 00
    id          = "dk-" ‖ hex(HKDF-Expand(SHA-512, prk = data key,
                                          info = LABEL ‖ "key-id", 16 bytes))
    content key = HKDF-Expand(SHA-512, prk = data key,
                              info = LABEL ‖ "content-key" ‖ 00 ‖ id, 32 bytes)

The id is a check value, too: a reader that unwraps other bytes than were wrapped notices.

The data key is wrapped once by each key-encryption key, bound to the tenant
`"enveloped-v1/" ‖ tenant`, so that what is wrapped for a payload opens no keyring document. The
wraps are the TLV of {name of the key-encryption key: what it wrapped}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sealwire import tlv
from sealwire.errors import ConfigurationError

from .document import DATA_KEYS, Wrapping
from .key import Opaque

LABEL: Final = b"sealwire/enveloped-v1\x00"
DATA_KEY_ID: Final = re.compile(rb"dk-[0-9a-f]{32}")
MAX_WRAPS: Final = 4
MAX_WRAPPED: Final = 4096  # bytes of TLV
MAX_NAME: Final = 512  # bytes; the names go into logs, and whoever wrote the payload chose them
_SIZE: Final = 32
_ID_SIZE: Final = 16


class DataKey(Opaque):
    """What seals and opens payloads; shows its id alone.

    Args:
        secret: 32 uniformly random bytes.

    Attributes:
        id: What the secret's derivation gives for it.
        id_bytes: The id as it stands in a payload.
        content_key: The derived key that seals.

    Raises:
        ConfigurationError: The secret has another size.
    """

    __slots__ = ("content_key", "id", "id_bytes")

    id: str
    id_bytes: bytes
    content_key: bytes

    def __init__(self, secret: bytes) -> None:
        self._set("id", "")  # a traceback may show the half-made key
        if len(secret) != _SIZE:
            del secret  # a traceback may show the variables
            raise ConfigurationError("a data key does not have 32 bytes")
        self._set("id", "dk-" + _derive(secret, b"key-id", _ID_SIZE).hex())
        self._set("id_bytes", self.id.encode())
        self._set("content_key", _derive(secret, b"content-key\x00" + self.id_bytes, 32))

    def __repr__(self) -> str:
        return f"DataKey(id={self.id!r})"


def bound_to(tenant: str) -> str:
    """Return the tenant that data keys of `tenant` are wrapped for."""
    return DATA_KEYS + tenant


def pack_wraps(wraps: Iterable[Wrapping]) -> bytes:
    """Encode what each key-encryption key wrapped.

    Raises:
        ConfigurationError: It is too much, or a key-encryption key has a name that is no text.
    """
    pairs = {wrap.wrapper.encode("utf-8", "surrogatepass"): wrap.key for wrap in wraps}
    data = tlv.pack(pairs)
    if unpack_wraps(data) is None:
        raise ConfigurationError(
            f"a payload carries at most {MAX_WRAPS} wrapped keys and {MAX_WRAPPED} bytes of them, "
            f"and each key-encryption key has a name of 1 to {MAX_NAME} bytes that can be printed; "
            f"here are {len(pairs)} and {len(data)} bytes"
        )
    return data


def unpack_wraps(data: bytes) -> tuple[Wrapping, ...] | None:
    """Decode what `pack_wraps` gave; None for everything else."""
    pairs = tlv.unpack(data, MAX_WRAPS, MAX_WRAPPED)
    if not pairs:
        return None
    wraps = tuple(Wrapping(name.decode("utf-8", "replace"), key) for name, key in pairs.items())
    return wraps if all(map(_is_possible, wraps, pairs)) else None


def _is_possible(wrap: Wrapping, name: bytes) -> bool:
    text = wrap.wrapper
    printable = text.isprintable() and text.encode() == name
    return printable and 0 < len(name) <= MAX_NAME and wrap.key != b""


def _derive(secret: bytes, purpose: bytes, size: int) -> bytes:
    return HKDFExpand(SHA512(), size, LABEL + purpose).derive(secret)
