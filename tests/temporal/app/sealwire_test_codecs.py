"""Codecs that others have in their fleets before they have sealwire."""

import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalcodec.encryption import EncryptionCodec as TemporalcodecCodec
from temporalcodec.encryption import Key as TemporalcodecKey
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

KEY_ID = "test-key-id"
KEY = "test-key-test-key-test-key-test!"  # text, as in the samples


class SampleCodec(PayloadCodec):
    """What the encryption codec of Temporal's samples for Python does, in our own words."""

    def __init__(self) -> None:
        self._cipher = AESGCM(KEY.encode())

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce = os.urandom(12)
        return Payload(
            metadata={"encoding": b"binary/encrypted", "encryption-key-id": KEY_ID.encode()},
            data=nonce + self._cipher.encrypt(nonce, payload.SerializeToString(), None),
        )

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != b"binary/encrypted":
            return payload
        if payload.metadata.get("encryption-key-id") != KEY_ID.encode():
            raise ValueError("another key id")
        return Payload.FromString(self._cipher.decrypt(payload.data[:12], payload.data[12:], None))


def temporalcodec() -> PayloadCodec:
    """The codec of the package `temporalcodec`, with two keys as its file of keys has them."""
    other = TemporalcodecKey(id="other", key="x" * 32)
    return TemporalcodecCodec([TemporalcodecKey(id=KEY_ID, key=KEY), other])
