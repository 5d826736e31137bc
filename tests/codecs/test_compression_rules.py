"""Which payloads are compressed, and how: rules, the sizes from which it pays, the probe."""

from __future__ import annotations

import base64
import random
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.converter import ActivitySerializationContext, WorkflowSerializationContext

from sealwire.codecs import CodecChain, CompressionCodec, CompressionRule, with_context
from sealwire.errors import ConfigurationError
from sealwire.payload import Payload

TEXT = b'{"name": "value"}' * 100
JSON = Payload(metadata={"encoding": b"json/plain"}, data=TEXT)
BINARY = Payload(metadata={"encoding": b"binary/plain"}, data=TEXT)
MESSAGE = Payload(metadata={"encoding": b"json/protobuf", "messageType": b"shop.Order"}, data=TEXT)
ACTIVITY = ActivitySerializationContext(
    namespace="default",
    activity_id="1",
    activity_type="charge",
    activity_task_queue="q",
    workflow_id="w",
    workflow_type="Order",
    is_local=False,
)
WORKFLOW = WorkflowSerializationContext(namespace="default", workflow_id="w")


def noise(size: int) -> bytes:
    """Random bytes, the same ones in every run."""
    return random.Random(7).randbytes(size)  # noqa: S311 - not a secret


def written(codec: CompressionCodec, payload: Payload) -> str:
    """The algorithm that a payload is written with; `none` if it is kept."""
    [outer] = codec.encode_sync([payload])
    assert [payload] == codec.decode_sync([outer])
    return "none" if outer is payload else outer.metadata["encoding"].decode().partition("/")[2]


def codec_with(*rules: CompressionRule, **options: Any) -> CompressionCodec:
    """A codec with rules."""
    return CompressionCodec(rules=rules, **options)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (CompressionRule("zlib"), ["zlib", "zlib", "zlib"]),
        (CompressionRule("none"), ["none", "none", "none"]),
        (CompressionRule("brotli", encoding="json/plain"), ["brotli", "zstd", "zstd"]),
        (CompressionRule("none", encoding="binary/plain"), ["zstd", "none", "zstd"]),
        (CompressionRule("lz4", message_type="shop.Order"), ["zstd", "zstd", "lz4"]),
        (CompressionRule("lz4", message_type="shop.Ord"), ["zstd", "zstd", "zstd"]),
        (
            CompressionRule("lz4", encoding="json/plain", message_type="shop.Order"),
            ["zstd", "zstd", "zstd"],
        ),
        (CompressionRule("none", activity_type="charge"), ["zstd", "zstd", "zstd"]),
    ],
)
def test_rule_is_for_payloads_that_fulfil_every_condition(
    rule: CompressionRule, expected: list[str]
) -> None:
    """Encoding and message type must be the very ones; other payloads have the codec's own."""
    codec = codec_with(rule)

    assert expected == [written(codec, payload) for payload in (JSON, BINARY, MESSAGE)]


def test_first_rule_that_matches_decides() -> None:
    """Later rules are not asked, and a rule without conditions ends the list."""
    codec = codec_with(
        CompressionRule("none", encoding="json/plain"),
        CompressionRule("zlib", encoding="json/plain"),
        CompressionRule("lz4", encoding="binary/plain"),
        CompressionRule("brotli"),
    )

    assert ["none", "lz4", "brotli"] == [written(codec, one) for one in (JSON, BINARY, MESSAGE)]


def test_sizes_of_a_rule_are_inclusive() -> None:
    """They count the serialized payload, as those of the codec do."""
    size = JSON.ByteSize()

    for least, greatest, expected in (
        (size, size, "zlib"),
        (size + 1, None, "zstd"),
        (None, size - 1, "zstd"),
        (None, size, "zlib"),
    ):
        assert expected == written(
            codec_with(CompressionRule("zlib", min_size=least, max_size=greatest)), JSON
        )


def test_min_size_of_a_rule_replaces_the_codecs() -> None:
    """A rule can compress what is small otherwise, and one without a size changes nothing."""
    small = Payload(metadata={"encoding": b"json/plain"}, data=bytes(100))

    assert "none" == written(codec_with(CompressionRule("zlib")), small)
    assert "zlib" == written(codec_with(CompressionRule("zlib", min_size=50)), small)
    assert "zlib" == written(codec_with(CompressionRule("zlib", min_size=50), min_size=500), small)
    assert "none" == written(codec_with(CompressionRule("zlib"), min_size=500), small)


