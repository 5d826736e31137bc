"""Enveloped payloads: wraps, contexts and messages of the fuzzer, authentic where it helps."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fuzz_inputs import ROOT, Recipe, labelled, outer

from sealwire import tlv
from sealwire.codecs import DecodePolicy, EnvelopeEncryptionCodec
from sealwire.codecs import sealed as sealed_format
from sealwire.errors import ConfigurationError
from sealwire.keys import DataKeys
from sealwire.keys.data_key import LABEL, DataKey, bound_to
from sealwire.payload import ENCODING, Encoding, Payload

_KEY: Final = DataKey(ROOT)
_NONCE: Final = bytes(12)


class FuzzedWrapper:
    """A key-encryption key that everybody knows; it always takes the same nonce."""

    _aead = AESGCM(ROOT[::-1])

    async def name(self) -> str:
        """Return the name."""
        return "kek"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """See `KeyWrapper`."""
        return self.made(key, tenant)

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """See `KeyWrapper`."""
        try:
            return self._aead.decrypt(_NONCE, wrapped, tenant.encode())
        except InvalidTag:
            raise ConfigurationError("this was wrapped by another key") from None

    def made(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key`."""
        return self._aead.encrypt(_NONCE, key, tenant.encode())


_WRAPPER: Final = FuzzedWrapper()
_WRAPPED: Final = _WRAPPER.made(ROOT, bound_to("default"))
_WRAPS: Final = tlv.pack({b"kek": _WRAPPED})


def enveloped_codec() -> EnvelopeEncryptionCodec:
    """A codec for which time flies, so that no limit stops the fuzzer."""
    seconds = itertools.count(1_700_000_000)
    keys = DataKeys(_WRAPPER, clock=lambda: float(next(seconds)))
    policy = DecodePolicy(accept_namespaces=frozenset({"accepted"}))
    return EnvelopeEncryptionCodec(keys, "default", policy)


def envelopes() -> tuple[Recipe, ...]:
    """Every way to be enveloped, and nearly."""
    ids = (DataKey(ROOT[::-1]).id_bytes, b"sealed-1", b"")
    short = tlv.pack({b"kek": _WRAPPER.made(b"short", bound_to("default"))})
    other = tlv.pack({b"kek": _WRAPPED, b"other": b"x"})
    return (
        outer,
        partial(labelled, Encoding.ENVELOPED),
        _for_context(namespace="default"),
        _for_context(namespace="accepted", purpose="x"),
        _for_context(namespace="elsewhere"),
        _for_context(),
        _anywhere,
        _wrapped_by_anything,
        *(partial(_enveloped, {"encryption-key-id": key_id}) for key_id in ids),
        *(partial(_enveloped, {"encryption-wrapped-key": wraps}) for wraps in (short, other, b"")),
        partial(_enveloped, {"encryption-dek": b"x"}),
    )


def _enveloped(entries: dict[str, bytes], data: bytes) -> Payload:
    """Bytes sealed with the data key, authentic under whatever entries there are."""
    metadata = {
        ENCODING: Encoding.ENVELOPED,
        "encryption-key-id": _KEY.id_bytes,
        "encryption-wrapped-key": _WRAPS,
        **entries,
    }
    context = sealed_format.authenticated_context(metadata, LABEL)
    return Payload(metadata=metadata, data=sealed_format.seal(_KEY, context, data))


def _for_context(**context: str) -> Recipe:
    entries = {"encryption-context": sealed_format.pack_context(context)} if context else {}
    return partial(_enveloped, entries)


def _anywhere(data: bytes) -> Payload:
    """Sealed for a context of the fuzzer's own: a length, so many bytes, and the message."""
    size = data[0] if data else 0
    return _enveloped({"encryption-context": data[1 : 1 + size]}, data[1 + size :])


def _wrapped_by_anything(data: bytes) -> Payload:
    """Beside wraps of the fuzzer's own: a length, so many bytes, and the message."""
    size = data[0] if data else 0
    return _enveloped({"encryption-wrapped-key": data[1 : 1 + size]}, data[1 + size :])
