"""Codecs that read and do not write, for programs that come before the others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from sealwire.codecs import (
    CodecChain,
    CodecEvent,
    CodecKind,
    CompressionCodec,
    DecodeOnlyCodec,
    DecodePolicy,
    EncryptionCodec,
    PolicyMode,
    SyncPayloadCodec,
    ThreadedCodec,
    decode_only,
    observed,
)
from sealwire.errors import ConfigurationError, ContextMismatchError
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"' + b"a text " * 200 + b'"')


class AsyncOnly:
    """A codec that needs an event loop, which takes off the last byte."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(data=payload.data + b"x") for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(data=payload.data[:-1]) for payload in payloads]


@pytest.fixture
def chain() -> CodecChain:
    keyring = Keyring(StaticKeyProvider(Key("k", os.urandom(32))))
    policy = DecodePolicy(PolicyMode.MIGRATE)
    return CodecChain(CompressionCodec(), EncryptionCodec(keyring, policy=policy))


def bound(chain: CodecChain, namespace: str = "here") -> CodecChain:
    return chain.with_context(SimpleNamespace(namespace=namespace))


async def test_nothing_is_encoded_and_everything_decoded(chain: CodecChain) -> None:
    """The payload stays as it is, uncompressed and in clear; what others sealed is read."""
    reads = bound(decode_only(chain))
    sealed = await bound(chain).encode([PLAIN, PLAIN])
    assert [PLAIN, PLAIN] == await reads.encode([PLAIN, PLAIN])
    assert [PLAIN, PLAIN, PLAIN] == await reads.decode([*sealed, PLAIN])
    assert [PLAIN] == reads.encode_sync([PLAIN])
    assert [PLAIN, PLAIN] == reads.decode_sync(sealed)


async def test_the_context_reaches_the_codec_inside(chain: CodecChain) -> None:
    """A payload of another namespace is refused, and no context changes nothing."""
    reads = decode_only(chain)
    sealed = await bound(chain, "there").encode([PLAIN])
    with pytest.raises(ContextMismatchError):
        await bound(reads).decode(sealed)
    assert reads is reads.with_context(SimpleNamespace(namespace=None))


async def test_an_event_loop_is_needed_where_it_was_before() -> None:
    """A codec without synchronous methods gets none."""
    reads = decode_only(AsyncOnly())
    assert not isinstance(reads, SyncPayloadCodec)
    assert [Payload(data=b"ab")] == await reads.encode([Payload(data=b"ab")])
    assert [Payload(data=b"a")] == await reads.decode([Payload(data=b"ab")])


def test_the_place_in_a_chain_is_that_of_the_codec_inside(chain: CodecChain) -> None:
    """So a wrong order is still refused, and a codec without a kind has none."""
    compression, encryption = decode_only(chain).codecs
    assert isinstance(encryption, DecodeOnlyCodec)
    assert CodecKind.ENCRYPT is encryption.kind
    with pytest.raises(ConfigurationError, match="cannot come after"):
        CodecChain(encryption, compression)
    assert None is DecodeOnlyCodec(AsyncOnly()).kind


async def test_observers_and_threads_work_inside_and_outside(chain: CodecChain) -> None:
    """An observer is told of what is decoded, and of nothing that is not encoded."""

    class Observer:
        def __init__(self) -> None:
            self.events: list[CodecEvent] = []

        def observe(self, event: CodecEvent) -> None:
            self.events.append(event)

    observer = Observer()
    sealed = await bound(chain).encode([PLAIN])
    reads = ThreadedCodec(decode_only(CodecChain(observed(bound(chain), observer))), size=1)
    assert [PLAIN] == await reads.encode([PLAIN])
    assert [PLAIN] == await reads.decode(sealed)
    assert [("EncryptionCodec", "decode"), ("CompressionCodec", "decode")] == [
        (event.codec, event.operation) for event in observer.events
    ]