def test_max_size_of_the_codec_holds_under_every_rule() -> None:
    """What could not be read back is not written, whatever a rule says."""
    codec = codec_with(CompressionRule("zlib", min_size=0), max_size=JSON.ByteSize() - 1)

    assert "none" == written(codec, JSON)


def test_level_of_a_rule_is_its_algorithms() -> None:
    """A rule without an algorithm has the codec's at another level."""
    text = b"".join(b"%d," % number for number in range(3000))
    payload = Payload(metadata={"encoding": b"json/plain"}, data=text)

    def size(codec: CompressionCodec) -> int:
        return codec.encode_sync([payload])[0].ByteSize()

    fast, best = CompressionCodec("zlib", 1), CompressionCodec("zlib", 9)
    assert size(fast) != size(best)
    assert size(best) == size(codec_with(CompressionRule(level=9), algorithm="zlib", level=1))
    assert size(fast) == size(codec_with(CompressionRule(), algorithm="zlib", level=1))
    assert size(best) == size(codec_with(CompressionRule("zlib", 9), algorithm="brotli"))
    assert size(CompressionCodec("zlib")) == size(
        codec_with(CompressionRule("zlib"), algorithm="zlib", level=1)
    )


def test_no_compression_but_for_a_rule() -> None:
    """With the algorithm `none`, rules say what is compressed at all."""
    codec = codec_with(CompressionRule("zstd", encoding="json/plain"), algorithm="none", threads=2)

    assert ["zstd", "none"] == [written(codec, payload) for payload in (JSON, BINARY)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "lzma"}, "unknown algorithm 'lzma'"),
        ({"algorithm": "zlib", "level": 10}, "1 to 9"),
        ({"level": 99}, "-7 to 22"),
        ({"algorithm": "none", "level": 1}, "'none' has no levels"),
        ({"min_size": -1}, "sizes of a rule"),
        ({"max_size": -1}, "sizes of a rule"),
        ({"min_size": 5, "max_size": 4}, "min_size no more than max_size"),
    ],
)
def test_rule_that_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    """With the rule, or with the codec that has it, and before the first payload."""
    with pytest.raises(ConfigurationError, match=message):
        codec_with(CompressionRule(**options))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (CompressionRule("none", activity_type="charge"), "none"),
        (CompressionRule("none", workflow_type="Order"), "none"),
        (CompressionRule("none", workflow_type="Order", activity_type="charge"), "none"),
        (CompressionRule("none", workflow_type="Order", activity_type="ship"), "zstd"),
        (CompressionRule("none", activity_type="Order"), "zstd"),
        (CompressionRule("none", activity_type="charge", encoding="binary/plain"), "zstd"),
    ],
)
def test_types_come_from_the_context_of_the_sdk(rule: CompressionRule, expected: str) -> None:
    """In the SDK's own context for an activity, both types are known."""
    codec = codec_with(rule)

    assert expected == written(codec.with_context(ACTIVITY), JSON)
    assert "zstd" == written(codec, JSON)
    assert "zstd" == written(codec.with_context(WORKFLOW), JSON)
    assert "zstd" == written(codec.with_context(ACTIVITY).with_context(WORKFLOW), JSON)
    assert expected == written(codec.with_context(WORKFLOW).with_context(ACTIVITY), JSON)


def test_types_reach_the_codec_in_a_chain() -> None:
    """The chain passes the context on."""
    chain = CodecChain(codec_with(CompressionRule("none", activity_type="charge")))

    assert [JSON] == with_context(chain, ACTIVITY).encode_sync([JSON])
    assert [JSON] != chain.encode_sync([JSON])


def test_codec_whose_rules_need_no_type_is_the_same_in_every_context() -> None:
    """Nothing is copied where nothing could change."""
    for codec in (CompressionCodec(), codec_with(CompressionRule("zlib", encoding="json/plain"))):
        assert codec is codec.with_context(ACTIVITY)
        assert codec is codec.with_context(SimpleNamespace(namespace="a"))


def test_copy_for_a_context_is_made_once() -> None:
    """Every call with the same types gives the same copy, which shares what is costly."""
    codec = codec_with(CompressionRule("none", activity_type="charge"))
    other = SimpleNamespace(workflow_type="Order", activity_type="charge")

    assert codec.with_context(ACTIVITY) is codec.with_context(other)
    assert codec.with_context(ACTIVITY) is not codec.with_context(WORKFLOW)


