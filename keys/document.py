"""The keyring document: every key of one tenant, wrapped, in one JSON text.

::

    {"format": "sealwire/keyring-v1", "tenant": …, "version": 3,
     "wrapped_by": [{"wrapper": "local:…", "key": base64}],
     "keys": [{"id": …, "suite": "sealed-v1", "created": …, "encrypt_from": …, "disabled": false,
               "destroyed_at": null, "check": hex, "material": base64 or null}],
     "mac": base64}

- The *document key* is 32 random bytes, wrapped once by each key-encryption key in `wrapped_by`:
  any one of them opens the document with one call, however many keys it holds.
- `material` is `nonce(12, random) ‖ AES-256-GCM ciphertext ‖ tag(16)` of a key's root, under
  HKDF-Expand(SHA-512, document key, "sealwire/keyring-v1" ‖ 00 ‖ "wrap", 32 bytes), with the
  tenant, the id and the suite, separated by 00, as associated data.
- `mac` is HMAC-SHA-256 under the same derivation with "mac", of the document without `mac`, as
  JSON with sorted keys, no white space and ASCII escapes.
- Times are seconds since 1970. `version` grows with every change.
"""

from __future__ import annotations

import hmac
import json
import os
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sealwire.errors import ConfigurationError

from .key import Key, KeySuite
from .provider import KeySet

FORMAT: Final = "sealwire/keyring-v1"
# What data keys of payloads are bound to begins so; a document of such a tenant would be one.
DATA_KEYS: Final = "enveloped-v1/"
RESTORE: Final = "restore it from your backup"
_LABEL: Final = FORMAT.encode() + b"\x00"
_NONCE: Final = 12  # bytes


class Wrapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document key under one key-encryption key."""

    wrapper: str
    key: bytes


class KeyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key, wrapped; without material once it is destroyed."""

    id: str
    suite: KeySuite
    created: float
    encrypt_from: float
    disabled: bool
    destroyed_at: float | None
    check: str
    material: bytes | None


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A keyring document; the module's docstring explains the fields."""

    format: str
    tenant: str
    version: int
    wrapped_by: tuple[Wrapping, ...]
    keys: tuple[KeyRecord, ...]
    mac: bytes = b""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document comes from, as messages say it.

    Args:
        what: What it is called.
        repair: What to do when it is damaged.
    """

    what: str = "the keyring"
    repair: str = RESTORE


_SOMEWHERE: Final = Origin()


class DocumentKey:
    """What opens a document; shows nothing of itself."""

    __slots__ = ("_aead", "_mac")

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            del key  # a traceback may show the variables
            raise ConfigurationError("the keyring's document key does not have 32 bytes")
        self._aead = AESGCM(HKDFExpand(SHA512(), 32, _LABEL + b"wrap").derive(key))
        self._mac = HKDFExpand(SHA512(), 32, _LABEL + b"mac").derive(key)

    def wrap(self, key: Key, root: bytes, tenant: str) -> KeyRecord:
        """Wrap the root of `key`."""
        return KeyRecord(
            key.id,
            key.suite,
            float(key.created),  # an int is written, and so authenticated, in other digits
            float(key.encrypt_from),
            key.disabled,
            None if key.destroyed_at is None else float(key.destroyed_at),
            key.check_value.hex(),
            self._seal(root, _binding(tenant, key.id, key.suite)),
        )

    def open(self, document: Document) -> KeySet:
        """Check the whole document, then unwrap its keys.

        Raises:
            ConfigurationError: The document is not as an administrator's command wrote it.
        """
        if not hmac.compare_digest(self._sign(document), document.mac):
            raise _tampered(document, "its contents were changed by something else than sealwire")
        keys = tuple(self._unwrap(record, document) for record in document.keys)
        return KeySet(keys, document.version)

    def rewrapped(self, document: Document, successor: DocumentKey) -> tuple[KeyRecord, ...]:
        """Return the document's keys, wrapped by another document key.

        Raises:
            ConfigurationError: A key does not open.
        """
        return tuple(self._passed_on(record, document, successor) for record in document.keys)

    def sign(self, document: Document) -> bytes:
        """Return the text of `document` with its `mac`."""
        signed = msgspec.structs.replace(document, mac=self._sign(document))
        return msgspec.json.format(msgspec.json.encode(signed), indent=1) + b"\n"

    def _passed_on(
        self, record: KeyRecord, document: Document, successor: DocumentKey
    ) -> KeyRecord:
        root = self._root(record, document)
        if root is None:
            return record
        binding = _binding(document.tenant, record.id, record.suite)
        return msgspec.structs.replace(record, material=successor._seal(root, binding))

    def _seal(self, root: bytes, binding: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, root, binding)

    def _root(self, record: KeyRecord, document: Document) -> bytes | None:
        material = record.material
        if material is None:
            return None
        binding = _binding(document.tenant, record.id, record.suite)
        try:
            return self._aead.decrypt(material[:_NONCE], material[_NONCE:], binding)
        except (InvalidTag, ValueError):
            raise _tampered(document, f"the key {record.id!r} does not open") from None

    def _unwrap(self, record: KeyRecord, document: Document) -> Key:
        root = self._root(record, document)
        try:
            key = Key(
                record.id,
                root,
                suite=record.suite,
                created=record.created,
                encrypt_from=record.encrypt_from,
                disabled=record.disabled,
                destroyed_at=record.destroyed_at,
            )
        finally:
            del root  # a traceback may show the variables
        if record.material is not None and key.check_value.hex() != record.check:
            raise _tampered(document, f"the key {record.id!r} has a wrong check value")
        return key

    def _sign(self, document: Document) -> bytes:
        fields = msgspec.to_builtins(document, str_keys=True)
        fields.pop("mac")
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hmac.digest(self._mac, text.encode("ascii"), "sha256")


def parse(data: bytes, tenant: str, origin: Origin = _SOMEWHERE) -> Document:
    """Parse a document; its contents are not trustworthy before `DocumentKey.open`.

    Args:
        data: The bytes.
        tenant: Whose document it must be.
        origin: Where the bytes are from.

    Raises:
        ConfigurationError: This is not a keyring document, or one of another tenant; or no tenant
            can be called so.
    """
    if tenant.startswith(DATA_KEYS):
        raise ConfigurationError(f"no keyring belongs to a tenant whose name begins {DATA_KEYS!r}")
    try:
        document = msgspec.json.decode(data, type=Document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ConfigurationError(
            f"{origin.what} is damaged or not one of sealwire's: {origin.repair}"
        ) from None
    if document.format != FORMAT:
        raise ConfigurationError(
            f"{origin.what} has the format {document.format[:80]!r}, this release reads {FORMAT!r}"
        )
    if document.tenant != tenant:
        raise ConfigurationError(
            f"{origin.what} belongs to the tenant {document.tenant[:80]!r}, not to {tenant!r}"
        )
    return document


def _binding(tenant: str, key_id: str, suite: KeySuite) -> bytes:
    return b"\x00".join((_LABEL, tenant.encode(), key_id.encode(), suite.encode()))


def _tampered(document: Document, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the keyring of {document.tenant!r}, version {document.version}, is not used: {why}; "
        f"{RESTORE}"
    )
