"""The names of payloads in external storage, which are those of Temporal's own S3 drivers.

::

    v0/ns/<namespace>/wt/<workflow type>/wi/<workflow id>/ri/<run id>/d/sha256/<hash>
    v0/ns/<namespace>/at/<activity type>/ai/<activity id>/ri/<run id>/d/sha256/<hash>
    v0/ns/<namespace>/d/sha256/<hash>          where the above would be too long
    v0/ns/<namespace>/c/sha256/<id>/d/sha256/<hash>

- The hash is SHA-256 of the object, in lower-case hex: of a serialized, sealed payload.
- The last form is sealwire's, for payloads with a content id. The id is SHA-256 of the TLV of their
  metadata, so it is equal for equal contents under one key, in one context.
- What is not one of `0-9 A-Z a-z ! - _ . * ' ( )` is written as `%` and two hexadecimal digits for
  each byte of UTF-8; what is missing as `null`.

A reference comes from the server, so a name in it is checked before it is used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sealwire.payload import CONTENT_ID, Payload
from sealwire.tlv import pack

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_SAFE: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!-_.*'()")
_MAX_NAME: Final = 1024  # bytes, at S3 and Google; Azure has as many characters
_MAX_PART: Final = 255  # bytes, of most file systems
_NAME: Final = re.compile(r"v0(?:/(?!\.{1,2}/)[0-9A-Za-z!\-_.*'()%]+)+/sha256/([0-9a-f]{64})")
_CONTENT: Final = re.compile(r"/c/sha256/([0-9a-f]{64})/d/sha256/[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Owner:
    """What a payload is stored for.

    Args:
        namespace: Its namespace.
        kind: What it is.
        type: The type of the workflow or activity.
        id: Its id.
        run_id: Its run, where it is known.
    """

    namespace: str | None = None
    kind: Literal["workflow", "activity"] | None = None
    type: str | None = None
    id: str | None = None
    run_id: str | None = None

    @property
    def folder(self) -> str:
        """Where its payloads are."""
        space = namespace_folder(self.namespace)
        if self.kind is None:
            return space
        letter = self.kind[0]
        parts = (f"{letter}t", _part(self.type), f"{letter}i", _part(self.id))
        folder = "/".join((space, *parts, "ri", _part(self.run_id)))
        longest = max(map(len, folder.split("/")))
        fits = longest <= _MAX_PART and len(folder) + len(_with_hash("", "")) + 64 <= _MAX_NAME
        return folder if fits else space


def namespace_folder(namespace: str | None) -> str:
    """Return where the payloads of a namespace are."""
    return f"v0/ns/{_part(namespace)}"


def object_name(folder: str, digest: str) -> str:
    """Name an object by its hash."""
    return _with_hash(folder, digest)


def content_folder(payload: Payload, namespace: str | None) -> str | None:
    """Return where the objects with the same content as `payload` are; None without an id."""
    if CONTENT_ID not in payload.metadata:
        return None
    return f"{namespace_folder(namespace)}/c/sha256/{_header_id(payload.metadata)}"


def digest_of(name: str) -> str | None:
    """Return the hash in a name; None where the name is none that a driver gives."""
    found = _NAME.fullmatch(name) if len(name) <= _MAX_NAME else None
    return found[1] if found else None


def has_content_of(payload: Payload, name: str) -> bool:
    """Tell whether `payload` has the content id in `name`, if there is one."""
    found = _CONTENT.search(name)
    return found is None or found[1] == _header_id(payload.metadata)


def has_content_id(name: str) -> bool:
    """Tell whether the object may be referred to by others than those who stored it."""
    return _CONTENT.search(name) is not None


def _header_id(metadata: Mapping[str, bytes]) -> str:
    entries = pack({name.encode(): value for name, value in metadata.items()})
    return hashlib.sha256(entries).hexdigest()


def _with_hash(folder: str, digest: str) -> str:
    return f"{folder}/d/sha256/{digest}"


def _part(text: str | None) -> str:
    if not text:
        return "null"
    if text in (".", ".."):  # no store takes these for a name
        return text.replace(".", "%2E")
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in data)
