from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from sealwire.errors import (
    ConfigurationError,
    DecryptError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyLookupError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
    SealwireError,
)
from sealwire.keys import Key, KeyProvider, Keyring, KeySet, KeySuite, StaticKeyProvider
from sealwire.keys import keyring as keyring_module
from sealwire.testing.clock import FakeClock
from sealwire.testing.keys import ScriptedKeyProvider

Leaks = Callable[..., list[str]]
ROOT = bytes.fromhex("9f8e7d6c5b4a3928" * 4)
HOUR = 3600.0
PASSWORD = "hunter2-in-the-url"


def key(key_id: str, **options: Any) -> Key:
    return Key(key_id, ROOT, **options)


def loaded(provider: KeyProvider, clock: Callable[[], float], **options: Any) -> Keyring:
    keyring = Keyring(provider, clock=clock, **options)
    keyring.ready_sync()
    return keyring


def reads(keyring: Keyring, key_id: str) -> bool:
    try:
        keyring.decryption_key(key_id)
    except KeyNotFoundError:
        return False
    return True


async def settled(keyring: Keyring) -> None:
    """Wait for a refresh that runs in the background, without starting one."""
    # Nothing public waits without asking.
    run, _ = keyring._refresher.start(lambda: False)  # pyright: ignore[reportPrivateUsage]
    await asyncio.wrap_future(run)


# The hot path and its lifetime


@pytest.fixture
def provider() -> ScriptedKeyProvider:
    return ScriptedKeyProvider(key("old"), key("new", encrypt_from=1.0))


@pytest.fixture
def keyring(provider: ScriptedKeyProvider, clock: FakeClock) -> Keyring:
    """A loaded keyring."""
    return loaded(provider, clock)


def test_the_hot_path_never_asks_the_provider(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: FakeClock
) -> None:
    """Until the refresh interval ends, keys cost no call and `ready` returns at once."""
    for _ in range(100):
        clock.advance(2.69)  # 269 s in all; 90 % of the interval is 270 s
        assert "new" == keyring.encryption_key().id
        assert "old" == keyring.decryption_key("old").id
        keyring.ready_sync()
        assert keyring.knows("old")
    assert 1 == provider.calls


async def test_keys_are_refreshed_after_the_interval_with_jitter(clock: FakeClock) -> None:
    """The next question comes 270 s to 330 s after the one before, at a different moment each."""
    moments: set[float] = set()
    for _ in range(30):
        provider = ScriptedKeyProvider(key("k"))
        keyring = Keyring(provider, clock=clock)
        await keyring.ready()
        waited = 0.0
        while provider.calls < 2:
            clock.advance(3.0)
            waited += 3.0
            keyring.decryption_key("k")
            await settled(keyring)
        moments.add(waited)
    assert 270.0 <= min(moments) <= max(moments) <= 330.0
    assert len(moments) > 3


async def test_a_refresh_blocks_nobody(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: FakeClock
) -> None:
    """While the provider takes its time, the cached keys go on, and there is one question."""
    provider.gate = threading.Event()
    provider.called.clear()
    clock.advance(331.0)
    for _ in range(100):
        assert "new" == keyring.encryption_key().id
        assert "old" == keyring.decryption_key("old").id
    await asyncio.to_thread(provider.called.wait, 30)
    assert 2 == provider.calls
    provider.gate.set()
    await settled(keyring)
    clock.advance(269.0)
    keyring.encryption_key()
    assert 2 == provider.calls