def test_copies_for_any_number_of_types_work() -> None:
    """More types than are remembered are served as well."""
    codec = codec_with(CompressionRule("none", activity_type="700"))

    kinds = [
        written(codec.with_context(SimpleNamespace(activity_type=str(number))), JSON)
        for number in range(701)
    ]

    assert ["zstd"] * 700 + ["none"] == kinds


@pytest.mark.parametrize("size", [16_384, 20_000, 131_072, 1_000_000])
@pytest.mark.parametrize("algorithm", ["zstd", "zlib", "lz4", "brotli"])
def test_what_shrinks_is_compressed_at_every_size(algorithm: Any, size: int) -> None:
    """The probe passes text, base64, numbers, and random bytes of which a quarter is text."""
    source = random.Random(7)  # noqa: S311 - not a secret
    dull = source.randbytes(size)
    text = b"".join(b'{"id":%d},' % source.getrandbits(40) for _ in range(size // 10))[:size]
    numbers = b"".join(source.randrange(10**6).to_bytes(8, "little") for _ in range(size // 8))
    mixed = dull[: size // 2] + text[: size // 4] + dull[size // 2 : size * 3 // 4]
    samples = [text, numbers, mixed]
    if algorithm != "lz4":  # which has no entropy coder, so that base64 does not shrink
        samples.append(base64.b64encode(dull))

    for data in samples:
        assert algorithm == written(CompressionCodec(algorithm), Payload(data=data))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"algorithm": "zlib"}, 16_384),
        ({"algorithm": "brotli"}, 16_384),
        ({"algorithm": "lz4", "level": 9}, 16_384),
        ({"level": 9}, 16_384),
        ({}, 131_072),
        ({"algorithm": "lz4"}, 131_072),
    ],
)
def test_large_payload_without_promise_is_not_compressed(
    options: dict[str, Any], size: int
) -> None:
    """It repeats, so that compressing it would show; the probe does not see that, and decides."""
    payload = Payload(data=noise(size // 2) * 2)
    # Plain LZ4 looks back 64 KiB only.
    again = payload if options != {"algorithm": "lz4"} else Payload(data=noise(40_000) * 4)

    assert "none" == written(CompressionCodec(**options), again)
    assert "none" != written(CompressionCodec(**options, probe=False), again)


@pytest.mark.parametrize("algorithm", ["zstd", "zlib", "lz4", "brotli"])
@pytest.mark.parametrize(("block", "times"), [(1000, 17), (5000, 400), (25_000, 20)])
def test_random_blocks_that_repeat_soon_are_compressed(
    algorithm: Any, block: int, times: int
) -> None:
    """A stretch of the middle shows what samples far from each other do not."""
    payload = Payload(data=noise(block) * times)

    assert algorithm == written(CompressionCodec(algorithm), payload)


@pytest.mark.parametrize("options", [{}, {"algorithm": "lz4"}])
def test_fast_algorithms_try_what_is_not_so_large(options: dict[str, Any]) -> None:
    """Below 128 KiB a probe would cost more than it saves."""
    payload = Payload(data=noise(30_000) * 4)

    assert "none" != written(CompressionCodec(**options), payload)


def test_inputs_of_all_lengths_are_probed() -> None:
    """Odd lengths above the bound are sampled within their ends."""
    codec = CompressionCodec("zlib")

    for size in range(16_370, 16_400):
        assert "none" == written(codec, Payload(data=noise(size)))
        assert "zlib" == written(codec, Payload(data=TEXT * 10 + bytes(size)))


def test_what_is_left_alone_is_known_beforehand() -> None:
    """What is encoded already, and what is large and random; of anything else it takes a try."""
    random_bytes = noise(131_072)
    opaque = Payload(metadata={"encoding": b"binary/sealed-v1"}, data=TEXT * 100)
    cases = [
        (opaque, True, True),
        (Payload(data=random_bytes), True, False),
        (Payload(data=random_bytes[1:]), False, False),
        (Payload(data=TEXT * 10_000), False, False),
        (Payload(), False, False),
    ]

    for payload, probed, unprobed in cases:
        assert probed == CompressionCodec().leaves_alone(payload)
        assert unprobed == CompressionCodec(probe=False).leaves_alone(payload)
