"""`DataKeys`: made, kept, replaced, opened and refused; with a fake clock and scripted faults."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sealwire import tlv
from sealwire.errors import (
    ConfigurationError,
    DecryptError,
    KeyDestroyedError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
    SealwireError,
)
from sealwire.keys import (
    DataKeys,
    FolderKeyringStore,
    KeyringAdmin,
    LocalKeyWrapper,
    WrappedKeyProvider,
)
from sealwire.keys.data_key import DataKey, pack_wraps, unpack_wraps
from sealwire.keys.document import FORMAT, Document, DocumentKey, Wrapping
from sealwire.testing import FakeClock, ScriptedKeyWrapper
from sealwire.testing.sharing import in_a_fork

Leaks = Callable[..., list[str]]
SECRET = bytes(range(100, 132))
HOUR = 3600.0
DOWN = KeyProviderUnavailableError("the service is down")


@pytest.fixture
def kek() -> ScriptedKeyWrapper:
    """A key-encryption key."""
    return ScriptedKeyWrapper()


@pytest.fixture
def make(kek: ScriptedKeyWrapper, clock: FakeClock) -> Callable[..., DataKeys]:
    """Makes the data keys of another process each time."""

    def build(*wrappers: Any, **options: Any) -> DataKeys:
        return DataKeys(wrappers or kek, clock=clock, **options)

    return build


def present(keys: DataKeys) -> str:
    """The id of the key that seals now."""
    keys.ready_sync()
    return keys.use().key.id


def wraps_of(keys: DataKeys) -> bytes:
    """The wraps of the key that seals now."""
    keys.ready_sync()
    return keys.use().wraps


def settle(keys: DataKeys) -> None:
    """Wait for a renewal that is under way."""
    run: Future[None] | None = vars(keys)["_present"]._refresher._running
    if run is not None:
        run.result(10)


def refused(keys: DataKeys, wraps: bytes, error: type[SealwireError]) -> SealwireError:
    """Check that these wraps are refused with exactly this error."""
    with pytest.raises(SealwireError) as caught:
        keys.find_sync([wraps])
    assert error is type(caught.value)
    return caught.value


def failure(keys: DataKeys) -> SealwireError:
    """The error of making a key, without the frames of the test."""
    with pytest.raises(KeyProviderUnavailableError) as caught:
        keys.ready_sync()
    return caught.value


def hostile(number: int, name: bytes = b"scripted") -> bytes:
    """Wraps that nobody made."""
    return tlv.pack({name: b"hostile %d" % number})


def let_others_pass(kek: ScriptedKeyWrapper) -> None:
    """Wait until a call is held, and hold no others."""
    assert kek.asked.wait(10)
    kek.asked = threading.Event()  # a child process may get the lock of the old one locked
    kek.gate = None


def test_the_id_and_the_content_key_are_derived() -> None:
    """As the wire format says, from the secret alone."""
    label = b"sealwire/enveloped-v1\x00"
    key_id = "dk-" + HKDFExpand(SHA512(), 16, label + b"key-id").derive(SECRET).hex()
    info = label + b"content-key\x00" + key_id.encode()

    key = DataKey(SECRET)

    assert (key_id, key_id.encode()) == (key.id, key.id_bytes)
    assert HKDFExpand(SHA512(), 32, info).derive(SECRET) == key.content_key


def test_a_data_key_shows_its_id_alone(leaks: Leaks) -> None:
    """Neither text, nor pickle, nor a change, nor a wrong size shows more."""
    key = DataKey(SECRET)

    assert f"DataKey(id={key.id!r})" == repr(key)
    assert key is copy.copy(key)
    assert key is copy.deepcopy(key)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(key)
    with pytest.raises(AttributeError, match="cannot be changed"):
        key.content_key = b""
    with pytest.raises(ConfigurationError, match="32 bytes") as caught:
        DataKey(SECRET + SECRET)
    assert [] == leaks(caught.value, SECRET)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        DataKey(SECRET[:-1])


def test_what_holds_data_keys_shows_none(
    make: Callable[..., DataKeys], roots: list[bytes], leaks: Leaks
) -> None:
    """The whole object tells its tenant, and refuses to be pickled."""
    keys = make(tenant="shop")
    keys.ready_sync()
    used = keys.use()
    shown = f"{keys!r} {used!r} {keys.opened(used.wraps)!r}"

    assert "DataKeys(tenant='shop')" == repr(keys)
    assert [] == leaks(shown, *roots, used.key.content_key)
    with pytest.raises(TypeError):
        pickle.dumps(keys)


@pytest.mark.parametrize("fault", [DOWN, ValueError("its text holds the secret")])
def test_a_failure_shows_no_secret(
    make: Callable[..., DataKeys],
    kek: ScriptedKeyWrapper,
    roots: list[bytes],
    leaks: Leaks,
    fault: Exception,
) -> None:
    """Neither the error nor the variables of its frames show the key that was to be wrapped."""
    kek.fault = fault
    error = failure(make())

    assert 1 == len(roots)
    assert [] == leaks(error, *roots)
    assert "holds the secret" not in str(error)


@pytest.mark.parametrize(
    "pairs",
    [
        {},
        {b"a": b""},
        {b"": b"x"},
        {b"a\n": b"x"},
        {b"\xff": b"x"},
        {b"a": bytes(4096)},
        {b"a" * 513: b"x"},
        {b"%d" % number: b"x" for number in range(5)},
    ],
    ids=["none", "empty", "unnamed", "unprintable", "no text", "too long", "long name", "too many"],
)
def test_wraps_out_of_bounds_are_none(pairs: dict[bytes, bytes]) -> None:
    """At most four wraps and 4 KiB, each with something in it and a name that can be shown."""
    assert unpack_wraps(tlv.pack(pairs)) is None
    with pytest.raises(ConfigurationError, match="at most 4 wrapped keys and 4096 bytes"):
        pack_wraps(
            Wrapping(name.decode("utf-8", "surrogateescape"), key) for name, key in pairs.items()
        )


def test_wraps_have_one_form() -> None:
    """What was packed is unpacked; cut off at any length, or with more at the end, it is not."""
    wraps = (Wrapping("a", b"1"), Wrapping("b" * 512, bytes(300)))
    packed = pack_wraps(reversed(wraps))

    assert wraps == unpack_wraps(packed)
    assert pack_wraps(wraps) == packed
    assert [None] * len(packed) == [unpack_wraps(packed[:size]) for size in range(len(packed))]
    assert unpack_wraps(packed + b"x") is None


def test_another_process_opens_what_this_one_wrapped(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """One call, and none for the keys that a process made itself."""
    writer, reader = make(), make()
    wraps = wraps_of(writer)
    kek.unwraps.clear()

    own, others = writer.opened(wraps), reader.find_sync([wraps])

    assert own is not None
    assert own.key.id == others.key.id == present(writer)
    assert own.key.content_key == others.key.content_key
    assert 1 == len(kek.unwraps)
    assert others is reader.opened(wraps)


def test_a_wrap_for_a_payload_opens_no_keyring(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """Data keys are bound to a tenant that no keyring has, so that neither serves as the other."""
    keys = make(tenant="shop")
    wraps = unpack_wraps(wraps_of(keys))

    assert {"enveloped-v1/shop"} == kek.tenants
    assert wraps is not None
    with pytest.raises(ConfigurationError):
        asyncio.run(kek.unwrap(wraps[0].key, "shop"))
    refused(make(tenant="other"), wraps_of(keys), DecryptError)
    keyrings = asyncio.run(kek.wrap(SECRET, "shop"))
    refused(make(tenant="shop"), tlv.pack({b"scripted": keyrings}), DecryptError)


async def test_no_keyring_belongs_to_the_tenant_of_data_keys(
    kek: ScriptedKeyWrapper, tmp_path: Path
) -> None:
    """So whoever has a data key cannot put a keyring document of their own under it."""
    store = FolderKeyringStore(tmp_path)
    document = Document(FORMAT, "enveloped-v1/shop", 1, (), ())
    await store.save("enveloped-v1/shop", DocumentKey(SECRET).sign(document), None)

    with pytest.raises(ConfigurationError, match="no keyring belongs to a tenant"):
        await WrappedKeyProvider(store, kek).snapshot("enveloped-v1/shop")
    with pytest.raises(ConfigurationError, match="no keyring belongs to a tenant"):
        await KeyringAdmin(store, kek, "enveloped-v1/other").create()


def test_a_key_is_replaced_ahead_of_its_time(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """In the background: who triggers it still gets the old key, and waits for nothing."""
    keys = make()
    first = present(keys)
    clock.advance(0.79 * HOUR)
    assert (first, 1) == (present(keys), kek.wraps)

    clock.advance(0.12 * HOUR)
    gate = kek.hold()
    assert first == present(keys)
    assert first == present(keys)
    gate.set()
    settle(keys)

    assert first != present(keys)
    assert 2 == kek.wraps


def test_a_key_seals_a_bounded_number_of_payloads(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """The one after the last starts the renewal, and is sealed without waiting for it."""
    keys = make(max_messages=3)
    keys.ready_sync()
    ids = [keys.use().key.id for _ in range(3)]
    assert 1 == kek.wraps

    ids.append(keys.use().key.id)
    settle(keys)

    assert 1 == len(set(ids))
    assert present(keys) not in ids
    assert 2 == kek.wraps


def test_a_fleet_does_not_renew_at_once(clock: FakeClock) -> None:
    """The moment is drawn for each key, between 80 and 90 % of its lifetime."""
    moments: set[float] = set()
    for _ in range(20):
        keys = DataKeys(ScriptedKeyWrapper(), clock=clock)
        keys.ready_sync()
        moments.add(vars(keys)["_present"]._made.renew_at - clock())

    assert 20 == len(moments)
    assert all(0.8 * HOUR <= moment <= 0.9 * HOUR for moment in moments)


def test_encrypting_outlives_an_outage_by_its_grace(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """Lifetime and grace long the present key goes on; then the error says so, until it is over."""
    keys = make(encrypt_grace=HOUR)
    first = present(keys)
    kek.fault = DOWN

    clock.advance(2 * HOUR - 1)
    assert first == present(keys)
    settle(keys)
    clock.advance(1)
    with pytest.raises(KeyProviderUnavailableError, match=r"7200 s old.*the service is down"):
        present(keys)

    kek.fault = None
    clock.advance(61)
    assert first != present(keys)


def test_an_outage_is_asked_about_with_pauses(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """A thousand payloads in the same second make one try."""
    keys = make()
    keys.ready_sync()
    kek.fault = DOWN
    clock.advance(0.95 * HOUR)

    for _ in range(1000):
        present(keys)
        settle(keys)

    assert 2 == kek.wraps


def test_an_idle_process_waits_shortly_for_a_new_key(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """After its lifetime a key is replaced first, but a service that hangs stops nobody."""
    keys = make()
    first = present(keys)
    clock.advance(1.5 * HOUR)
    second = present(keys)
    assert first != second

    clock.advance(1.5 * HOUR)
    gate = kek.hold()
    assert second == present(keys)
    gate.set()
    settle(keys)
    assert second != present(keys)


def test_a_clock_that_goes_back_is_no_reason_to_trust_a_key_for_longer(
    make: Callable[..., DataKeys], clock: FakeClock
) -> None:
    """A key from the future is replaced."""
    keys = make()
    first = present(keys)
    clock.advance(-10)
    present(keys)
    settle(keys)

    assert first != present(keys)


async def test_many_who_start_at_once_make_one_key(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """A thousand tasks and eight threads."""
    keys = make()
    with ThreadPoolExecutor(8) as pool:
        threads = [pool.submit(present, keys) for _ in range(8)]
        await asyncio.gather(*(keys.ready() for _ in range(1000)))
        ids = {thread.result() for thread in threads}

    assert {keys.use().key.id} == ids
    assert 1 == kek.wraps


def test_a_cold_start_without_the_service_fails(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """With what the service said, and works as soon as it is there."""
    keys = make()
    with pytest.raises(KeyProviderUnavailableError, match="there is no data key yet"):
        keys.use()
    kek.fault = DOWN
    with pytest.raises(KeyProviderUnavailableError, match="the service is down"):
        keys.ready_sync()

    kek.fault = None
    assert present(keys)


def test_keys_for_reading_only_are_never_made(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """A process that may not wrap reads all the same."""
    wraps = wraps_of(make())
    kek.wraps = 0
    reader = make(read_only=True)

    reader.ready_sync()
    assert reader.find_sync([wraps])
    with pytest.raises(KeyNotFoundError, match="for reading only"):
        reader.use()
    assert 0 == kek.wraps


def test_a_child_process_goes_on_with_the_key(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """Without a call, although a renewal was under way; and it can renew by itself."""
    keys = make()
    first = present(keys)
    clock.advance(0.95 * HOUR)
    gate = kek.hold()
    present(keys)  # begins the renewal, whose thread the child will not have
    let_others_pass(kek)

    def child() -> bytes:
        before = present(keys)
        settle(keys)
        return f"{before} {present(keys)}".encode()

    before, after = in_a_fork(child, 10.0).decode().split()
    gate.set()
    settle(keys)

    assert first == before
    assert 3 == len({first, after, present(keys)})


def test_a_child_process_opens_what_was_being_opened(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """A question that the parent was asking does not block the child."""
    wraps = wraps_of(make())
    reader = make()
    gate = kek.hold()
    with ThreadPoolExecutor(1) as pool:
        parent = pool.submit(reader.find_sync, [wraps])
        let_others_pass(kek)
        found = in_a_fork(lambda: reader.find_sync([wraps]).key.id_bytes, 10.0)
        gate.set()

        assert parent.result().key.id_bytes == found


def open_often(keys: DataKeys, wraps: bytes, times: int) -> set[str]:
    """Open wraps in so many tasks of one event loop, and return the ids of the keys."""

    async def run() -> set[str]:
        found = await asyncio.gather(*(keys.find([wraps]) for _ in range(times)))
        return {opened.key.id for opened in found}

    return asyncio.run(run())


async def test_a_thousand_who_want_one_key_ask_once(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """From one event loop, and from four threads with a loop each."""
    for spread in (1, 4):
        writer, reader = make(), make()
        present_id, wraps = present(writer), wraps_of(writer)
        kek.unwraps.clear()
        gate = kek.hold()

        with ThreadPoolExecutor(spread) as pool:
            runs = [pool.submit(open_often, reader, wraps, 1000 // spread) for _ in range(spread)]
            await asyncio.to_thread(kek.asked.wait, 10)
            gate.set()
            ids = [await asyncio.wrap_future(run) for run in runs]
        kek.gate = None

        assert 1 == len(kek.unwraps)
        assert [{present_id}] * spread == ids


async def test_a_caller_who_gives_up_takes_nobody_along(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """The others get the key."""
    wraps, reader = wraps_of(make()), make()
    gate = kek.hold()
    first, second = (asyncio.create_task(reader.find([wraps])) for _ in range(2))
    await asyncio.to_thread(kek.asked.wait, 10)
    first.cancel()
    gate.set()

    assert (await second).key
    with pytest.raises(asyncio.CancelledError):
        await first


def test_ten_thousand_hostile_wraps_make_few_calls(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """Twenty at once and five a second, all unknown wraps together."""
    reader = make(read_only=True)
    outcomes: dict[type, int] = {}
    for number in range(10_000):
        with pytest.raises(SealwireError) as caught:
            reader.find_sync([hostile(number)])
        outcomes[caught.type] = outcomes.get(caught.type, 0) + 1
    assert 20 == len(kek.unwraps)
    assert {DecryptError: 20, KeyProviderUnavailableError: 9980} == outcomes

    clock.advance(2)
    for number in range(10_000, 10_100):
        with pytest.raises(SealwireError):
            reader.find_sync([hostile(number)])
    assert 30 == len(kek.unwraps)


async def test_hostile_wraps_at_once_make_few_calls(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """Concurrency changes nothing."""
    reader = make(read_only=True)
    found = await asyncio.gather(
        *(reader.find([hostile(number)]) for number in range(1000)), return_exceptions=True
    )

    assert {DecryptError, KeyProviderUnavailableError} == set(map(type, found))
    assert 20 == len(kek.unwraps)


def test_what_does_not_open_is_left_alone_for_a_while(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """30 seconds at first, and twice as long each time."""
    reader = make(read_only=True)
    asked: list[int] = []
    for pause in (0, 29, 1, 59, 1, 119, 1):
        clock.advance(pause)
        refused(reader, hostile(0), DecryptError)
        asked.append(len(kek.unwraps))

    assert [1, 1, 2, 2, 3, 3, 4] == asked


def test_all_causes_of_a_refusal_look_the_same(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, caplog: pytest.LogCaptureFixture
) -> None:
    """Wraps of garbage, of another tenant and of a key of another size give one message."""
    short = asyncio.run(kek.wrap(b"short", "enveloped-v1/default"))
    reader = make(read_only=True)
    cases = [hostile(0), wraps_of(make(tenant="b")), tlv.pack({b"scripted": short})]
    caplog.clear()
    messages = {str(refused(reader, wraps, DecryptError)) for wraps in cases}

    assert 1 == len(messages)
    assert ["cannot open a data key: this was wrapped by another key"] * 2 + [
        "cannot open a data key: a data key does not have 32 bytes"
    ] == [record.getMessage() for record in caplog.records]


def test_many_good_wraps_are_not_taken_for_an_attack(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """Those with which an authentic payload was read do not count against the limit."""
    reader = make(read_only=True)
    for _ in range(100):
        reader.prove(reader.find_sync([wraps_of(make())]))
    kek.unwraps.clear()

    for number in range(100):
        with pytest.raises(SealwireError):
            reader.find_sync([hostile(number)])
    assert 20 == len(kek.unwraps)


def test_good_keys_in_bad_wraps_count(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """A wrap that opens, copied beside others, makes no more calls than one that does not."""
    wraps = unpack_wraps(wraps_of(make()))
    assert wraps is not None
    reader = make(read_only=True)
    kek.unwraps.clear()

    opened = 0
    for number in range(1000):
        copied = pack_wraps((*wraps, Wrapping("other", b"%d" % number)))
        try:
            reader.find_sync([copied])
            opened += 1
        except KeyProviderUnavailableError:
            pass

    assert (20, 20) == (opened, len(kek.unwraps))


def test_the_cache_is_bounded_and_prefers_what_was_of_use(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """First those go that opened nothing, then those that were not used for the longest time."""
    reader = make(read_only=True, max_cached=3)
    good = [wraps_of(make()) for _ in range(3)]
    for wraps in good:
        clock.advance(1)
        reader.prove(reader.find_sync([wraps]))
    clock.advance(1)
    assert reader.opened(good[0])
    for _ in range(5):
        clock.advance(1)
        reader.find_sync([wraps_of(make())])

    assert [True, False, True] == [reader.opened(wraps) is not None for wraps in good]


def test_an_opened_key_is_confirmed_again(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """After its lifetime, so that a key-encryption key that was withdrawn shows."""
    wraps, reader = wraps_of(make()), make(read_only=True)
    reader.prove(reader.find_sync([wraps]))
    kek.unwraps.clear()

    clock.advance(HOUR - 1)
    assert reader.opened(wraps)
    clock.advance(1)
    assert reader.opened(wraps) is None
    assert reader.find_sync([wraps])
    assert 1 == len(kek.unwraps)

    clock.advance(HOUR)
    kek.fault = ConfigurationError("the key is disabled")
    refused(reader, wraps, DecryptError)
    assert reader.opened(wraps) is None
    kek.fault = DOWN
    clock.advance(31)
    refused(reader, wraps, KeyProviderUnavailableError)


@pytest.mark.parametrize("withdrawn", [KeyDisabledError, KeyDestroyedError])
def test_a_withdrawn_key_encryption_key_is_no_outage(
    withdrawn: type[SealwireError],
    make: Callable[..., DataKeys],
    kek: ScriptedKeyWrapper,
    clock: FakeClock,
) -> None:
    """What it had wrapped is not read for the time of grace, and it is not asked on and on."""
    wraps, reader = wraps_of(make()), make(read_only=True)
    reader.prove(reader.find_sync([wraps]))
    kek.unwraps.clear()

    clock.advance(HOUR)
    kek.fault = withdrawn("an administrator has withdrawn it")
    for _ in range(3):
        refused(reader, wraps, DecryptError)
    assert reader.opened(wraps) is None
    assert 1 == len(kek.unwraps)


def test_an_attack_does_not_stop_those_who_know_their_keys(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """To open a key again that has read a payload takes no token."""
    wraps, reader = wraps_of(make()), make(read_only=True)
    reader.prove(reader.find_sync([wraps]))
    clock.advance(HOUR)
    for number in range(30):
        with pytest.raises(SealwireError):
            reader.find_sync([hostile(number)])
    kek.unwraps.clear()

    assert reader.find_sync([wraps])
    assert 1 == len(kek.unwraps)


def test_decrypting_outlives_an_outage_by_its_grace(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """A key that was opened is used while nobody answers, asked for once a minute, for a day."""
    wraps, reader = wraps_of(make()), make(read_only=True, decrypt_grace=24 * HOUR)
    found = reader.find_sync([wraps])
    kek.fault = DOWN
    kek.unwraps.clear()

    clock.advance(HOUR)
    assert found.key is reader.find_sync([wraps]).key
    assert reader.opened(wraps)
    clock.advance(60)
    assert reader.opened(wraps) is None
    assert found.key is reader.find_sync([wraps]).key
    assert 2 == len(kek.unwraps)

    clock.advance(23 * HOUR - 61)
    assert reader.find_sync([wraps])
    clock.advance(1)
    assert reader.opened(wraps) is None
    error = refused(reader, wraps, KeyProviderUnavailableError)
    assert "the service is down" in str(error)


async def test_a_service_that_hangs_does_not_stop_reading(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper, clock: FakeClock
) -> None:
    """A key that was opened before is used after half a second, async and sync."""
    wraps, reader = wraps_of(make()), make(read_only=True)
    found = reader.find_sync([wraps])
    clock.advance(HOUR)
    gate = kek.hold()

    assert found.key is (await reader.find([wraps])).key
    clock.advance(60)
    assert found.key is (await asyncio.to_thread(reader.find_sync, [wraps])).key
    gate.set()


def test_an_outage_is_no_answer(make: Callable[..., DataKeys], kek: ScriptedKeyWrapper) -> None:
    """Wraps that could not be asked about are asked about again, without a pause."""
    wraps, reader = wraps_of(make()), make(read_only=True)
    kek.fault = DOWN
    refused(reader, wraps, KeyProviderUnavailableError)
    kek.fault = None

    assert reader.find_sync([wraps])


def test_any_one_of_several_wrappers_opens(
    make: Callable[..., DataKeys], caplog: pytest.LogCaptureFixture
) -> None:
    """A process with either key-encryption key reads, also while the nearer one is down."""
    near, far, third = (ScriptedKeyWrapper(name) for name in ("near", "far", "third"))
    wraps = wraps_of(make(near, far))

    assert make(far).find_sync([wraps])
    assert make(third, near).find_sync([wraps])
    near.fault = DOWN
    assert make(near, far).find_sync([wraps])
    assert "a data key was opened by the wrapper 2 of 2: (1) the service is down" in caplog.text
    refused(make(near), wraps, KeyProviderUnavailableError)


def test_only_configured_key_encryption_keys_are_asked(make: Callable[..., DataKeys]) -> None:
    """Others are named in the error, and nothing is sent anywhere."""
    kek = ScriptedKeyWrapper()
    reader = make(kek, read_only=True)
    arn = b"aws-kms:arn:aws:kms:eu-central-1:666666666666:key/attacker"

    error = refused(reader, hostile(0, arn), KeyNotFoundError)

    assert arn.decode() in str(error)
    assert [] == kek.unwraps


def test_a_key_file_that_is_replaced_is_noticed(
    make: Callable[..., DataKeys], wrapper: LocalKeyWrapper
) -> None:
    """The name of a local key follows from the key, and is looked up again when it does not fit."""
    writer = make(wrapper)
    wraps = wraps_of(writer)
    reader = make(wrapper, read_only=True)
    assert reader.find_sync([wraps])
    wrapper.path.unlink()
    wrapper.create()

    refused(make(wrapper), wraps, KeyNotFoundError)
    assert reader.find_sync([wraps_of(make(wrapper))])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lifetime": 0}, "lifetime must be positive"),
        ({"lifetime": float("nan")}, "lifetime must be positive"),
        ({"encrypt_grace": -1}, "encrypt_grace not negative"),
        ({"decrypt_grace": 3599}, "decrypt_grace must not be under the lifetime"),
        ({"max_messages": 0}, "1 or more"),
        ({"max_cached": 0}, "1 or more"),
    ],
)
def test_wrong_numbers_are_refused(
    make: Callable[..., DataKeys], wrong: dict[str, Any], message: str
) -> None:
    """When the object is made, and not when it is used."""
    with pytest.raises(ConfigurationError, match=message):
        make(**wrong)


def test_the_number_of_wrappers_is_bounded(make: Callable[..., DataKeys]) -> None:
    """One to four, no two of them with one name."""
    five = [ScriptedKeyWrapper(f"{number}") for number in range(5)]

    assert present(make(*five[:4]))
    with pytest.raises(ConfigurationError, match="at most 4"):
        make(*five)
    with pytest.raises(ConfigurationError, match="there is no wrapper"):
        DataKeys(())
    with pytest.raises(ConfigurationError, match="two of the wrappers are the same"):
        make(five[0], five[0]).ready_sync()


def test_a_public_key_does_not_wrap_data_keys(
    make: Callable[..., DataKeys], kek: ScriptedKeyWrapper
) -> None:
    """Whoever knows it could make a data key of their own, and seal what readers accept."""

    class Public(ScriptedKeyWrapper):
        anyone_can_wrap = True

    for options in ({}, {"read_only": True}):
        with pytest.raises(ConfigurationError, match="a wrapper has a public key"):
            make(kek, Public("public"), **options)


def test_wraps_that_are_too_long_are_not_written(
    make: Callable[..., DataKeys], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A payload that no reader accepts is never made."""
    caplog.set_level(logging.WARNING)
    with pytest.raises(ConfigurationError, match="at most 4 wrapped keys"):
        make(ScriptedKeyWrapper("x" * 513)).ready_sync()
