from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from sealwire.errors import PayloadError
from sealwire.payload import Payload, Payloads
from sealwire.wire import format_payloads, parse_payloads

# Characters that JSON escapes, of each length in UTF-8; few, so that they meet.
TEXT = st.text('a-_"\\/\n\0\x7fé€😀', max_size=8)
INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def payloads(draw: st.DrawFn) -> Payload:
    metadata = draw(st.dictionaries(TEXT, st.binary(max_size=40), max_size=4))
    payload = Payload(metadata=metadata, data=draw(st.binary(max_size=200)))
    for size in draw(st.lists(INT64, max_size=2)):
        payload.external_payloads.add(size_bytes=size)
    return payload


BATCHES = st.lists(payloads(), max_size=5)


@given(BATCHES)
def test_reads_what_protobuf_writes(batch: list[Payload]) -> None:
    """Every message in protobuf's own JSON is read as the same message."""
    text = json_format.MessageToJson(Payloads(payloads=batch))
    assert batch == parse_payloads(text.encode())


@given(BATCHES)
def test_reads_the_names_of_the_proto(batch: list[Payload]) -> None:
    """`external_payloads` and `size_bytes`, as `temporal` writes them, are as good as camelCase."""
    text = json_format.MessageToJson(Payloads(payloads=batch), preserving_proto_field_name=True)
    assert batch == parse_payloads(text.encode())


@given(BATCHES)
def test_protobuf_reads_what_it_writes(batch: list[Payload]) -> None:
    """What is written is the same message to protobuf's own parser."""
    assert Payloads(payloads=batch) == json_format.Parse(format_payloads(batch), Payloads())


@given(BATCHES)
def test_writes_only_the_keys_of_the_message(batch: list[Payload]) -> None:
    """The output has no key that Go's strict parser would refuse, and 64-bit numbers as text."""
    message = json.loads(format_payloads(batch))
    assert set(message) <= {"payloads"}
    for payload in message.get("payloads", []):
        assert set(payload) <= {"metadata", "data", "externalPayloads"}
        for details in payload.get("externalPayloads", []):
            assert ["sizeBytes"] == list(details)
            assert isinstance(details["sizeBytes"], str)


def test_an_empty_list_is_an_empty_object() -> None:
    """No payloads are `{}` in both directions."""
    assert [] == parse_payloads(b"{}")
    assert b"{}" == format_payloads([])


def test_a_payload_without_data_has_no_data_in_the_answer() -> None:
    """A null payload keeps its metadata and shows no `data`."""
    null = Payload(metadata={"encoding": b"binary/null"})
    body = format_payloads([null])
    assert {"payloads": [{"metadata": {"encoding": "YmluYXJ5L251bGw="}}]} == json.loads(body)
    assert [null] == parse_payloads(body)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", [b"=", b""])
@given(data=st.binary(max_size=50))
def test_reads_base64_in_all_its_forms(
    encode: Callable[[bytes], bytes], padding: bytes, data: bytes
) -> None:
    """Both alphabets are read, with and without padding."""
    text = encode(data).replace(b"=", padding)
    [payload] = parse_payloads(b'{"payloads": [{"data": "%s"}]}' % text)
    assert data == payload.data


@pytest.mark.parametrize("size", ['"262145"', "262145"])
def test_reads_a_number_as_text_and_as_a_number(size: str) -> None:
    """A 64-bit number may stand in quotes or not."""
    body = f'{{"payloads": [{{"externalPayloads": [{{"sizeBytes": {size}}}]}}]}}'
    [payload] = parse_payloads(body.encode())
    assert [262145] == [details.size_bytes for details in payload.external_payloads]


def test_null_is_an_absent_field() -> None:
    """A field that is null is as if it were not there."""
    assert [] == parse_payloads(b'{"payloads": null}')
    body = b'{"payloads": [{"metadata": null, "data": null, "externalPayloads": null}]}'
    assert [Payload()] == parse_payloads(body)
    assert [Payload()] == parse_payloads(b'{"payloads": [{"external_payloads": null}]}')


