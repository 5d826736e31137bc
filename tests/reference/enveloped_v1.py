"""`binary/enveloped-v1` once more, written from its description and apart from the product.

Salts and nonces are parameters, so that the same inputs give the same bytes: never use this to
protect anything.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LABEL: Final = b"sealwire/enveloped-v1\x00"
WRAPPER_LABEL: Final = b"sealwire/local-wrapper-v1\x00"
NONCE: Final = 12


def _load(name: str) -> ModuleType:
    """Load the module beside this one, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


sealed: Final = _load("sealed_v1")


def key_id(data_key: bytes) -> str:
    """The id of a data key."""
    return "dk-" + bytes(sealed.hkdf_expand(data_key, LABEL + b"key-id", 16)).hex()


def content_key(data_key: bytes) -> bytes:
    """CK."""
    info = LABEL + b"content-key\x00" + key_id(data_key).encode()
    return bytes(sealed.hkdf_expand(data_key, info, 32))


def wrapper_name(key: bytes) -> str:
    """The name of a local key file."""
    return "local:" + hashlib.sha256(WRAPPER_LABEL + key).digest()[:8].hex()


def wrap(key: bytes, data_key: bytes, tenant: str, nonce: bytes) -> bytes:
    """What a local key file makes of a data key."""
    return nonce + AESGCM(key).encrypt(nonce, data_key, _binding(tenant))


def unwrap(key: bytes, wrapped: bytes, tenant: str) -> bytes:
    """Undo `wrap`.

    Raises:
        NotAuthenticError: For every cause.
    """
    try:
        return AESGCM(key).decrypt(wrapped[:NONCE], wrapped[NONCE:], _binding(tenant))
    except (InvalidTag, ValueError):
        raise sealed.NotAuthenticError from None


def authenticated(metadata: Mapping[str, bytes]) -> bytes:
    """CONTEXT."""
    entries = sealed.tlv({name.encode(): value for name, value in metadata.items()})
    return LABEL + bytes(entries)


def metadata_of(
    data_key: bytes, wraps: Sequence[tuple[str, bytes]], context: Mapping[str, str] | None
) -> dict[str, bytes]:
    """The outer metadata."""
    metadata = {
        "encoding": b"binary/enveloped-v1",
        "encryption-key-id": key_id(data_key).encode(),
        "encryption-wrapped-key": sealed.tlv({name.encode(): key for name, key in wraps}),
    }
    if context is not None:
        pairs = {name.encode(): value.encode() for name, value in context.items()}
        metadata["encryption-context"] = sealed.tlv(pairs)
    return metadata


def seal(data_key: bytes, metadata: Mapping[str, bytes], message: bytes, salt: bytes) -> bytes:
    """The data of an outer payload around `message`, a serialized inner payload."""
    return bytes(sealed.encrypt(content_key(data_key), authenticated(metadata), message, salt))


def unseal(data_key: bytes, metadata: Mapping[str, bytes], data: bytes) -> bytes:
    """Return the message in an outer payload, without any policy.

    Raises:
        NotAuthenticError: For every cause.
    """
    if metadata["encryption-key-id"] != key_id(data_key).encode():
        raise sealed.NotAuthenticError
    return bytes(sealed.decrypt(content_key(data_key), authenticated(metadata), data))


def _binding(tenant: str) -> bytes:
    return WRAPPER_LABEL + b"enveloped-v1/" + tenant.encode()