async def test_ready_waits_a_little_for_keys_that_nobody_used(
    provider: ScriptedKeyProvider,
    keyring: Keyring,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After two intervals `ready` asks first, but a slow provider delays it only so long."""
    clock.advance(599.0)
    assert keyring.is_ready
    clock.advance(1.0)
    assert not keyring.is_ready
    provider.add(key("newer", encrypt_from=2.0))
    await keyring.ready()
    assert "newer" == keyring.encryption_key().id
    clock.advance(600.0)
    monkeypatch.setattr(keyring_module, "_PATIENCE", 0.01)
    provider.gate = threading.Event()
    await keyring.ready()
    keyring.ready_sync()
    assert "newer" == keyring.encryption_key().id
    assert 3 == provider.calls
    provider.gate.set()
    await settled(keyring)
    assert keyring.is_ready


async def test_a_clock_that_is_set_back_causes_a_refresh(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: FakeClock
) -> None:
    """Keys that seem to come from the future are asked for again, and go on meanwhile."""
    clock.advance(-HOUR)
    assert not keyring.is_ready
    assert "new" == keyring.encryption_key().id
    await settled(keyring)
    assert 2 == provider.calls
    assert keyring.is_ready


async def test_a_pending_key_becomes_primary_by_the_clock_alone(clock: FakeClock) -> None:
    """At `encrypt_from`, to the moment, and without a question."""
    provider = ScriptedKeyProvider(key("old"), key("new", encrypt_from=clock() + 100.0))
    keyring = loaded(provider, clock)
    assert "new" == keyring.decryption_key("new").id
    clock.advance(99.999)
    assert "old" == keyring.encryption_key().id
    clock.advance(0.001)
    assert "new" == keyring.encryption_key().id
    assert "old" == keyring.decryption_key("old").id
    assert 1 == provider.calls


class InterruptedClock(FakeClock):
    """A clock that runs something between two instructions of whoever reads it."""

    interruption: Callable[[], object] | None = None
    readings_before = 0

    def __call__(self) -> float:
        if self.interruption is not None:
            if self.readings_before == 0:
                interruption, self.interruption = self.interruption, None
                interruption()
            self.readings_before -= 1
        return super().__call__()


def ready_on_a_loop(keyring: Keyring) -> None:
    asyncio.run(keyring.ready())


@pytest.mark.parametrize(
    ("age", "readings", "use"),
    [
        pytest.param(331.0, 1, Keyring.encryption_key, id="hot path"),
        pytest.param(600.0, 0, Keyring.ready_sync, id="ready_sync"),
        pytest.param(600.0, 0, ready_on_a_loop, id="ready"),
    ],
)
def test_a_refresh_that_is_no_longer_due_is_not_started(
    age: float, readings: int, use: Callable[[Keyring], object]
) -> None:
    """Whoever saw that keys are old, while another thread refreshed them, asks nobody."""
    clock = InterruptedClock()
    provider = ScriptedKeyProvider(key("k"))
    keyring = loaded(provider, clock)
    clock.advance(age)
    clock.readings_before = readings
    with ThreadPoolExecutor(1) as other:
        clock.interruption = lambda: other.submit(asyncio.run, keyring.refresh()).result()
        use(keyring)
    assert clock.interruption is None
    assert 2 == provider.calls


@pytest.mark.parametrize("reading", [0, 1])
def test_a_late_thread_does_not_bring_old_keys_back(reading: int) -> None:
    """An answer that arrives while another thread follows the clock is not overwritten by it."""
    clock = InterruptedClock()
    provider = ScriptedKeyProvider(key("old"), key("next", encrypt_from=clock() + 100.0))
    keyring = loaded(provider, clock)
    provider.add(key("newest", encrypt_from=clock() + 50.0))
    clock.advance(100.0)
    clock.readings_before = reading
    clock.interruption = lambda: asyncio.run(keyring.refresh())
    keyring.encryption_key()
    assert clock.interruption is None
    assert 2 == provider.calls
    assert reads(keyring, "newest")


class CountedKey(Key):
    """Counts how often anybody looks at the state of such a key."""

    looks: ClassVar[int] = 0

    @property
    def readable(self) -> bool:
        CountedKey.looks += 1
        return super().readable


@pytest.mark.parametrize("count", [1, 10_000])
def test_the_work_for_many_keys_is_done_once(count: int, clock: FakeClock) -> None:
    """Loading looks at each key a fixed number of times, and using keys looks at none."""
    keys = [CountedKey(f"k{n}", ROOT, encrypt_from=float(n)) for n in range(count)]
    CountedKey.looks = 0
    keyring = loaded(StaticKeyProvider(*keys), clock)
    assert count <= CountedKey.looks <= 4 * count
    CountedKey.looks = 0
    for one in keys:
        assert keyring.decryption_key(one.id) is one
    assert keyring.encryption_key() is keys[-1]
    assert 0 == CountedKey.looks


def test_the_suites_have_primaries_of_their_own(clock: FakeClock) -> None:
    """Each suite encrypts with its own key; without one, the error tells what is missing."""
    interop = key("interop", suite=KeySuite.INTEROP)
    keyring = loaded(StaticKeyProvider(interop), clock)
    assert interop is keyring.encryption_key(KeySuite.INTEROP)
    with pytest.raises(KeyNotFoundError, match="'default' has no active sealed-v1 key"):
        keyring.encryption_key()


# Cold starts


def test_nothing_works_before_the_keys_are_loaded(clock: FakeClock) -> None:
    """An unloaded keyring says what to call, and asks nobody."""
    provider = ScriptedKeyProvider(key("k"))
    keyring = Keyring(provider, tenant="shop", clock=clock)
    assert not keyring.is_ready
    assert not keyring.knows("k")
    uses: list[Callable[[], Key]] = [keyring.encryption_key, lambda: keyring.decryption_key("k")]
    for use in uses:
        with pytest.raises(KeyProviderUnavailableError, match=r"'shop' are not loaded: call ready"):
            use()
    assert 0 == provider.calls
    assert "Keyring(tenant='shop', provider=ScriptedKeyProvider)" == repr(keyring)


FAULTS: list[Any] = [
    pytest.param(ConnectionError(PASSWORD), "ConnectionError", id="foreign"),
    pytest.param(asyncio.CancelledError(PASSWORD), "CancelledError", id="cancelled inside"),
    pytest.param(SystemExit(PASSWORD), "SystemExit", id="exit"),
    pytest.param(KeyError(PASSWORD), "KeyError", id="bug"),
    pytest.param(ExceptionGroup(PASSWORD, [OSError(PASSWORD)]), "ExceptionGroup", id="group"),
]


@pytest.mark.parametrize(("fault", "name"), FAULTS)
async def test_a_cold_start_without_the_provider_fails(
    fault: BaseException,
    name: str,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    leaks: Leaks,
) -> None:
    """The error and the log name the provider and the kind of its failure, but not its text."""
    provider = ScriptedKeyProvider(key("k"))
    provider.fault = fault
    keyring = Keyring(provider, clock=clock)
    message = f"cannot load the keys of 'default': ScriptedKeyProvider raised {name}"
    with pytest.raises(KeyProviderUnavailableError) as caught:
        await keyring.ready()
    assert message == str(caught.value)
    with pytest.raises(KeyProviderUnavailableError) as caught_sync:
        keyring.ready_sync()
    with pytest.raises(KeyProviderUnavailableError):
        await keyring.refresh()
    with pytest.raises(KeyProviderUnavailableError):
        await keyring.keys()
    for error in (caught, caught_sync):
        # The first frame is this test's.
        assert not leaks(error.value.with_traceback(error.tb.tb_next), PASSWORD.encode())
    assert PASSWORD not in caplog.text
    assert {("sealwire.keys", logging.WARNING, f"cannot refresh keys: {message}")} == set(
        caplog.record_tuples
    )
    provider.fault = None
    await keyring.ready()
    assert "k" == keyring.encryption_key().id


@pytest.mark.parametrize(
    "fault",
    [
        KeyProviderUnavailableError("the vault is sealed", key_id="kek"),
        ConfigurationError("the document was changed"),
        DecryptError(key_id="kek"),
    ],
)
async def test_errors_of_sealwire_arrive_as_they_are(
    fault: SealwireError, clock: FakeClock
) -> None:
    """Class, text and attributes are kept; each caller gets an instance of its own."""
    provider = ScriptedKeyProvider(key("k"))
    provider.fault = fault
    keyring = Keyring(provider, clock=clock)
    errors: list[SealwireError] = []
    for _ in range(2):
        with pytest.raises(type(fault)) as caught:
            await keyring.ready()
        errors.append(caught.value)
    for error in errors:
        assert (str(fault), fault.key_id) == (str(error), error.key_id)
        assert error is not fault
        assert error.__cause__ is None
        assert error.__context__ is None
    assert errors[0] is not errors[1]
    with pytest.raises(type(fault)) as caught:
        await keyring.refresh()
    # What is kept must not collect the frames of those who are told.
    assert caught.value is not keyring._refresher.failure  # pyright: ignore[reportPrivateUsage]


async def test_a_failure_keeps_nobodys_variables(clock: FakeClock, leaks: Leaks) -> None:
    """What a provider or another caller had in its variables is not in the next error."""
    secret = bytes(range(160, 192))

    class Careless:
        async def snapshot(self, tenant: str) -> KeySet:
            root = bytes(secret)
            try:
                raise OSError(root)
            except OSError as err:
                raise ConfigurationError("the keyring is not used") from err

        async def get(self, key_id: str, tenant: str) -> Key:
            raise NotImplementedError

        async def aclose(self) -> None: ...

    keyring = Keyring(Careless(), clock=clock)

    async def other_caller(argument: bytes) -> None:
        await keyring.ready()

    with pytest.raises(ConfigurationError):
        await other_caller(bytes(ROOT))
    with pytest.raises(ConfigurationError) as caught:
        await keyring.ready()
    # The first frame is this test's.
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), secret, ROOT)


async def test_a_provider_that_hangs_is_given_up(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that takes longer than the limit counts as a failure."""

    class Hanging(ScriptedKeyProvider):
        async def snapshot(self, tenant: str) -> KeySet:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr("sealwire.keys.refresher._TIMEOUT", 0.01)
    with pytest.raises(KeyProviderUnavailableError, match="Hanging raised TimeoutError"):
        await Keyring(Hanging(), clock=clock).ready()


async def test_a_system_without_threads_fails_and_recovers(
    provider: ScriptedKeyProvider,
    keyring: Keyring,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no thread can be started the cached keys go on, and the next try is not held up."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    clock.advance(331.0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert "new" == keyring.encryption_key().id
        with pytest.raises(KeyProviderUnavailableError, match="RuntimeError"):
            await keyring.refresh()
    await keyring.refresh()
    assert 2 == provider.calls


def test_a_keyring_closes_its_provider(provider: ScriptedKeyProvider, keyring: Keyring) -> None:
    """Closing is passed on."""
    asyncio.run(keyring.aclose())
    assert provider.closed


@pytest.mark.parametrize(
    "options",
    [
        {"refresh_interval": 0.0},
        {"refresh_interval": -1.0},
        {"refresh_interval": 10.0, "encrypt_grace": 9.0},
        {"refresh_interval": 10.0, "decrypt_grace": 9.0},
    ],
)
def test_durations_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """At construction, and by the name of the parameter."""
    with pytest.raises(ConfigurationError, match="refresh"):
        Keyring(StaticKeyProvider(key("k")), **options)


# The provider is down


def test_encrypting_and_decrypting_outlive_the_provider_by_their_graces(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: FakeClock
) -> None:
    """Encrypting ends an hour after the last good answer, decrypting a day after it."""
    provider.fault = ConnectionError()
    good = clock()
    while clock() - good < HOUR - 60:
        clock.advance(60.0)
        asyncio.run(settled(keyring))
        assert "new" == keyring.encryption_key().id
        assert "old" == keyring.decryption_key("old").id
    clock.advance(60.0)
    with pytest.raises(KeyProviderUnavailableError, match="last confirmed 3600 s ago"):
        keyring.encryption_key()
    assert "old" == keyring.decryption_key("old").id
    clock.advance(23 * HOUR - 1)
    assert "old" == keyring.decryption_key("old").id
    clock.advance(1)
    with pytest.raises(KeyProviderUnavailableError, match=r"86400 s ago.*does not answer"):
        keyring.decryption_key("old")
    provider.fault = None
    asyncio.run(keyring.refresh())
    assert "new" == keyring.encryption_key().id
    assert "old" == keyring.decryption_key("old").id


async def test_a_provider_that_fails_is_asked_less_and_less(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: FakeClock
) -> None:
    """Retries double from a second to a minute, however often the keys are used."""
    provider.fault = ConnectionError()
    clock.advance(331.0)
    start = clock()
    moments: list[float] = []
    while clock() - start < 250:
        before = provider.calls
        keyring.decryption_key("old")
        await keyring.ready()
        await settled(keyring)
        if provider.calls > before:
            moments.append(clock() - start)
        clock.advance(1.0)
    assert [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0, 243.0] == moments


async def test_ready_returns_while_the_provider_is_down(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: FakeClock
) -> None:
    """With keys in the cache `ready` never fails: how old they may be is decided at each use."""
    provider.fault = ConnectionError()
    clock.advance(2 * HOUR)
    await keyring.ready()
    assert keyring.is_ready
    assert "old" == keyring.decryption_key("old").id
    assert ["old", "new"] == [one.id for one in (await keyring.keys()).keys]


async def test_an_unknown_key_is_not_missing_while_the_provider_is_down(
    provider: ScriptedKeyProvider, keyring: Keyring
) -> None:
    """Without an answer the error is the one that is worth retrying, and names the key."""
    provider.add(key("newer"))
    provider.fault = ConnectionError(PASSWORD)
    await keyring.find(["newer"])
    with pytest.raises(KeyProviderUnavailableError, match="'newer' is not in the cache") as caught:
        keyring.decryption_key("newer")
    assert "newer" == caught.value.key_id
    assert PASSWORD not in str(caught.value)
    provider.fault = None
    await keyring.find(["newer"])
    assert reads(keyring, "newer")


# Withdrawn keys


@pytest.mark.parametrize(
    ("withdrawn", "error", "message"),
    [
        (key("k", disabled=True), KeyDisabledError, "'k' is disabled"),
        (key("k", destroyed_at=1e12), KeyDisabledError, "'k' is disabled"),
        (key("k", destroyed_at=1e9), KeyDestroyedError, "'k' was destroyed on 2001-09-09"),
        (Key("k", None, destroyed_at=1e9), KeyDestroyedError, "'k' was destroyed on 2001-09-09"),
    ],
)
async def test_withdrawn_keys_are_refused_on_the_cached_path(
    withdrawn: Key, error: type[KeyLookupError], message: str, clock: FakeClock
) -> None:
    """A state that changed at the provider counts from the next refresh on."""
    provider = ScriptedKeyProvider(key("other"), key("k"))
    keyring = loaded(provider, clock)
    assert "k" == keyring.encryption_key().id
    provider.answer = KeySet((key("other"), withdrawn), 2)
    await keyring.refresh()
    await keyring.find(["k"])
    with pytest.raises(error, match=message) as caught:
        keyring.decryption_key("k")
    assert "k" == caught.value.key_id
    assert "other" == keyring.encryption_key().id
    assert keyring.knows("k")
    assert 2 == provider.calls


@pytest.mark.parametrize(
    ("suite", "fields", "told"),
    [
        (KeySuite.SEALED, None, "`sealwire keys rotate` makes a new one"),
        (KeySuite.INDEX, None, "`sealwire keys rotate --suite blind-index` makes a new one"),
        (KeySuite.INTEROP, None, "`sealwire keys import KEY` adds one"),
        (KeySuite.INTEROP, {"disabled": True}, "`sealwire keys enable k` brings"),
        (KeySuite.INDEX, {"disabled": True}, "`sealwire keys enable k` brings"),
        (KeySuite.INDEX, {"encrypt_from": 3e9}, "pending until 2065-01-24 05:20 UTC; wait, or"),
        (KeySuite.INDEX, {"encrypt_from": 3e9}, "`sealwire keys promote k`"),
        (KeySuite.INDEX, {"destroyed_at": 3e9}, "`sealwire keys cancel-destruction k` brings"),
        (KeySuite.INDEX, {"destroyed_at": 1.0}, ": `sealwire keys rotate --suite blind-index`"),
    ],
)
def test_without_an_active_key_the_command_that_brings_one_is_named(
    suite: KeySuite, fields: dict[str, Any] | None, told: str, clock: FakeClock
) -> None:
    """By the states of the keys of the suite; those of other suites do not matter."""
    others = [key(f"other-{item}", suite=item) for item in KeySuite if item is not suite]
    own = [] if fields is None else [key("k", suite=suite, **fields)]
    keyring = loaded(StaticKeyProvider(*others, *own), clock)
    with pytest.raises(KeyNotFoundError) as caught:
        keyring.encryption_key(suite)
    assert f"no active {suite} key to encrypt with: " in str(caught.value)
    assert told in str(caught.value)


async def test_a_disabled_key_can_come_back(clock: FakeClock) -> None:
    """Disabling is reversible."""
    provider = ScriptedKeyProvider(key("k", disabled=True))
    keyring = loaded(provider, clock)
    with pytest.raises(KeyNotFoundError, match="no active"):
        keyring.encryption_key()
    provider.answer = KeySet((key("k"),), 2)
    await keyring.refresh()
    assert "k" == keyring.encryption_key().id


async def test_a_key_is_destroyed_by_the_clock_alone(clock: FakeClock) -> None:
    """The error changes at the scheduled moment."""
    provider = ScriptedKeyProvider(key("k", destroyed_at=clock() + 100.0), key("other"))
    keyring = loaded(provider, clock)
    with pytest.raises(KeyDisabledError):
        keyring.decryption_key("k")
    clock.advance(100.0)
    with pytest.raises(KeyDestroyedError):
        keyring.decryption_key("k")
    assert 1 == provider.calls


# A provider that lies


LIES: list[Any] = [
    pytest.param(KeySet((key("old"),), 0), "went back from version 1 to 0", id="older"),
    pytest.param(
        KeySet((Key("old", ROOT[::-1]), key("new")), 2), "'old' has other bytes", id="other bytes"
    ),
    pytest.param(KeySet((key("old"), key("old")), 2), "two keys with one id", id="one id twice"),
]


@pytest.mark.parametrize(("lie", "message"), LIES)
async def test_a_snapshot_that_cannot_be_true_is_refused(
    lie: KeySet,
    message: str,
    provider: ScriptedKeyProvider,
    keyring: Keyring,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is reported, nothing of it is used, and the keys of before go on."""
    before = {key_id: keyring.decryption_key(key_id) for key_id in ("old", "new")}
    truth, provider.answer = provider.answer, lie
    with pytest.raises(ConfigurationError, match=message):
        await keyring.refresh()
    assert message in caplog.text
    assert before == {key_id: keyring.decryption_key(key_id) for key_id in ("old", "new")}
    assert "new" == keyring.encryption_key().id
    provider.answer = truth
    await keyring.refresh()


async def test_one_id_twice_is_refused_on_a_cold_start(clock: FakeClock) -> None:
    """There is nothing to compare with, and still one id cannot stand for two keys."""
    provider = ScriptedKeyProvider(key("k"), Key("k", ROOT[::-1]))
    with pytest.raises(ConfigurationError, match="two keys with one id"):
        await Keyring(provider, clock=clock).ready()


async def test_the_same_version_is_no_rollback(
    provider: ScriptedKeyProvider, keyring: Keyring
) -> None:
    """A provider that does not count versions can still add keys."""
    provider.answer = KeySet((*provider.answer.keys, key("third")), provider.answer.version)
    await keyring.refresh()
    assert reads(keyring, "third")


async def test_a_destroyed_key_has_no_bytes_to_compare(
    provider: ScriptedKeyProvider, keyring: Keyring
) -> None:
    """Erasing the material is no change of it."""
    provider.answer = KeySet((Key("old", None, destroyed_at=1.0), key("new")), 2)
    await keyring.refresh()
    with pytest.raises(KeyDestroyedError):
        keyring.decryption_key("old")


# Unknown ids


def find_on_a_loop(keyring: Keyring, count: int) -> None:
    async def together() -> None:
        await asyncio.gather(*(keyring.find(["cold"]) for _ in range(count)))
        assert "cold" == keyring.decryption_key("cold").id

    asyncio.run(together())


def test_a_thousand_decodes_of_a_cold_key_ask_once(
    provider: ScriptedKeyProvider, keyring: Keyring
) -> None:
    """On one event loop they share one call."""
    provider.add(key("cold"))
    find_on_a_loop(keyring, 1000)
    assert 2 == provider.calls


@pytest.mark.parametrize("warm", [True, False])
def test_decodes_on_four_loops_ask_once(warm: bool, clock: FakeClock) -> None:
    """Four threads with a loop each, and callers without a loop, share one call."""
    provider = ScriptedKeyProvider(key("k"))
    keyring = Keyring(provider, clock=clock)
    if warm:
        keyring.ready_sync()
        provider.add(key("cold"))
    else:
        provider.answer = KeySet((key("k"), key("cold")))
    before = provider.calls
    together = threading.Barrier(8)

    def on_a_loop() -> None:
        together.wait(30)
        find_on_a_loop(keyring, 250)

    def without_a_loop() -> None:
        together.wait(30)
        keyring.ready_sync()
        keyring.find_sync(["cold"])
        assert reads(keyring, "cold")

    with ThreadPoolExecutor(8) as pool:
        users = [pool.submit(use) for use in (on_a_loop, without_a_loop) for _ in range(4)]
        for user in users:
            user.result()
    assert 1 == provider.calls - before


def test_a_thousand_cold_starts_ask_once(clock: FakeClock) -> None:
    """Everybody who needs the first keys waits for the same call."""
    provider = ScriptedKeyProvider(key("k"))
    keyring = Keyring(provider, clock=clock)

    async def together() -> None:
        await asyncio.gather(*(keyring.ready() for _ in range(250)))

    with ThreadPoolExecutor(4) as pool:
        for loop in [pool.submit(asyncio.run, together()) for _ in range(4)]:
            loop.result()
    assert 1 == provider.calls


async def test_many_unknown_ids_cannot_flood_the_provider(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: FakeClock
) -> None:
    """Ten thousand ids make 20 calls at one moment, and 5 more in each second after it."""
    ids = (f"unknown-{n}" for n in range(40_000))

    async def flood(count: int) -> int:
        before = provider.calls
        await keyring.find([next(ids) for _ in range(count)])
        return provider.calls - before

    assert 20 == await flood(10_000)
    assert 0 == await flood(100)
    for seconds, calls in ((1.0, 5), (0.25, 1), (0.125, 0), (0.125, 1), (2.0, 10), (99.0, 20)):
        clock.advance(seconds)
        assert calls == await flood(100)
    assert "old" == keyring.decryption_key("old").id


async def test_an_unknown_id_is_left_alone_for_longer_each_time(
    provider: ScriptedKeyProvider, clock: FakeClock
) -> None:
    """The same id is asked for again after 30 s, then twice as long each time, up to 10 min."""
    day = 24 * HOUR  # so that no scheduled refresh is counted
    keyring = loaded(provider, clock, refresh_interval=day, encrypt_grace=day)

    async def asks() -> bool:
        before = provider.calls
        await keyring.find(["unknown"])
        assert not reads(keyring, "unknown")
        return provider.calls > before

    assert await asks()
    for delay in (30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0):
        clock.advance(delay - 0.125)
        assert not await asks()
        clock.advance(0.125)
        assert await asks()


async def test_an_id_that_turns_up_is_forgotten_as_unknown(
    provider: ScriptedKeyProvider, keyring: Keyring, clock: FakeClock
) -> None:
    """A scheduled refresh brings it in before its delay ends."""
    await keyring.find(["late"])
    provider.add(key("late"))
    await keyring.find(["late"])
    assert not reads(keyring, "late")
    await keyring.refresh()
    assert reads(keyring, "late")


async def test_only_so_many_unknown_ids_are_remembered(
    provider: ScriptedKeyProvider,
    keyring: Keyring,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest is forgotten first, so the memory is bounded and it is asked for again."""
    monkeypatch.setattr("sealwire.keys.unknown._REMEMBERED", 3)
    for key_id in ("a", "b", "c", "d"):
        await keyring.find([key_id])
    before = provider.calls
    await keyring.find(["d"])
    await keyring.find(["b"])
    assert before == provider.calls
    await keyring.find(["a"])
    assert before + 1 == provider.calls


@pytest.mark.parametrize("key_id", ["", "../etc/passwd", "a b", "a\n", "x" * 201, "ключ", "\ufffd"])
async def test_what_cannot_be_a_key_id_is_not_asked_for(
    key_id: str, provider: ScriptedKeyProvider, keyring: Keyring
) -> None:
    """A wrong form is seen without the provider."""
    await keyring.find([key_id])
    assert 1 == provider.calls
    assert not reads(keyring, key_id)


async def test_known_ids_are_not_asked_for(provider: ScriptedKeyProvider, keyring: Keyring) -> None:
    """`find` may be called with anything."""
    await keyring.find(["old", "new", "old"])
    await keyring.find([])
    keyring.find_sync(["old"])
    assert 1 == provider.calls


async def test_a_key_made_during_a_refresh_is_found(
    provider: ScriptedKeyProvider, keyring: Keyring
) -> None:
    """A call that began before the key existed is waited for, and followed by another one."""
    provider.gate = threading.Event()
    provider.called.clear()
    refreshing = asyncio.create_task(keyring.refresh())
    await asyncio.to_thread(provider.called.wait, 30)
    provider.add(key("newest"))
    finding = asyncio.create_task(keyring.find(["newest"]))
    await asyncio.sleep(0)  # lets `find` join the call that is under way
    provider.gate.set()
    await asyncio.gather(refreshing, finding)
    assert reads(keyring, "newest")
    assert 3 == provider.calls


async def test_a_refresh_asks_after_it_was_called(
    provider: ScriptedKeyProvider, keyring: Keyring
) -> None:
    """A call that began before is not enough: what changed since then is seen."""
    provider.gate = threading.Event()
    provider.called.clear()
    first = asyncio.create_task(keyring.refresh())
    await asyncio.to_thread(provider.called.wait, 30)
    provider.add(key("newest"))
    second = asyncio.create_task(keyring.refresh())
    await asyncio.sleep(0)  # lets it join the call that is under way
    provider.gate.set()
    await asyncio.gather(first, second)
    assert reads(keyring, "newest")
    assert 3 == provider.calls


async def test_a_caller_that_gives_up_disturbs_nobody(
    provider: ScriptedKeyProvider, keyring: Keyring
) -> None:
    """Cancelling one of those who wait leaves the call and the others alone."""
    provider.add(key("cold"))
    provider.gate = threading.Event()
    provider.called.clear()
    tasks = [asyncio.create_task(keyring.find(["cold"])) for _ in range(10)]
    await asyncio.to_thread(provider.called.wait, 30)
    for task in tasks[:5]:
        task.cancel()
    results = await asyncio.gather(*tasks[:5], return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    provider.gate.set()
    await asyncio.gather(*tasks[5:])
    assert reads(keyring, "cold")
    assert 2 == provider.calls


def test_a_loop_that_ended_disturbs_nobody(
    provider: ScriptedKeyProvider, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer to a caller whose event loop is closed is dropped without a word."""
    provider.gate = threading.Event()
    provider.add(key("cold"))

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(keyring.find(["cold"]), 0.001)

    asyncio.run(give_up())
    provider.gate.set()
    keyring.find_sync(["cold"])
    assert reads(keyring, "cold")
    assert not caplog.records


# Snapshots that do not list everything


@pytest.fixture
def partial(clock: FakeClock) -> ScriptedKeyProvider:
    return ScriptedKeyProvider(key("listed"), complete=False, unlisted=[key("unlisted")])


async def test_an_incomplete_snapshot_is_completed_by_get(
    partial: ScriptedKeyProvider, clock: FakeClock
) -> None:
    """A key that is not listed is asked for by its id, once, and stays."""
    keyring = loaded(partial, clock)
    assert not reads(keyring, "unlisted")
    await keyring.find(["unlisted", "listed"])
    assert reads(keyring, "unlisted")
    assert "listed" == keyring.encryption_key().id
    await keyring.refresh()
    assert reads(keyring, "unlisted")
    assert ["unlisted"] == partial.gets


async def test_what_get_does_not_know_stays_unknown(
    partial: ScriptedKeyProvider, clock: FakeClock
) -> None:
    """A key that does not exist is an answer, no failure, and is not asked for again soon."""
    keyring = loaded(partial, clock)
    for _ in range(3):
        await keyring.find(["nowhere"])
        await keyring.refresh()
        assert not reads(keyring, "nowhere")
    assert ["nowhere"] == partial.gets


async def test_listed_keys_are_not_got(partial: ScriptedKeyProvider, clock: FakeClock) -> None:
    """A key that the snapshot lists by now costs no second question."""
    keyring = Keyring(partial, clock=clock)
    await keyring.find(["listed"])
    assert reads(keyring, "listed")
    assert [] == partial.gets


async def test_a_key_that_was_got_cannot_change_its_bytes(
    partial: ScriptedKeyProvider, clock: FakeClock
) -> None:
    """Once it is listed with other bytes, the snapshot is refused."""
    keyring = loaded(partial, clock)
    await keyring.find(["unlisted"])
    partial.add(Key("unlisted", ROOT[::-1]))
    with pytest.raises(ConfigurationError, match="'unlisted' has other bytes"):
        await keyring.refresh()
    assert key("unlisted").check_value == keyring.decryption_key("unlisted").check_value


# Fork

FORKING = """
import os, sys, threading
from sealwire.keys import Key, Keyring, KeySet
from sealwire.testing.keys import ScriptedKeyProvider

old, new, newer = (Key.generate(name) for name in ("old", "new", "newer"))
provider = ScriptedKeyProvider(old)
keyring = Keyring(provider)
keyring.ready_sync()
provider.gate = threading.Event()
provider.add(new)
threading.Thread(target=keyring.find_sync, args=(["new"],), daemon=True).start()
provider.called.wait()
refresher = keyring._refresher
refresher._lock.acquire()  # as another thread may hold it at this moment
child = os.fork()
if child == 0:
    provider.gate = None
    provider.add(newer)
    assert keyring.decryption_key("old") is old, "the keys are kept"
    keyring.find_sync(["newer"])
    assert keyring.decryption_key("newer") is newer
    os._exit(0)
refresher._lock.release()
provider.gate.set()
keyring.find_sync(["new"])
assert keyring.decryption_key("new") is new
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_process_goes_on() -> None:
    """Even if forked during a call and under a lock, it has its keys and gets new ones."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


# Everything at once


def test_many_threads_see_only_whole_answers(clock: FakeClock) -> None:
    """While the provider rotates, no thread ever loses a key that it has seen."""
    provider = ScriptedKeyProvider(key("k0"))
    keyring = loaded(provider, clock)
    stop = threading.Event()

    def use() -> set[str]:
        seen: set[str] = set()
        while not stop.is_set():
            seen.add(keyring.encryption_key().id)
            for key_id in seen:
                keyring.decryption_key(key_id)
        return seen

    with ThreadPoolExecutor(2) as pool:
        users = [pool.submit(use) for _ in range(2)]
        for n in range(1, 11):
            provider.add(key(f"k{n}", encrypt_from=clock() + 50.0))
            clock.advance(400.0)
            asyncio.run(keyring.refresh())
        stop.set()
        for user in users:
            assert user.result() <= {f"k{n}" for n in range(11)}
    assert "k10" == keyring.encryption_key().id


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf")])
def test_the_fake_clock_moves_by_finite_steps(seconds: float, clock: FakeClock) -> None:
    """A test that computes nonsense is told, instead of passing at no particular time."""
    before = clock()
    with pytest.raises(ConfigurationError, match="finite"):
        clock.advance(seconds)
    assert before == clock()
