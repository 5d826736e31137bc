"""Payloads whose keys are not in the cache: how often a provider is asked, seen from the codec."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest

from sealwire.codecs import EncryptionCodec
from sealwire.errors import KeyNotFoundError
from sealwire.keys import Key, Keyring, StaticKeyProvider
from sealwire.payload import Payload
from sealwire.testing.clock import FakeClock
from sealwire.testing.keys import ScriptedKeyProvider


async def sealed_with(key: Key) -> Payload:
    keyring = Keyring(StaticKeyProvider(key))
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'"MARKER"')
    (payload,) = await EncryptionCodec(keyring, "orders").encode([plain])
    return payload


def ready_codec(provider: ScriptedKeyProvider, clock: FakeClock) -> EncryptionCodec:
    keyring = Keyring(provider, clock=clock)
    keyring.ready_sync()
    return EncryptionCodec(keyring, "orders")


@pytest.mark.parametrize("loops", [1, 4])
def test_a_thousand_decodes_of_one_cold_key_make_one_call(loops: int, clock: FakeClock) -> None:
    """A thousand at once: on one event loop, or on four of four threads that begin together."""
    cold = Key.generate("cold")
    payload = asyncio.run(sealed_with(cold))
    provider = ScriptedKeyProvider(Key.generate("warm"))
    codec = ready_codec(provider, clock)
    provider.add(cold)
    together = threading.Barrier(loops)

    async def decode_all(count: int) -> list[list[Payload]]:
        return await asyncio.gather(*(codec.decode([payload]) for _ in range(count)))

    def on_a_loop() -> list[list[Payload]]:
        together.wait(30)
        return asyncio.run(decode_all(1000 // loops))

    with ThreadPoolExecutor(loops) as pool:
        runs = [pool.submit(on_a_loop) for _ in range(loops)]
        decoded = [one.data for run in runs for (one,) in run.result()]
    assert [b'"MARKER"'] * 1000 == decoded
    assert 1 == provider.calls - 1, "beside the call that loaded the keyring"


async def test_ten_thousand_unknown_ids_are_not_ten_thousand_calls(clock: FakeClock) -> None:
    """At most twenty at one moment, and five more for each second, whatever payloads claim."""
    genuine = await sealed_with(Key.generate("stranger"))
    provider = ScriptedKeyProvider(Key.generate("warm"))
    codec = await asyncio.to_thread(ready_codec, provider, clock)
    payloads: list[Payload] = []
    for number in range(10_000):
        payload = Payload()
        payload.CopyFrom(genuine)
        payload.metadata["encryption-key-id"] = f"unknown-{number}".encode()
        payloads.append(payload)

    async def flood(batch: list[Payload]) -> int:
        before = provider.calls
        outcomes = await asyncio.gather(
            *(codec.decode([payload]) for payload in batch), return_exceptions=True
        )
        assert {KeyNotFoundError} == {type(outcome) for outcome in outcomes}
        return provider.calls - before

    calls = [await flood(payloads[:7000])]
    for begin in range(7000, 10_000, 1000):
        clock.advance(1.0)
        calls.append(await flood(payloads[begin : begin + 1000]))
    # Fewer, if many ids wait for one call.
    assert all(total <= 20 + 5 * second for second, total in enumerate(accumulate(calls)))
    assert 0 not in calls, "each second has a call for its new ids"
