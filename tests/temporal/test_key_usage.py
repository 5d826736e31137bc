"""Which keys payloads name, wherever they are in what a server returns."""

from __future__ import annotations

import pytest
from temporalio.api.common.v1 import Memo, Payload, Payloads
from temporalio.api.failure.v1 import Failure

from sealwire.keys import Key, Keyring, KeyringWrapper, StaticKeyProvider
from sealwire.keys.data_key import pack_wraps
from sealwire.keys.document import Wrapping
from sealwire.temporal.key_usage import KeyUsage, Place


def payload(**metadata: bytes) -> Payload:
    return Payload(metadata={name.replace("_", "-"): value for name, value in metadata.items()})


def test_payloads_are_counted_by_the_key_that_they_name() -> None:
    """An alias counts for its key, and plaintext for none."""
    usage = KeyUsage({"test": "theirs"})
    named = [payload(encryption_key_id=name) for name in (b"a", b"a", b"test", b"\xff")]
    usage.add(Payloads(payloads=[*named, payload(encoding=b"json/plain")]))
    assert {"a": 2, "theirs": 1, "\ufffd": 1} == usage.payloads
    assert usage.is_complete


def test_the_first_place_of_a_key_is_an_example() -> None:
    """Under the id that the payloads are counted by."""
    usage = KeyUsage({"test": "theirs"})
    first, second = (Place("orders", "workflow", name) for name in ("first", "second"))
    usage.add(Payloads(payloads=[payload(encryption_key_id=b"test")]), first)
    usage.add(Payloads(payloads=[payload(encryption_key_id=b"test")]), second)
    assert ({"theirs": first}, {"theirs": 2}) == (usage.examples, usage.payloads)


def test_a_payload_that_is_stored_elsewhere_leaves_a_doubt() -> None:
    """Unless it names its key here."""
    usage = KeyUsage()
    here = payload(encryption_key_id=b"a")
    here.external_payloads.add(size_bytes=5)
    usage.add(here)
    assert usage.is_complete
    there = payload(encoding=b"json/protobuf")
    there.external_payloads.add(size_bytes=5)
    usage.add(there)
    assert (1, False) == (usage.elsewhere, usage.is_complete)


@pytest.mark.parametrize("wrapped_by", ["keyring", "service"])
async def test_a_key_that_wrapped_the_key_of_a_payload_is_needed(wrapped_by: str) -> None:
    """Where the key travels with the payload, the keyring's key that opens it counts, if any."""
    keyring = Keyring(StaticKeyProvider(Key.generate("a")), tenant="shop")
    wrapper = KeyringWrapper(keyring)
    wrapped = await wrapper.wrap(bytes(32), "default")
    name = await wrapper.name() if wrapped_by == "keyring" else "aws-kms:arn"
    wraps = pack_wraps([Wrapping(name, wrapped)])
    usage = KeyUsage()
    usage.add(payload(encryption_key_id=b"data-key", encryption_wrapped_key=wraps))
    assert ({"a": 1} if wrapped_by == "keyring" else {}) == usage.payloads
    assert usage.is_complete


def test_payloads_in_messages_of_the_server_are_counted() -> None:
    """At any depth, in messages of whatever type: as what schedules pass on, and requests."""
    inner = payload(encryption_key_id=b"a", encoding=b"binary/sealed-v1")
    failure = Failure()
    failure.cause.cause.encoded_attributes.CopyFrom(inner)
    for message in (Memo(fields={"encoding": inner}), Payloads(payloads=[inner]), failure):
        usage = KeyUsage()
        outer = payload(encoding=b"binary/protobuf", messageType=b"of.the.Server")
        outer.data = message.SerializeToString()
        usage.add(outer)
        assert {"a": 1} == usage.payloads


@pytest.mark.parametrize("data", [b"\x0a\x02" * 9, b"\xff" * 9, bytes(9), b""])
def test_what_is_no_message_has_no_payloads(data: bytes) -> None:
    """Whatever the bytes are, nothing is raised."""
    usage = KeyUsage()
    outer = payload(encoding=b"binary/protobuf")
    outer.data = data
    usage.add(outer)
    assert {} == usage.payloads
