"""Keys when somebody sets the system's clock, forward or back, while their provider answers or not.

`FakeClock.advance` sets the clock; in `Clocks.pass_by` time passes, for both clocks.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from sealwire.errors import KeyDestroyedError, KeyProviderUnavailableError
from sealwire.keys import DataKeys, Key, Keyring, KeySet
from sealwire.keys.unknown import UnknownKeys
from sealwire.testing import ScriptedKeyWrapper
from sealwire.testing.clock import FakeClock
from sealwire.testing.keys import ScriptedKeyProvider

HOUR = 3600.0
DAY = 24 * HOUR
MONTH = 30 * DAY
SKEWED = KeyProviderUnavailableError("RequestTimeTooSkewed")


class Clocks(FakeClock):
    """The system's clock, and the one that nobody sets."""

    steady = 0.0

    def pass_by(self, seconds: float) -> None:
        self.steady += seconds
        self.advance(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Both clocks."""
    clocks = Clocks()
    monkeypatch.setattr("sealwire.keys.moment._steady", lambda: clocks.steady)
    return clocks


@pytest.fixture
def provider() -> ScriptedKeyProvider:
    """A provider with one key."""
    return ScriptedKeyProvider(Key.generate("k"))


@pytest.fixture
def keyring(provider: ScriptedKeyProvider, clock: Clocks) -> Keyring:
    """A loaded keyring."""
    keyring = Keyring(provider, clock=clock)
    keyring.ready_sync()
    return keyring


@pytest.fixture
def kek() -> ScriptedKeyWrapper:
    """A key-encryption key."""
    return ScriptedKeyWrapper()


def settle(keys: Keyring | DataKeys) -> None:
    """Wait for what is under way, without starting anything."""
    holder = keys if isinstance(keys, Keyring) else vars(keys)["_present"]
    run: Future[None] = vars(holder)["_refresher"].start(lambda: False)[0]
    run.result(10)


def works(keyring: Keyring) -> tuple[bool, bool]:
    """Whether the key encrypts and decrypts, in that order of use; and let a refresh end."""

    def encrypts() -> bool:
        try:
            return "k" == keyring.encryption_key().id
        except KeyProviderUnavailableError:
            return False

    def decrypts() -> bool:
        try:
            return "k" == keyring.decryption_key("k").id
        except KeyProviderUnavailableError:
            return False

    keyring.ready_sync()
    result = encrypts(), decrypts()
    assert result[0] == encrypts(), "what decrypts makes no difference to what encrypts"
    settle(keyring)
    return result


def seals(keys: DataKeys) -> str | None:
    """The key that seals now, if there is one; and let a renewal end."""
    keys.ready_sync()
    try:
        return keys.use().key.id
    except KeyProviderUnavailableError:
        return None
    finally:
        settle(keys)


# A keyring


def test_a_failure_under_a_wrong_clock_delays_no_refresh_under_the_right_one(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: Clocks
) -> None:
    """A clock that was a month ahead for a while, with a failing provider, leaves no trace."""
    clock.advance(MONTH)
    provider.fault = SKEWED
    assert (False, False) == works(keyring)
    clock.advance(-MONTH)
    provider.fault = None
    clock.pass_by(400.0)
    before = provider.calls
    assert (True, True) == works(keyring)
    assert before + 1 == provider.calls
    for _ in range(30):
        clock.pass_by(DAY)
        assert (True, True) == works(keyring)


def test_keys_from_the_future_are_confirmed_at_once(
    provider: ScriptedKeyProvider, clock: Clocks
) -> None:
    """Keys that were loaded under a clock a month ahead, destroyed since, are used no more."""
    clock.advance(MONTH)
    keyring = Keyring(provider, clock=clock)
    keyring.ready_sync()
    clock.advance(-MONTH)
    provider.answer = KeySet((Key("k", None, destroyed_at=1.0), Key.generate("next")), 2)
    keyring.ready_sync()
    assert "next" == keyring.encryption_key().id
    with pytest.raises(KeyDestroyedError):
        keyring.decryption_key("k")


@pytest.mark.parametrize("ahead", [1.0, HOUR, MONTH])
def test_keys_from_the_future_outlive_an_outage_by_the_same_graces(
    ahead: float, provider: ScriptedKeyProvider, clock: Clocks
) -> None:
    """A step back, small or large, neither begins the outage earlier nor ends it later."""
    clock.advance(ahead)
    keyring = Keyring(provider, clock=clock)
    keyring.ready_sync()
    provider.fault = SKEWED
    clock.advance(-ahead)
    for seconds, expected in (
        (0.0, (True, True)),
        (HOUR - 1, (True, True)),
        (1.0, (False, True)),
        (23 * HOUR - 1, (False, True)),
        (1.0, (False, False)),
    ):
        clock.pass_by(seconds)
        assert expected == works(keyring)
    provider.fault = None
    clock.pass_by(60.0)
    assert (True, True) == works(keyring)


def test_a_step_back_during_an_outage_gives_no_time(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: Clocks
) -> None:
    """Keys whose grace is over stay so when the clock shows the time of their loading again."""
    provider.fault = SKEWED
    clock.pass_by(2 * HOUR)
    assert (False, True) == works(keyring)
    clock.advance(60.0 - 2 * HOUR)
    assert (False, True) == works(keyring)
    clock.pass_by(22 * HOUR)
    clock.advance(-DAY)
    assert (False, False) == works(keyring)


def test_a_step_forward_during_an_outage_ends_with_its_correction(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: Clocks
) -> None:
    """Keys seem too old meanwhile, and are of their real age afterwards."""
    provider.fault = SKEWED
    clock.advance(MONTH)
    assert (False, False) == works(keyring)
    clock.pass_by(60.0)
    clock.advance(-MONTH)
    assert (True, True) == works(keyring)


def test_keys_stay_overdue_after_a_step_back_until_they_are_confirmed(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: Clocks
) -> None:
    """The provider is asked again and again, a minute apart at most, although keys are new."""
    provider.fault = SKEWED
    clock.advance(-MONTH)
    assert (True, True) == works(keyring)
    before = provider.calls
    for _ in range(3):
        clock.pass_by(61.0)
        assert (True, True) == works(keyring)
    assert before + 3 == provider.calls


def test_time_that_only_the_clock_of_the_system_shows_lets_the_graces_end(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: Clocks
) -> None:
    """What the system's clock shows after a step back counts, too: machines sleep."""
    provider.fault = SKEWED
    clock.advance(-MONTH)
    assert (True, True) == works(keyring)
    clock.advance(HOUR)
    assert (False, True) == works(keyring)
    clock.advance(23 * HOUR)
    assert (False, False) == works(keyring)


# What was asked for in vain


def test_an_unknown_id_is_not_left_alone_for_longer_by_a_step_back(clock: Clocks) -> None:
    """Its pause is over when the clock goes back behind the answer."""
    unknown = UnknownKeys(clock)
    clock.advance(MONTH)
    unknown.answered("x", found=False)
    assert unknown.is_left_alone("x")
    clock.advance(-MONTH)
    assert not unknown.is_left_alone("x")


# Data keys


def test_a_data_key_is_renewed_after_a_failure_under_a_wrong_clock(
    kek: ScriptedKeyWrapper, clock: Clocks
) -> None:
    """A clock that was a month ahead for a while, with a failing service, leaves no trace."""
    keys = DataKeys(kek, clock=clock)
    first = seals(keys)
    clock.advance(MONTH)
    kek.fault = SKEWED
    assert None is seals(keys)
    clock.advance(-MONTH)
    kek.fault = None
    clock.pass_by(400.0)
    assert first == seals(keys)
    for _ in range(3):
        clock.pass_by(3 * HOUR)
        before, now = kek.wraps, seals(keys)
        assert now not in {None, first}
        assert before + 1 == kek.wraps


@pytest.mark.parametrize("ahead", [1.0, HOUR, MONTH])
def test_a_data_key_from_the_future_outlives_an_outage_by_the_same_grace(
    ahead: float, kek: ScriptedKeyWrapper, clock: Clocks
) -> None:
    """A step back, small or large, neither begins the outage earlier nor ends it later."""
    clock.advance(ahead)
    keys = DataKeys(kek, clock=clock)
    first = seals(keys)
    kek.fault = SKEWED
    clock.advance(-ahead)
    assert first == seals(keys)
    clock.pass_by(2 * HOUR - 1)
    assert first == seals(keys)
    clock.pass_by(1.0)
    assert None is seals(keys)
    clock.advance(-MONTH)
    assert None is seals(keys)
    kek.fault = None
    clock.pass_by(60.0)
    assert seals(keys) not in {None, first}


def test_time_that_only_the_clock_of_the_system_shows_lets_the_grace_of_a_data_key_end(
    kek: ScriptedKeyWrapper, clock: Clocks
) -> None:
    """What the system's clock shows after a step back counts, too: machines sleep."""
    keys = DataKeys(kek, clock=clock)
    first = seals(keys)
    kek.fault = SKEWED
    clock.advance(-MONTH)
    assert first == seals(keys)
    clock.advance(2 * HOUR)
    assert None is seals(keys)


def test_an_opened_data_key_outlives_an_outage_after_a_step_back(
    kek: ScriptedKeyWrapper, clock: Clocks
) -> None:
    """Its wrap is opened again at once; when that fails, it decrypts until its grace is over."""
    writer = DataKeys(kek, clock=clock)
    writer.ready_sync()
    wraps, reader = writer.use().wraps, DataKeys(kek, read_only=True, clock=clock)
    clock.advance(MONTH)
    found = reader.find_sync([wraps])
    clock.advance(-MONTH)
    kek.fault = SKEWED
    kek.unwraps.clear()
    assert None is reader.opened(wraps)
    assert found.key is reader.find_sync([wraps]).key
    assert reader.opened(wraps)
    assert 1 == len(kek.unwraps)
    clock.pass_by(DAY - 1)
    assert found.key is reader.find_sync([wraps]).key
    clock.pass_by(1.0)
    with pytest.raises(KeyProviderUnavailableError, match="RequestTimeTooSkewed"):
        reader.find_sync([wraps])


def test_an_outage_under_a_wrong_clock_prolongs_no_opened_key_under_the_right_one(
    kek: ScriptedKeyWrapper, clock: Clocks
) -> None:
    """A key that was prolonged while the clock was ahead is confirmed after the correction."""
    writer = DataKeys(kek, clock=clock)
    writer.ready_sync()
    wraps, reader = writer.use().wraps, DataKeys(kek, read_only=True, clock=clock)
    reader.find_sync([wraps])
    clock.advance(10 * HOUR)
    kek.fault = SKEWED
    reader.find_sync([wraps])
    clock.advance(-10 * HOUR)
    assert None is reader.opened(wraps)


# What decrypting has to do with encrypting


def test_decrypting_lets_nothing_encrypt_after_its_grace(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: Clocks
) -> None:
    """Between the two graces a batch has keys to read with and none to write with."""
    provider.fault = SKEWED
    clock.pass_by(2 * HOUR)
    assert "k" == keyring.decryption_key("k").id
    window = keyring.window()
    assert window is not None
    assert {"k"} == set(window.readable)
    assert {} == window.primaries
    with pytest.raises(KeyProviderUnavailableError, match="7200 s ago"):
        keyring.encryption_key()
    provider.fault = None
    asyncio.run(keyring.refresh())
    assert "k" == keyring.encryption_key().id
