"""When payloads may have been sealed with a key, by the keyring and the clock alone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealwire.errors import KeyProviderUnavailableError
from sealwire.keys import Key, Keyring, KeySet, KeySuite
from sealwire.keys.period import Period, may_seal, sealing_period
from sealwire.testing.clock import FakeClock
from sealwire.testing.keys import ScriptedKeyProvider

ROOT = bytes.fromhex("9f8e7d6c5b4a3928" * 4)
LAG = 100.0
NOW = 10_000.0


def key(key_id: str, begins: float, **options: Any) -> Key:
    return Key(key_id, ROOT, created=begins - 10, encrypt_from=begins, **options)


@pytest.mark.parametrize(
    ("keys", "period", "seals"),
    [
        pytest.param([key("k", 50)], Period(40, NOW), True, id="active"),
        pytest.param([key("k", NOW + 9)], Period(NOW - 1, NOW), True, id="pending"),
        pytest.param([key("k", 50), key("n", 900)], Period(40, 1000), False, id="replaced"),
        pytest.param(
            [key("k", 50), key("n", 900), key("m", 950)], Period(40, 1000), False, id="twice"
        ),
        pytest.param([key("k", 50), key("n", NOW - 9)], Period(40, NOW), True, id="just replaced"),
        pytest.param([key("k", 50), key("n", NOW + 9)], Period(40, NOW), True, id="to be replaced"),
        pytest.param(
            [key("k", 50), key("n", 900, disabled=True)],
            *(Period(40, NOW), True),
            id="its successor is withdrawn",
        ),
        pytest.param([key("k", 50, disabled=True)], Period(40, NOW), False, id="disabled"),
        pytest.param(
            [key("k", 50, destroyed_at=NOW + 9), key("n", 900)],
            *(Period(40, 1000), False),
            id="to be destroyed",
        ),
        pytest.param(
            [key("k", 50, suite=KeySuite.INTEROP), key("n", 900)],
            *(Period(0, NOW), True),
            id="used by other SDKs",
        ),
    ],
)
def test_the_period_of_the_oldest_key(keys: list[Key], period: Period, seals: bool) -> None:
    """From its creation until a process that missed its replacement stops using it."""
    found = KeySet(tuple(keys))
    assert period == sealing_period(found, keys[0], NOW, LAG)
    assert seals == may_seal(found, keys[0], NOW, LAG)


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["rotate", "wait", "outage", "back"]), st.integers(1, 60)),
        max_size=30,
    )
)
def test_whoever_encrypts_does_so_within_the_period(steps: list[tuple[str, float]]) -> None:
    """Whatever a process missed by outages, it uses a key only in the period of that key."""
    clock = FakeClock(1000.0)
    provider = ScriptedKeyProvider(Key("k0", ROOT, created=1000.0, encrypt_from=1000.0))
    keyring = Keyring(provider, clock=clock, refresh_interval=50.0, encrypt_grace=LAG)
    keyring.ready_sync()
    used: list[tuple[str, float]] = []
    for number, (step, seconds) in enumerate(steps, 1):
        clock.advance(seconds)
        if step == "rotate":
            new = Key(f"k{number}", ROOT, created=clock(), encrypt_from=clock())
            provider.add(new)
        elif step != "wait":
            provider.fault = ConnectionError() if step == "outage" else None
        with suppress(KeyProviderUnavailableError):
            keyring.ready_sync()
            used.append((keyring.encryption_key().id, clock()))
    with suppress(KeyProviderUnavailableError):
        asyncio.run(keyring.refresh())  # so that nothing of this example is left running
    keys = provider.answer
    for key_id, moment in used:
        (one,) = (item for item in keys.keys if item.id == key_id)
        period = sealing_period(keys, one, clock() + 1000, LAG)
        assert period.since <= moment <= period.until
