"""What every payload codec has to fulfil, as tests to inherit from.

::

    class TestMyCodec(PayloadCodecConformance):
        def codec(self) -> PayloadCodec:
            return MyCodec(level=3)

Any test runner that collects `test_*` methods will do; a failure is an `AssertionError`. The
methods are not coroutines, and each makes the event loops that it needs.
"""

# ruff: noqa: S101 - a suite that others inherit asserts, as every test does
from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, Final

from sealwire.codecs import ContextualCodec, PartsCodec, PayloadCodec
from sealwire.parts import head
from sealwire.payload import ENCODING, Encoding, Payload

from .codec_sharing import CodecSharingConformance
from .roundtrip import assert_same, decode, encode, in_a_loop, serialized, sync_codec

_CALLS: Final = 1000  # of `with_context`, in a fifth of the patience: by default 2 s, which is
_SHARE: Final = 0.2  # far too long for a copy, and far too short for I/O or to derive a key


class PayloadCodecConformance(CodecSharingConformance):
    """The contract of `PayloadCodec`; override `codec` and what else differs, inherit the tests."""

    def codec(self) -> PayloadCodec:
        """Return a new codec under test; all that are returned read each other's payloads."""
        raise NotImplementedError

    def samples(self) -> list[Payload]:
        """Return payloads to encode, no two of them equal.

        By default an empty one, short and long ones, some that compress and some that do not, and
        one with entries and external payloads.
        """
        rich = Payload(
            metadata={ENCODING: Encoding.JSON_PROTOBUF, "messageType": b"a.B", "": b"\x00\xff"},
            data=b"{}",
        )
        rich.external_payloads.add(size_bytes=5000)
        return [
            Payload(),
            Payload(metadata={ENCODING: Encoding.NULL}),
            Payload(metadata={ENCODING: Encoding.JSON}, data=b'{"key": "value"}'),
            Payload(metadata={ENCODING: Encoding.PLAIN}, data=bytes(range(256)) * 100),
            Payload(metadata={ENCODING: Encoding.PLAIN}, data=bytes(100_000)),
            Payload(data=b"no encoding"),
            rich,
        ]

    def foreign(self) -> list[Payload]:
        """Return payloads that `decode` gives back as they are, because others encoded them.

        None by default: a codec for encryption rather refuses them.
        """
        return []

    def context(self) -> object:
        """Return a context for `with_context`, one that the codec under test can work in."""
        return SimpleNamespace(namespace="default")

    def test_it_is_a_payload_codec(self) -> None:
        """It has the two methods."""
        assert isinstance(self.codec(), PayloadCodec)

    def test_no_payloads_give_no_payloads(self) -> None:
        """An empty batch is encoded and decoded to an empty list."""
        codec = self.codec()
        assert encode(codec, []) == []
        assert decode(codec, []) == []

    def test_payloads_come_back_as_they_were(self) -> None:
        """A batch is decoded to equal payloads in the same order, also by another instance."""
        samples = self.samples()
        outer = encode(self.codec(), samples)
        assert_same(samples, decode(self.codec(), outer))

    def test_every_payload_stands_for_itself(self) -> None:
        """Encoding gives one payload for each, which can be decoded alone and in any order."""
        samples = self.samples()
        codec = self.codec()
        outer = encode(codec, samples)
        assert len(samples) == len(outer), "encode changed the number of payloads"
        for sample, payload in zip(samples, outer, strict=True):
            assert_same([sample], decode(codec, [payload]))
        assert_same(samples[::-1], decode(codec, outer[::-1]))

    def test_a_payload_may_come_twice(self) -> None:
        """Equal payloads in one batch are not mistaken for one."""
        samples = self.samples() * 2
        samples.append(samples[-1])
        outer = encode(self.codec(), samples)
        assert len(samples) == len(outer), "encode changed the number of payloads"
        assert_same(samples, decode(self.codec(), outer))

    def test_nothing_given_is_changed(self) -> None:
        """Neither the payloads nor the sequence that holds them is different afterwards."""
        codec = self.codec()
        samples = self.samples()
        kept = list(samples)
        before = serialized(samples)
        outer = encode(codec, samples)
        assert all(old is new for old, new in zip(kept, samples, strict=True))
        assert before == serialized(samples), "encode changed its input"
        sealed = serialized(outer)
        inner = decode(codec, outer)
        assert sealed == serialized(outer), "decode changed its input"
        assert inner is not outer, "decode returned the list that it was given"

    def test_any_sequence_will_do(self) -> None:
        """A tuple is as good as a list, and the result is a list."""
        codec = self.codec()
        samples = self.samples()
        outer = encode(codec, tuple(samples))
        inner = decode(codec, tuple(outer))
        assert type(outer) is list
        assert type(inner) is list
        assert_same(samples, inner)

    def test_what_others_encoded_is_left_alone(self) -> None:
        """Decoding gives back the payloads of `foreign`, between its own as well."""
        codec = self.codec()
        for payload in self.foreign():
            before = serialized([payload])
            [alone] = decode(codec, [payload])
            assert before == serialized([alone]), "decode changed a payload of others"
            assert before == serialized([payload]), "decode changed its input"
            samples = self.samples()
            outer = encode(codec, samples)
            assert_same([payload, *samples, payload], decode(codec, [payload, *outer, payload]))

    def test_encoding_again_can_be_undone(self) -> None:
        """Encoding what is encoded, as with a plug-in set up twice, loses nothing.

        The codec may leave the payloads alone the second time, or encode them once more.
        """
        codec = self.codec()
        samples = self.samples()
        once = encode(codec, samples)
        for payload, outer, sample in zip(once, encode(codec, once), samples, strict=True):
            inner = decode(codec, [outer])
            assert inner in ([payload], [sample])

    def test_without_an_event_loop_it_does_the_same(self) -> None:
        """A `SyncPayloadCodec` reads what either way of calling wrote."""
        codec = sync_codec(self.codec())
        if codec is None:
            return
        samples = self.samples()
        assert_same(samples, codec.decode_sync(encode(codec, samples)))
        assert_same(samples, decode(codec, codec.encode_sync(samples)))
        assert codec.encode_sync([]) == []
        assert codec.decode_sync([]) == []

    def test_payloads_in_parts_make_no_difference(self) -> None:
        """A `PartsCodec` reads either way what either way wrote, of what refers to nothing."""
        codec = self.codec()
        if not isinstance(codec, PartsCodec):
            return
        samples = [payload for payload in self.samples() if not payload.external_payloads]
        whole = [(payload.SerializeToString(), b"") for payload in samples]
        split = [(message[:3], message[3:]) for message, _ in whole]
        for parts in (whole, split):
            for encoded in (codec.encode_parts_sync(parts), in_a_loop(codec.encode_parts, parts)):
                assert_same(samples, codec.decode_sync(encoded))
                decoded = in_a_loop(codec.decode_parts, encoded)
                assert_same(samples, [Payload.FromString(b"".join(one)) for one in decoded])
                for payload, (before, data) in zip(samples, decoded, strict=True):
                    assert not data or (data == payload.data and before.endswith(head(len(data))))
                assert decoded == codec.decode_parts_sync(encoded)
        assert codec.encode_parts_sync([]) == []
        assert codec.decode_parts_sync([]) == []

    def test_it_does_what_it_says_of_itself(self) -> None:
        """Only payloads with one of its `encodings` come out, or those that it `leaves_alone`."""
        codec: Any = self.codec()
        samples = self.samples()
        encodings = getattr(codec, "encodings", None)
        leaves_alone = getattr(codec, "leaves_alone", None)
        for sample, outer in zip(samples, encode(codec, samples), strict=True):
            changed = serialized([sample]) != serialized([outer])
            named = encodings is None or outer.metadata.get(ENCODING) in encodings
            assert named or not changed, (
                "encode gave a payload whose encoding is not one of its own"
            )
            alone = leaves_alone is not None and leaves_alone(sample)
            assert not (alone and changed), "encode changed a payload that it leaves alone"

    def test_a_context_costs_next_to_nothing(self) -> None:
        """`with_context` is called for every group of payloads: a thousand calls take no time."""
        codec: Any = self.codec()
        if not isinstance(codec, ContextualCodec):
            return
        context = self.context()
        codec.with_context(context)
        limit = self.patience * _SHARE
        start = time.perf_counter()
        for number in range(_CALLS):
            codec.with_context(context)
            took = time.perf_counter() - start
            assert took < limit, f"{number + 1} calls of with_context took {took:.1f} s"

    def test_a_codec_for_a_context_keeps_the_contract(self) -> None:
        """It reads what another codec for the same context wrote, and the original stays usable."""
        codec: Any = self.codec()
        other: Any = self.codec()
        if not isinstance(codec, ContextualCodec):
            return
        bound: Any = codec.with_context(self.context())
        bound_too: Any = other.with_context(self.context())
        bound_twice: Any = bound.with_context(self.context())
        samples = self.samples()
        assert_same(samples, decode(bound_too, encode(bound, samples)))
        assert_same(samples, decode(bound, encode(bound_twice, samples)))
        assert_same(samples, decode(other, encode(other, samples)))