def test_reads_what_the_command_sends_of_a_stored_payload() -> None:
    """A size is a number under the name of the proto."""
    body = b'{"payloads":[{"data":"e30=","external_payloads":[{"size_bytes":3003160}]}]}'
    [payload] = parse_payloads(body)
    assert [3003160] == [details.size_bytes for details in payload.external_payloads]


@pytest.mark.parametrize(
    "fields",
    [
        '"externalPayloads": [], "external_payloads": []',
        '"externalPayloads": null, "external_payloads": []',
        '"external_payloads": [{"sizeBytes": 1, "size_bytes": 1}]',
    ],
)
def test_refuses_a_field_under_both_of_its_names(fields: str) -> None:
    """Nobody can know which of the two is meant."""
    with pytest.raises(PayloadError, match="both of its names"):
        parse_payloads(f'{{"payloads": [{{{fields}}}]}}'.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"{}"',
        b"{",
        b"{} {}",
        b"\xff\xfe{}",
        b'{"payload": []}',
        b'{"payloads": {}}',
        b'{"payloads": [null]}',
        b'{"payloads": [[]]}',
        b'{"payloads": [{"Data": ""}]}',
        b'{"payloads": [{"data": 1}]}',
        b'{"payloads": [{"data": ["QQ=="]}]}',
        b'{"payloads": [{"data": "A"}]}',
        b'{"payloads": [{"data": "QQ==="}]}',
        b'{"payloads": [{"data": "QQ==QQ=="}]}',
        b'{"payloads": [{"data": "Q Q="}]}',
        b'{"payloads": [{"data": "QQ==\\n"}]}',
        b'{"payloads": [{"data": "!!!!"}]}',
        '{"payloads": [{"data": "ÄÄÄÄ"}]}'.encode(),
        b'{"payloads": [{"data": "\xff"}]}',
        b'{"payloads": [{"metadata": []}]}',
        b'{"payloads": [{"metadata": {"encoding": null}}]}',
        b'{"payloads": [{"metadata": {"encoding": 1}}]}',
        b'{"payloads": [{"metadata": {"encoding": "json/plain!"}}]}',
        b'{"payloads": [{"metadata": {"\\ud800": "QQ=="}}]}',
        b'{"payloads": [{"externalPayloads": {}}]}',
        b'{"payloads": [{"externalPayloads": [{"sizeBytes": "1x"}]}]}',
        b'{"payloads": [{"externalPayloads": [{"sizeBytes": 1.5}]}]}',
        b'{"payloads": [{"externalPayloads": [{"sizeBytes": true}]}]}',
        b'{"payloads": [{"externalPayloads": [{"sizeBytes": "9223372036854775808"}]}]}',
        b'{"payloads": [{"externalPayloads": [{"size": "1"}]}]}',
    ],
)
def test_refuses_what_is_no_message(body: bytes) -> None:
    """A damaged message is an error and never a message without payloads."""
    with pytest.raises(PayloadError):
        parse_payloads(body)


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    st.sampled_from(["", "QQ", "QQ==", "QUI=", "-_-_", "+/+/", "12", "-7", "1e3"]),
)
CAMEL = ["payloads", "metadata", "data", "externalPayloads", "sizeBytes", "x"]
NAMES = st.sampled_from([*CAMEL, "external_payloads", "size_bytes"])
NEAR_MISSES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)
BODIES = st.one_of(
    st.binary(max_size=60),
    NEAR_MISSES.map(lambda value: json.dumps(value).encode()),
    st.lists(st.dictionaries(NAMES, NEAR_MISSES, max_size=3), max_size=2).map(
        lambda items: json.dumps({"payloads": items}).encode()
    ),
)


@given(BODIES)
def test_accepts_nothing_that_protobuf_reads_otherwise(body: bytes) -> None:
    """Whatever comes, the result is a `PayloadError` or what protobuf's own parser reads."""
    try:
        batch = parse_payloads(body)
    except PayloadError:
        return
    assert Payloads(payloads=batch) == json_format.Parse(body, Payloads())
