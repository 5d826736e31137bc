"""Trained dictionaries: secret like payloads, and rotated like keys."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import random
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    EncryptionCodec,
    PayloadCodec,
    dictionary_admin,
)
from sealwire.codecs.dictionaries import Dictionaries
from sealwire.codecs.dictionary_admin import DictionaryAdmin
from sealwire.codecs.dictionary_document import (
    IDS,
    MAX_DICTIONARIES,
    MAX_DOCUMENT,
    MAX_SIZE,
    DictionaryHeader,
    load_content,
    parse,
)
from sealwire.codecs.dictionary_sealing import Dictionary, dictionary_codec, seal
from sealwire.codecs.dictionary_training import (
    MIN_SAMPLES,
    OneDictionary,
    _train,  # pyright: ignore[reportPrivateUsage]
    train_dictionary,
)
from sealwire.errors import (
    ConfigurationError,
    ContextMismatchError,
    DictionaryNotFoundError,
    KeyProviderUnavailableError,
    PayloadError,
    PayloadTooLargeError,
)
from sealwire.keys import (
    FileKeyringStore,
    Keyring,
    KeyringAdmin,
    LocalKeyWrapper,
    StoredDocument,
    WrappedKeyProvider,
)
from sealwire.keys import document as keyring_document
from sealwire.keys.wrapped import open_document as open_keyring
from sealwire.payload import ENCODING, ENCRYPTION_KEY_ID, Encoding, Payload
from sealwire.testing.clock import FakeClock
from sealwire.testing.codecs import PayloadCodecConformance

INTERVAL = 300.0
DELAY = 2 * INTERVAL
NAMES = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov")
CITIES = ("Berlin", "Paris", "Lisbon", "Vienna", "Oslo")


def order(numbers: random.Random) -> Payload:
    """A small order as a shop's workflow would get it."""
    value = {
        "order_id": f"ord-{numbers.randrange(10**9):09d}",
        "customer": {
            "name": numbers.choice(NAMES),
            "email": f"user{numbers.randrange(10**5)}@example.com",
            "street": f"{numbers.randrange(200)} Main Street",
            "city": numbers.choice(CITIES),
        },
        "items": [
            {
                "sku": f"SKU-{numbers.randrange(10**4):04d}",
                "quantity": numbers.randrange(1, 9),
                "unit_price": f"{numbers.randrange(100, 99_999) / 100:.2f}",
            }
            for _ in range(numbers.randrange(1, 4))
        ],
        "currency": numbers.choice(("EUR", "USD")),
        "payment": {"method": numbers.choice(("card", "invoice")), "status": "authorized"},
    }
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return Payload(metadata={ENCODING: Encoding.JSON}, data=data)


@cache
def orders(count: int = 500, seed: int = 1) -> list[Payload]:
    numbers = random.Random(seed)  # noqa: S311 - the same in every run
    return [order(numbers) for _ in range(count)]


@cache
def trained(dictionary_id: int = 1_000_001) -> bytes:
    samples: list[Any] = [payload.SerializeToString() for payload in orders(200)]
    return zstandard.train_dictionary(8 * 1024, samples, dict_id=dictionary_id).as_bytes()


def loaded(dictionary_id: int = 1_000_001) -> zstandard.ZstdCompressionDict:
    content = load_content(trained(dictionary_id))
    assert not isinstance(content, str)
    return content


class CountingStore(FileKeyringStore):
    """A file that counts how often it is read, and that can be out of reach."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        object.__setattr__(self, "loads", 0)
        object.__setattr__(self, "broken", None)

    loads: int
    broken: Exception | None

    async def load(self, tenant: str) -> StoredDocument | None:
        object.__setattr__(self, "loads", self.loads + 1)
        if self.broken is not None:
            raise self.broken
        return await super().load(tenant)

    def fail_with(self, failure: Exception | None) -> None:
        object.__setattr__(self, "broken", failure)


@dataclasses.dataclass
class Shop:
    """A folder with a keyring and dictionaries, and the processes that share it."""

    folder: Path
    clock: FakeClock

    @property
    def keys(self) -> KeyringAdmin:
        wrapper = LocalKeyWrapper(self.folder / "keyring.key")
        return KeyringAdmin(
            FileKeyringStore(self.folder / "keyring.json"), wrapper, clock=self.clock
        )

    @property
    def path(self) -> Path:
        return self.folder / "dictionaries.json"

    @property
    def admin(self) -> DictionaryAdmin:
        return DictionaryAdmin(FileKeyringStore(self.path), self.keyring(), clock=self.clock)

    def keyring(self) -> Keyring:
        provider = WrappedKeyProvider(self.keys.store, self.keys.wrapper)
        return Keyring(provider, clock=self.clock, refresh_interval=INTERVAL)

    def process(self) -> Dictionaries:
        return Dictionaries(CountingStore(self.path), self.keyring(), clock=self.clock)

    def started(self) -> Dictionaries:
        process = self.process()
        process.ready_sync()
        return process

    def add(self, dictionary_id: int = 1_000_001, delay: float = 0.0) -> None:
        asyncio.run(self.admin.add(trained(dictionary_id), delay=delay))

    def edit(self, change: Callable[[Any], object]) -> None:
        """Change the document as somebody would who may write it and has no key."""
        document = json.loads(self.path.read_bytes())
        change(document)
        self.path.write_text(json.dumps(document))

    def edit_sealed(self, change: Callable[[bytes], bytes]) -> None:
        def edit(document: Any) -> None:
            record = document["dictionaries"][0]
            record["sealed"] = base64.b64encode(change(base64.b64decode(record["sealed"]))).decode()

        self.edit(edit)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with one key, and no dictionary yet."""
    made = Shop(tmp_path, FakeClock())
    LocalKeyWrapper(tmp_path / "keyring.key").create()
    asyncio.run(made.keys.create())
    asyncio.run(made.admin.create())
    return made


def settle(process: Dictionaries) -> None:
    """Wait for what the process reads in the background."""
    refreshers = (process._refresher, process.keyring._refresher)  # pyright: ignore[reportPrivateUsage]
    for refresher in refreshers:
        run, _ = refresher.start(lambda: False)
        run.result(30)


def loads(process: Dictionaries) -> int:
    assert isinstance(process.store, CountingStore)
    return process.store.loads


def refusal(shop: Shop) -> str:
    with pytest.raises(ConfigurationError) as caught:
        shop.started()
    return str(caught.value)


def id_of(content: zstandard.ZstdCompressionDict | None) -> int | None:
    return None if content is None else content.dict_id()


class TestTheContract(PayloadCodecConformance):
    """Compression with a dictionary fulfils what every codec has to."""

    def codec(self) -> PayloadCodec:
        return CompressionCodec(min_size=0, dictionaries=OneDictionary(loaded()))


# From one process to another


def test_what_one_process_compresses_another_reads(shop: Shop) -> None:
    """A payload that one process wrote with the dictionary is decompressed by another."""
    shop.add()
    write = CompressionCodec(min_size=0, dictionaries=shop.started())
    read = CompressionCodec(dictionaries=shop.process())
    payloads = orders(20, seed=2)
    stored = write.encode_sync(payloads)
    assert {1_000_001} == {zstandard.get_frame_parameters(item.data).dict_id for item in stored}
    assert payloads == read.decode_sync(stored)
    assert payloads == asyncio.run(CompressionCodec(dictionaries=shop.process()).decode(stored))


def test_an_empty_document_changes_nothing_that_is_written(shop: Shop) -> None:
    """With a document without dictionaries, frames name none, and everything else is read."""
    codec = CompressionCodec(min_size=0, dictionaries=shop.started())
    stored = codec.encode_sync(orders(3))
    assert CompressionCodec(min_size=0).encode_sync(orders(3)) == stored
    assert orders(3) == codec.decode_sync(stored)


def test_a_dictionary_that_is_pending_is_read_and_not_written(shop: Shop) -> None:
    """Until its time has come, a process compresses without it, and can decompress with it."""
    shop.add(delay=DELAY)
    process = shop.started()
    assert None is process.writer()
    assert trained() == process.reader(1_000_001).as_bytes()
    shop.clock.advance(DELAY - 1)
    assert None is process.writer()
    shop.clock.advance(1)
    assert 1_000_001 == id_of(process.writer())


def test_the_newest_whose_time_has_come_is_written_with(shop: Shop) -> None:
    """Of several dictionaries the one that began last compresses, in whatever order they came."""
    shop.add(1_000_001)
    shop.add(1_000_002, delay=200.0)
    shop.add(1_000_003, delay=100.0)
    process = shop.started()
    seen = [id_of(process.writer())]
    for _ in range(2):
        shop.clock.advance(100.0)
        seen.append(id_of(process.writer()))
    assert [1_000_001, 1_000_003, 1_000_002] == seen


def test_a_clock_that_is_set_back_takes_the_writer_back(shop: Shop) -> None:
    """The writer follows from the clock alone, also when somebody corrects it."""
    shop.add(1_000_001)
    shop.add(1_000_002, delay=100.0)
    process = shop.started()
    shop.clock.advance(100.0)
    assert 1_000_002 == id_of(process.writer())
    shop.clock.advance(-50.0)
    assert 1_000_001 == id_of(process.writer())


@pytest.mark.parametrize("phase", [1.0, 100.0, 299.0])
def test_no_process_meets_a_dictionary_that_it_lacks(shop: Shop, phase: float) -> None:
    """Two processes with other refresh times never read, without asking, what they do not have."""
    shop.add(1_000_001)
    fleet = [shop.started()]
    shop.clock.advance(phase)
    fleet.append(shop.started())
    written: set[int | None] = set()
    for step in range(60):
        if step in (5, 25, 40):
            shop.add(1_000_010 + step, delay=DELAY)
        for process in fleet:
            process.writer()
            settle(process)
        for one, other in permutations(fleet, 2):
            current = one.writer()
            assert current is not None
            assert current.as_bytes() == other.reader(current.dict_id()).as_bytes()
            written.add(current.dict_id())
        shop.clock.advance(50.0)
    assert {1_000_001, 1_000_015, 1_000_035, 1_000_050} == written


def test_a_retired_dictionary_is_read_and_never_written(shop: Shop) -> None:
    """After `retire`, the newest of the others compresses; what was written stays readable."""
    shop.add(1_000_001)
    shop.clock.advance(1)
    shop.add(1_000_002)
    stored = CompressionCodec(min_size=0, dictionaries=shop.started()).encode_sync(orders(3))
    retired = asyncio.run(shop.admin.retire(1_000_002))
    assert (1_000_002, True) == (retired.header.id, retired.header.retired)
    process = shop.started()
    assert 1_000_001 == id_of(process.writer())
    assert orders(3) == CompressionCodec(dictionaries=process).decode_sync(stored)
    asyncio.run(shop.admin.retire(1_000_001))
    assert None is shop.started().writer()


def test_the_same_dictionary_stays_the_same_object(shop: Shop) -> None:
    """A refresh replaces no dictionary that is known: codecs keep contexts for the object."""
    shop.add(1_000_001)
    process = shop.started()
    before = process.reader(1_000_001)
    shop.add(1_000_002)
    process.find_sync([1_000_002])
    assert before is process.reader(1_000_001)
    assert process.writer() is process.reader(1_000_002)


# Dictionaries that are not there


def test_a_missing_dictionary_is_named_with_the_fix(shop: Shop) -> None:
    """The error has the id, the place of the document, and what to do."""
    shop.add()
    process = shop.started()
    with pytest.raises(DictionaryNotFoundError) as caught:
        process.reader(1_234_567)
    assert 1_234_567 == caught.value.dictionary_id
    assert "1234567" in str(caught.value)
    assert str(shop.path) in str(caught.value)
    assert "bring the document there" in str(caught.value)


def test_a_new_dictionary_is_found_on_demand(shop: Shop) -> None:
    """A process that meets the id of a dictionary added since reads the document again, once."""
    reader = shop.started()
    shop.add()
    writer = CompressionCodec(min_size=0, dictionaries=shop.started())
    stored = writer.encode_sync(orders(5))
    assert orders(5) == CompressionCodec(dictionaries=reader).decode_sync(stored)
    assert 2 == loads(reader)


def test_unknown_ids_do_not_hammer_the_store(shop: Shop) -> None:
    """One unknown id is asked for once in a while, and a thousand of them at most in a burst."""
    process = shop.started()
    for _ in range(10):
        process.find_sync([1_000_001])
    assert 2 == loads(process)
    process.find_sync(range(2_000_000, 2_001_000))
    assert 21 == loads(process)  # the burst of 20 tokens, and the start
    shop.clock.advance(60)
    shop.add()
    process.find_sync([1_000_001])
    assert 1_000_001 == process.reader(1_000_001).dict_id()


def test_reserved_ids_are_not_asked_for(shop: Shop) -> None:
    """No dictionary of ours can have an id that zstd reserves, so nobody looks for it."""
    process = shop.started()
    asyncio.run(process.find([0, 1, 32767, 2**31, 2**32 - 1]))
    assert 1 == loads(process)


def test_without_a_document_the_start_fails(shop: Shop) -> None:
    """No file is a fault at the start, with the command that makes one."""
    shop.path.unlink()
    assert "`sealwire dict init`" in refusal(shop)


def test_it_is_used_only_once_it_is_loaded(shop: Shop) -> None:
    """Without `ready`, there is an error and no I/O."""
    process = shop.process()
    assert not process.is_ready
    for use in (process.writer, lambda: process.reader(1_000_001)):
        with pytest.raises(KeyProviderUnavailableError, match="ready"):
            use()
    assert 0 == loads(process)


def test_every_caller_gets_an_error_of_his_own(shop: Shop) -> None:
    """The failure of a shared attempt is copied: its traceback would show others' variables."""
    shop.path.write_bytes(b"no document")
    process = shop.process()
    with pytest.raises(ConfigurationError) as first:
        process.ready_sync()
    with pytest.raises(ConfigurationError) as second:
        process.ready_sync()
    assert str(first.value) == str(second.value)
    assert first.value is not second.value
    functions = {frame.name for frame in traceback.extract_tb(first.value.__traceback__)}
    assert "_refresh" not in functions


def test_a_store_that_is_down_stops_nobody_who_runs(shop: Shop) -> None:
    """What is cached is used for days; a process that starts then fails and says why."""
    shop.add()
    process = shop.started()
    assert isinstance(process.store, CountingStore)
    process.store.fail_with(OSError("password=hunter2"))
    for _ in range(10):
        shop.clock.advance(86_400)
        process.ready_sync()
        assert 1_000_001 == id_of(process.writer())
    with pytest.raises(DictionaryNotFoundError, match="the last attempt to read it failed") as told:
        process.reader(1_000_002)
    starting = shop.process()
    assert isinstance(starting.store, CountingStore)
    starting.store.fail_with(OSError("password=hunter2"))
    with pytest.raises(KeyProviderUnavailableError, match="CountingStore raised OSError") as caught:
        starting.ready_sync()
    assert not any("hunter2" in str(err.value) for err in (told, caught))


def test_an_idle_process_reads_again_before_it_goes_on(shop: Shop) -> None:
    """After two intervals without use, `ready` brings what was added meanwhile."""
    process = shop.started()
    shop.add()
    shop.clock.advance(2 * INTERVAL)
    assert not process.is_ready
    asyncio.run(process.ready())
    assert process.is_ready
    assert 1_000_001 == id_of(process.writer())


def test_a_failure_under_a_wrong_clock_delays_no_refresh_under_the_right_one(shop: Shop) -> None:
    """A clock that was a month ahead for a while, with a failing store, leaves no trace."""
    shop.add()
    process = shop.started()
    assert isinstance(process.store, CountingStore)
    process.store.fail_with(OSError())
    shop.clock.advance(30 * 86_400)
    process.ready_sync()
    settle(process)
    shop.clock.advance(400 - 30 * 86_400)
    process.store.fail_with(None)
    before = loads(process)
    assert 1_000_001 == id_of(process.writer())
    settle(process)
    assert before + 1 == loads(process)


def test_dictionaries_from_the_future_are_read_again_until_that_succeeds(shop: Shop) -> None:
    """After a step back they go on, and each look at them asks; so a new one is soon known."""
    shop.add()
    shop.clock.advance(30 * 86_400)
    process = shop.started()
    assert isinstance(process.store, CountingStore)
    process.store.fail_with(OSError())
    shop.clock.advance(-30 * 86_400)
    for seconds in (0, 2, 3, 61):
        shop.clock.advance(seconds)
        before = loads(process)
        assert 1_000_001 == id_of(process.writer())
        settle(process)
        assert before + 1 == loads(process)
    process.store.fail_with(None)
    shop.add(1_000_002)
    shop.clock.advance(61)
    process.ready_sync()
    assert 1_000_002 == id_of(process.writer())


def test_an_older_document_is_not_taken_back(shop: Shop) -> None:
    """A process refuses a version before the one that it has, and keeps what it knows."""
    shop.add(1_000_001)
    before = shop.path.read_bytes()
    shop.add(1_000_002)
    process = shop.started()
    shop.path.write_bytes(before)
    process.find_sync([1_000_003])
    with pytest.raises(DictionaryNotFoundError, match="went back from version 3 to 2"):
        process.reader(1_000_003)
    assert 1_000_002 == process.reader(1_000_002).dict_id()


def test_what_was_read_once_is_never_forgotten(shop: Shop) -> None:
    """A record that disappears from the document stays readable in a process that had it."""
    shop.add(1_000_001)
    process = shop.started()
    shop.edit(lambda document: document["dictionaries"].clear())
    process.find_sync([1_000_002])
    assert 1_000_001 == process.reader(1_000_001).dict_id()
    assert None is process.writer()


# Whoever writes the file


def sealed_with(shop: Shop, payload: Payload, codec: EncryptionCodec | None = None) -> bytes:
    (sealed,) = (codec or dictionary_codec(shop.keyring())).encode_sync([payload])
    return sealed.SerializeToString()


def header(dictionary_id: int = 1_000_001, **changes: Any) -> bytes:
    fields = {"id": dictionary_id, "created": 1.7e9, "write_from": 1.7e9, "retired": False}
    return json.dumps({**fields, **changes}).encode()


def inner(content: bytes, described: bytes) -> Payload:
    return Payload(
        metadata={ENCODING: Encoding.ZSTD_DICTIONARY, "dictionary": described}, data=content
    )


def set_field(name: str, value: object) -> Callable[[Any], object]:
    return lambda document: document["dictionaries"][0].update({name: value})


def set_top(name: str, value: object) -> Callable[[Any], object]:
    return lambda document: document.update({name: value})


def without_version(document: Any) -> None:
    del document["version"]


def first_twice(document: Any) -> None:
    document["dictionaries"] *= 2


def full_and_one(document: Any) -> None:
    (first,) = document["dictionaries"]
    document["dictionaries"] += [{**first, "id": 2_000_000 + n} for n in range(MAX_DICTIONARIES)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_field("id", 1_000_009), "edited"),
        (set_field("id", 5), "reserves the dictionary id 5"),
        (set_field("id", 2**31), "reserves the dictionary id"),
        (set_field("id", "1000001"), "damaged"),
        (set_field("created", 1.0), "edited"),
        (set_field("write_from", 1.0), "edited"),
        (set_field("write_from", None), "damaged"),
        (set_field("retired", True), "edited"),
        (set_field("sealed", ""), "not sealed"),
        (set_field("sealed", "AAAA"), "is damaged"),
        (set_field("sealed", "no base64"), "damaged"),
        (set_field("sealed", base64.b64encode(bytes(2 * MAX_SIZE)).decode()), "has more than"),
        (set_field("more", 1), "damaged"),
        (set_top("format", "sealwire/dictionaries-v2"), "has the format"),
        (set_top("dictionaries", {}), "damaged"),
        (without_version, "damaged"),
        (first_twice, "same id"),
        (full_and_one, "at most 1000 are read"),
    ],
)
def test_an_edited_document_is_refused(
    shop: Shop, change: Callable[[Any], object], reason: str
) -> None:
    """Each field is checked, and the message says which dictionary and why."""
    shop.add()
    shop.edit(change)
    assert reason in refusal(shop)


def test_two_dictionaries_cannot_change_places(shop: Shop) -> None:
    """The sealed part of one record under the clear fields of another is found out."""
    shop.add(1_000_001)
    shop.add(1_000_002)

    def swap(document: Any) -> None:
        one, other = document["dictionaries"]
        one["sealed"], other["sealed"] = other["sealed"], one["sealed"]

    shop.edit(swap)
    assert "edited" in refusal(shop)


def test_no_bit_of_the_sealed_part_can_change(shop: Shop) -> None:
    """A flipped bit anywhere, or a cut at any place, is refused."""
    shop.add()
    sealed = asyncio.run(shop.admin.dictionaries())[0].sealed
    places = [*range(0, 200, 3), *range(200, len(sealed), 997), len(sealed) - 1]

    def refused(damaged: bytes) -> None:
        shop.edit_sealed(lambda _: damaged)
        assert "1000001 is refused" in refusal(shop)

    for place in places[:40]:
        refused(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
    for size in places[::9]:
        refused(sealed[:size])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "damaged or not one of sealwire's"),
        (b"null", "damaged or not one of sealwire's"),
        (b"[" * 100_000, "damaged or not one of sealwire's"),
        (b'{"format": "sealwire/keyring-v1"}', "damaged or not one of sealwire's"),
        (b'{"format": "\xff"}', "damaged or not one of sealwire's"),
        (b" " * (MAX_DOCUMENT + 1), "bytes"),
    ],
)
def test_a_foreign_file_is_refused(shop: Shop, text: bytes, reason: str) -> None:
    """What is not a document of dictionaries is refused as a whole."""
    shop.path.write_bytes(text)
    assert reason in refusal(shop)


def test_no_store_gives_an_endless_document() -> None:
    """Whatever the store, a document has a limit of its own."""
    with pytest.raises(ConfigurationError, match="more than 67108864 bytes"):
        parse(b" " * (MAX_DOCUMENT + 1))


def test_a_truncated_file_is_refused(shop: Shop) -> None:
    """A document that ends early is not used in part."""
    shop.add()
    whole = shop.path.read_bytes()
    backup = shop.path.with_name("dictionaries.json.bak")
    for size in range(0, len(whole) - 2, 611):
        shop.path.write_bytes(whole[:size])
        assert f"{backup} is the version before the last change" in refusal(shop)
    backup.unlink()
    said = refusal(shop)
    assert "restore it from your backup" in said
    assert str(backup) not in said, "it names a file that is not there"


def test_a_file_that_others_may_read_is_refused(shop: Shop) -> None:
    """The document is private like the keyring, and a change keeps the version before."""
    shop.add()
    assert 0o600 == shop.path.stat().st_mode & 0o777
    assert 0 == len(parse(shop.path.with_name("dictionaries.json.bak").read_bytes()).dictionaries)
    shop.path.chmod(0o644)
    assert "chmod 600" in refusal(shop)


def test_the_dictionaries_of_another_keyring_are_refused(shop: Shop, tmp_path: Path) -> None:
    """A document from elsewhere names a key that this keyring lacks."""
    shop.add()
    foreign = Shop(tmp_path / "foreign", shop.clock)
    foreign.folder.mkdir()
    LocalKeyWrapper(foreign.folder / "keyring.key").create()
    asyncio.run(foreign.keys.create())
    foreign.path.write_bytes(shop.path.read_bytes())
    foreign.path.chmod(0o600)
    assert "not in the keyring" in refusal(foreign)


def workflow_payloads(shop: Shop) -> Iterator[tuple[str, bytes, str]]:
    good = inner(trained(), header())
    keyring = shop.keyring()
    open_to_all = EncryptionCodec(keyring, context={"purpose": "compression-dictionary"})
    same_purpose = dataclasses.replace(open_to_all, namespace="default")
    # With no namespace a codec has to be told to write, too.
    no_namespace = dataclasses.replace(
        open_to_all, policy=dataclasses.replace(open_to_all.policy, require_context=False)
    )
    yield "plaintext", good.SerializeToString(), "not sealed"
    yield "a workflow's payload", sealed_with(shop, good, same_purpose), "for something else"
    yield "a payload for no namespace", sealed_with(shop, good, no_namespace), "for something else"
    own = dictionary_codec(keyring)
    json_payload = Payload(metadata={ENCODING: Encoding.JSON}, data=trained())
    yield "another encoding", sealed_with(shop, json_payload, own), "not a dictionary"
    yield "no header", sealed_with(shop, inner(trained(), b""), own), "edited"
    yield "header of others", sealed_with(shop, inner(trained(), header(7_000_000)), own), "edited"
    yield "raw bytes", sealed_with(shop, inner(b"order" * 99, header()), own), "not a trained"
    yield "a cut one", sealed_with(shop, inner(trained()[:99], header()), own), "is damaged"
    other = trained(1_000_002)
    yield "another id", sealed_with(shop, inner(other, header()), own), "bytes have the id 1000002"
    large = trained() + bytes(MAX_SIZE)
    yield "too large", sealed_with(shop, inner(large, header()), own), "at most 1048576 bytes"


def test_nothing_else_passes_for_a_dictionary(shop: Shop) -> None:
    """What was sealed for another purpose, or is no dictionary of this id, is refused."""
    seen = 0
    for what, sealed, reason in workflow_payloads(shop):
        record = {**json.loads(header()), "sealed": base64.b64encode(sealed).decode()}
        shop.edit(set_top("dictionaries", [record]))
        assert reason in refusal(shop), what
        seen += 1
    assert 10 == seen
    good = sealed_with(shop, inner(trained(), header()))
    record = {**json.loads(header()), "sealed": base64.b64encode(good).decode()}
    shop.edit(set_top("dictionaries", [record]))
    assert trained() == shop.started().reader(1_000_001).as_bytes()


def test_one_id_never_stands_for_other_bytes(shop: Shop) -> None:
    """A process that knows a dictionary refuses another one under its id, even if authentic."""
    shop.add()
    process = shop.started()
    other = trained(1_000_002)[:4] + struct.pack("<I", 1_000_001) + trained(1_000_002)[8:-1] + b"x"
    record = {**json.loads(header()), "sealed": ""}
    sealed = sealed_with(shop, inner(other, header()))
    record["sealed"] = base64.b64encode(sealed).decode()
    shop.edit(set_top("dictionaries", [record]))
    process.find_sync([1_000_002])
    with pytest.raises(DictionaryNotFoundError, match="has other bytes than before"):
        process.reader(1_000_002)
    assert trained() == process.reader(1_000_001).as_bytes()


def test_an_interop_key_seals_no_dictionary(shop: Shop) -> None:
    """The interop format binds no purpose, so it is refused before it is opened."""
    asyncio.run(shop.keys.import_interop("shared", b"0123456789abcdef"))
    codec = EncryptionCodec(shop.keyring(), format="interop")
    sealed = sealed_with(shop, inner(trained(), header()), codec)
    record = {**json.loads(header()), "sealed": base64.b64encode(sealed).decode()}
    shop.edit(set_top("dictionaries", [record]))
    assert "not sealed" in refusal(shop)


def test_a_dictionary_does_not_pass_for_a_payload(shop: Shop) -> None:
    """A decoder of workflows refuses a sealed dictionary, whether it requires a context or not."""
    shop.add()
    payload = Payload.FromString(asyncio.run(shop.admin.dictionaries())[0].sealed)
    strict = EncryptionCodec(shop.keyring(), namespace="default")
    loose = dataclasses.replace(
        strict, policy=dataclasses.replace(strict.policy, require_context=False)
    )
    for codec in (strict, loose):
        with pytest.raises(ContextMismatchError):
            codec.decode_sync([payload])


# Secrets


def fragments() -> list[bytes]:
    words = [*NAMES, *CITIES, "Main Street", "example.com", "unit_price", "authorized"]
    return [word.encode() for word in words]


def test_the_file_shows_no_piece_of_a_payload(shop: Shop) -> None:
    """Names that stand in the dictionary are neither in the file nor behind its base64."""
    in_clear = [word for word in fragments() if word in trained()]
    assert len(in_clear) > 5
    shop.add()
    shown = shop.path.read_bytes()
    shown += base64.b64decode(json.loads(shown)["dictionaries"][0]["sealed"])
    assert [] == [word for word in in_clear if word in shown]


def test_no_repr_shows_a_piece_of_a_payload(shop: Shop) -> None:
    """Everything that holds a dictionary shows its id and times, and no contents."""
    shop.add()
    training = train_dictionary(orders(100))
    process = shop.started()
    (entry,) = asyncio.run(shop.admin.dictionaries())
    things: list[object] = [training, process, entry, shop.admin, OneDictionary(loaded())]
    things.append(process._view)  # pyright: ignore[reportPrivateUsage]
    shown = " ".join(map(repr, things)).encode()
    assert [] == [word for word in fragments() if word in shown]
    assert str(entry.header.id) in repr(entry)
    assert repr(entry) == repr(asyncio.run(shop.admin.dictionaries())[0])


def test_no_traceback_shows_a_piece_of_a_payload(shop: Shop) -> None:
    """The variables of all functions that an error passes hold no dictionary."""

    def seen(call: Callable[[], object]) -> str:
        with pytest.raises(ConfigurationError) as caught:
            call()
        # The functions of this module, and the runner's, know what they pass.
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        return "".join(
            line
            for frame in frames.stack
            if "/sealwire/" in frame.filename or "/codecs/dictionar" in frame.filename
            for line in (frame.locals or {}).values()
        )

    # The texts are there, and the tables before them are broken.
    content = trained()[:8] + b"\xff" * 100 + trained()[108:]
    assert any(word in content for word in fragments())
    texts = [seen(lambda: asyncio.run(shop.admin.add(content)))]
    sealed = sealed_with(shop, inner(content, header()))
    record = {**json.loads(header()), "sealed": base64.b64encode(sealed).decode()}
    shop.edit(set_top("dictionaries", [record]))
    texts.append(seen(lambda: asyncio.run(shop.admin.dictionaries())))
    texts.append(seen(shop.started))
    assert [] == [word for word in fragments() if word.decode() in "".join(texts)]


# Keys that change


def test_a_dictionary_outlives_the_key_it_was_sealed_with(shop: Shop) -> None:
    """After rotation and `reseal`, the old key can be dropped and every dictionary still opens."""
    shop.add(1_000_001)
    shop.add(1_000_002, delay=DELAY)
    old = asyncio.run(shop.keys.keys()).keys[0].id
    new = asyncio.run(shop.keys.rotate(delay=0)).key.id
    shop.clock.advance(1)
    assert 2 == asyncio.run(shop.admin.reseal())
    assert 0 == asyncio.run(shop.admin.reseal())
    assert {new} == {item.key_id for item in asyncio.run(shop.admin.dictionaries())}
    asyncio.run(change_keyring(shop, lambda keys: [key for key in keys if key.id != old]))
    process = shop.started()
    assert 1_000_001 == id_of(process.writer())
    assert trained(1_000_002) == process.reader(1_000_002).as_bytes()
    shop.clock.advance(DELAY)
    assert 1_000_002 == id_of(process.writer())


def test_an_administrator_who_stays_sees_new_keys(shop: Shop) -> None:
    """`reseal` seals with the key that is active now, not with one it has cached."""
    shop.add()
    admin = shop.admin
    asyncio.run(admin.dictionaries())
    new = asyncio.run(shop.keys.rotate(delay=0)).key.id
    assert 1 == asyncio.run(admin.reseal())
    assert {new} == {item.key_id for item in asyncio.run(admin.dictionaries())}


def test_every_change_reseals(shop: Shop) -> None:
    """Adding a dictionary takes those under an older key along."""
    shop.add(1_000_001)
    new = asyncio.run(shop.keys.rotate(delay=0)).key.id
    shop.add(1_000_002)
    assert {new} == {item.key_id for item in asyncio.run(shop.admin.dictionaries())}


async def change_keyring(
    shop: Shop,
    change: Callable[[tuple[keyring_document.KeyRecord, ...]], list[keyring_document.KeyRecord]],
) -> None:
    """Write the keyring with other keys, as an administrator's tool of the future will."""
    stored = await shop.keys.store.load("default")
    assert stored is not None
    document = keyring_document.parse(stored.data, "default")
    document_key = await open_keyring(document, shop.keys.wrapper)
    keys = tuple(change(document.keys))
    new = msgspec.structs.replace(document, version=document.version + 1, keys=keys)
    await shop.keys.store.save("default", document_key.sign(new), stored.revision)


def disabled(
    keys: tuple[keyring_document.KeyRecord, ...],
) -> list[keyring_document.KeyRecord]:
    return [msgspec.structs.replace(keys[0], disabled=True), *keys[1:]]


def test_a_withdrawn_key_takes_its_dictionaries_alone(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Under a disabled key a dictionary is neither read nor written; the others work."""
    shop.add(1_000_001)
    asyncio.run(shop.keys.rotate(delay=0))
    asyncio.run(change_keyring(shop, disabled))
    shop.add(1_000_002)
    process = shop.started()
    assert 1_000_002 == id_of(process.writer())
    with pytest.raises(DictionaryNotFoundError, match="is disabled") as caught:
        process.reader(1_000_001)
    assert 1_000_001 == caught.value.dictionary_id
    assert "1000001 does not open" in caplog.text
    before = loads(process)
    process.find_sync([1_000_001])
    assert before == loads(process)
    with pytest.raises(ConfigurationError, match="is disabled"):
        asyncio.run(shop.admin.retire(1_000_001))
    assert 0 == asyncio.run(shop.admin.reseal())


def test_no_process_writes_what_a_new_one_cannot_read(shop: Shop) -> None:
    """A dictionary whose key is withdrawn is still read where it is known, and not written."""
    shop.add(1_000_001)
    process = shop.started()
    asyncio.run(shop.keys.rotate(delay=0))
    asyncio.run(change_keyring(shop, disabled))
    shop.clock.advance(2 * INTERVAL)
    process.ready_sync()
    assert None is process.writer()
    assert trained() == process.reader(1_000_001).as_bytes()


# Administrators


def test_two_administrators_at_once_lose_nothing(shop: Shop) -> None:
    """The second of two changes to one version is refused; run again, it keeps the first."""

    class Overtaken(FileKeyringStore):
        async def load(self, tenant: str) -> StoredDocument | None:
            found = await super().load(tenant)
            if found is not None and b"1000002" not in found.data:
                await shop.admin.add(trained(1_000_002), delay=0)
            return found

    admin = dataclasses.replace(shop.admin, store=Overtaken(shop.path))
    with pytest.raises(ConfigurationError, match="somebody else meanwhile"):
        asyncio.run(admin.add(trained(1_000_001)))
    asyncio.run(admin.add(trained(1_000_001)))
    entries = asyncio.run(shop.admin.dictionaries())
    assert [1_000_002, 1_000_001] == [item.header.id for item in entries]


def test_what_does_not_open_again_is_not_written(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that reads otherwise than it was meant never replaces a good one."""
    shop.add(1_000_001)
    before = shop.path.read_bytes()

    async def forgetful(
        described: DictionaryHeader, content: zstandard.ZstdCompressionDict, codec: EncryptionCodec
    ) -> Dictionary:
        made = await seal(described, content, codec)
        return dataclasses.replace(
            made, header=msgspec.structs.replace(described, retired=not described.retired)
        )

    monkeypatch.setattr(dictionary_admin, "seal", forgetful)
    with pytest.raises(ConfigurationError, match="1000002 is refused"):
        asyncio.run(shop.admin.add(trained(1_000_002)))
    assert before == shop.path.read_bytes()


def test_adding_makes_the_document(shop: Shop) -> None:
    """Without a document, the first dictionary makes one; `create` never replaces one."""
    shop.path.unlink()
    shop.add()
    assert 1_000_001 == id_of(shop.started().writer())
    with pytest.raises(ConfigurationError, match="already"):
        asyncio.run(shop.admin.create())
    assert 1 == len(asyncio.run(shop.admin.dictionaries()))


@pytest.mark.parametrize(
    ("content", "delay", "reason"),
    [
        (b"", 0.0, "not a trained zstd dictionary"),
        (b"order" * 100, 0.0, "not a trained zstd dictionary"),
        (trained()[:100], 0.0, "damaged"),
        (trained()[:4] + struct.pack("<I", 32_767) + trained()[8:], 0.0, "reserves"),
        (trained()[:4] + struct.pack("<I", 2**31) + trained()[8:], 0.0, "reserves"),
        (trained() + bytes(MAX_SIZE), 0.0, "at most 1048576 bytes"),
        (trained(1_000_002), -1.0, "negative"),
        (trained(1_000_001), 0.0, "already"),
    ],
)
def test_what_cannot_be_used_is_not_added(
    shop: Shop, content: bytes, delay: float, reason: str
) -> None:
    """The document is left as it was."""
    shop.add(1_000_001)
    before = shop.path.read_bytes()
    with pytest.raises(ConfigurationError, match=reason):
        asyncio.run(shop.admin.add(content, delay=delay))
    assert before == shop.path.read_bytes()


def test_the_bounds_of_the_ids_are_usable() -> None:
    """The first and the last id that zstd leaves free are accepted."""
    for dictionary_id in (IDS[0], IDS[-1]):
        content = trained()[:4] + struct.pack("<I", dictionary_id) + trained()[8:]
        found = load_content(content)
        assert not isinstance(found, str)
        assert dictionary_id == found.dict_id()
    for dictionary_id in (0, IDS[0] - 1, IDS[-1] + 1):
        content = trained()[:4] + struct.pack("<I", dictionary_id) + trained()[8:]
        assert f"reserves the dictionary id {dictionary_id}" in str(load_content(content))


def test_an_unknown_dictionary_is_not_retired(shop: Shop) -> None:
    """`retire` of an id that is not there names the command that shows them."""
    with pytest.raises(ConfigurationError, match="`sealwire dict list`"):
        asyncio.run(shop.admin.retire(1_000_001))


def test_there_is_a_limit_to_dictionaries(shop: Shop) -> None:
    """A thousand dictionaries are read; one more is refused, and the document stays as it was."""
    codec = dictionary_codec(shop.keyring())

    async def record(dictionary_id: int) -> dict[str, Any]:
        # The smallest that zstd makes, under another id.
        content = load_content(small[:4] + struct.pack("<I", dictionary_id) + small[8:])
        assert not isinstance(content, str)
        made = await seal(DictionaryHeader(dictionary_id, 1.0, 1.0, retired=False), content, codec)
        return {**json.loads(header(dictionary_id, created=1.0, write_from=1.0))} | {
            "sealed": base64.b64encode(made.sealed).decode()
        }

    async def records() -> list[dict[str, Any]]:
        return [await record(2_000_000 + number) for number in range(MAX_DICTIONARIES)]

    samples: list[Any] = [payload.SerializeToString() for payload in orders(100)]
    small = zstandard.train_dictionary(256, samples, dict_id=1_000_001).as_bytes()
    shop.edit(set_top("dictionaries", asyncio.run(records())))
    assert 2_000_999 == id_of(shop.started().writer())
    before = shop.path.read_bytes()
    with pytest.raises(ConfigurationError, match="has 1001 dictionaries"):
        asyncio.run(shop.admin.add(trained()))
    assert before == shop.path.read_bytes()


# Many at once


def test_many_readers_of_one_new_dictionary_ask_once(shop: Shop) -> None:
    """Threads and event loops that meet the same new id share one look into the store."""
    process = shop.started()
    shop.add()
    barrier = threading.Barrier(16)

    def find(number: int) -> int:
        barrier.wait(30)
        if number % 2:
            process.find_sync([1_000_001])
        else:
            asyncio.run(process.find([1_000_001]))
        return process.reader(1_000_001).dict_id()

    with ThreadPoolExecutor(16) as pool:
        assert {1_000_001} == set(pool.map(find, range(16)))
    assert loads(process) <= 3


def test_threads_see_only_whole_answers(shop: Shop) -> None:
    """While dictionaries are added, no thread loses one that it has seen."""
    shop.add(1_000_001)
    process = shop.started()
    stop = threading.Event()

    def use() -> set[int]:
        seen: set[int] = set()
        while not stop.is_set():
            writer = process.writer()
            assert writer is not None
            seen.add(writer.dict_id())
            for dictionary_id in seen:
                assert dictionary_id == process.reader(dictionary_id).dict_id()
        return seen

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(use) for _ in range(2)]
        for dictionary_id in range(1_000_002, 1_000_004):
            shop.clock.advance(1)
            shop.add(dictionary_id)
            process.find_sync([dictionary_id])
        stop.set()
        seen = [item.result(30) for item in running]
    assert 1_000_003 == id_of(process.writer())
    assert all(seen)


FORKING = """
import os, sys
from pathlib import Path
from sealwire.codecs import CompressionCodec
from sealwire.codecs.dictionaries import Dictionaries
from sealwire.keys import FileKeyringStore, Keyring, LocalKeyWrapper, WrappedKeyProvider
from sealwire.payload import Payload

folder = Path(sys.argv[1])
provider = WrappedKeyProvider(
    FileKeyringStore(folder / "keyring.json"), LocalKeyWrapper(folder / "keyring.key")
)
both = (folder / "dictionaries.json").read_bytes()
os.replace(folder / "first.json", folder / "dictionaries.json")
dictionaries = Dictionaries(FileKeyringStore(folder / "dictionaries.json"), Keyring(provider))
codec = CompressionCodec(min_size=0, dictionaries=dictionaries)
plain = Payload(metadata={"encoding": b"json/plain"}, data=b'{"customer": "Ada"}' * 9)
(stored,) = codec.encode_sync([plain])
known = dictionaries.reader(1_000_001)
refreshers = (dictionaries._refresher, dictionaries.keyring._refresher)
for refresher in refreshers:
    refresher._lock.acquire()  # as another thread may hold it at this moment
child = os.fork()
if child == 0:
    assert known is dictionaries.reader(1_000_001), "the dictionaries are kept"
    assert [plain] == codec.decode_sync([stored])
    (folder / "dictionaries.json").write_bytes(both)
    dictionaries.find_sync([1_000_002])
    assert 1_000_002 == dictionaries.writer().dict_id()
    assert [plain] == codec.decode_sync(codec.encode_sync([plain]))
    os._exit(0)
for refresher in refreshers:
    refresher._lock.release()
_, status = os.waitpid(child, 0)
assert [plain] == codec.decode_sync([stored])
dictionaries.find_sync([1_000_002])
assert 1_000_002 == dictionaries.writer().dict_id()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_process_goes_on(shop: Shop) -> None:
    """Even if forked under a lock, a child has its dictionaries and gets new ones."""
    shop.add(1_000_001)
    (shop.folder / "first.json").write_bytes(shop.path.read_bytes())
    (shop.folder / "first.json").chmod(0o600)
    shop.clock.advance(1)
    shop.add(1_000_002)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, str(shop.folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


# Training


def test_a_dictionary_saves_more_than_half(shop: Shop) -> None:
    """Small orders take less than 45 % of what zstd alone makes of them, on payloads held out."""
    training = train_dictionary(orders(), codec=CompressionCodec(min_size=0))
    assert (400, 100) == (training.trained_on, training.held_out)
    assert training.size < 0.45 * training.without < training.without < training.plain
    assert training.is_worthwhile
    assert len(training.content) <= 16 * 1024
    assert training.id in IDS
    asyncio.run(shop.admin.add(training.content, delay=0))
    codec = CompressionCodec(min_size=0, dictionaries=shop.started())
    fresh = orders(100, seed=3)
    sizes = [sum(item.ByteSize() for item in codec.encode_sync(fresh))]
    sizes.append(sum(item.ByteSize() for item in CompressionCodec(min_size=0).encode_sync(fresh)))
    assert sizes[0] < 0.45 * sizes[1]


def test_training_draws_an_id(shop: Shop) -> None:
    """Two dictionaries from the same payloads have different ids."""
    assert train_dictionary(orders(100)).id != train_dictionary(orders(100)).id


def test_too_few_payloads_are_refused_with_the_number() -> None:
    """Equal payloads count once, and the message says how many are needed."""
    few = orders(MIN_SAMPLES - 1)
    with pytest.raises(ConfigurationError, match=r"49 different payloads.*at least 50"):
        train_dictionary(few * 3)
    assert MIN_SAMPLES == train_dictionary(orders(MIN_SAMPLES)).trained_on * 5 // 4


def test_a_dictionary_of_noise_is_not_worthwhile() -> None:
    """Where payloads have nothing in common, the numbers say so."""
    numbers = random.Random(5)  # noqa: S311 - the same in every run
    noise = [
        Payload(metadata={ENCODING: Encoding.PLAIN}, data=numbers.randbytes(400))
        for _ in range(200)
    ]
    training = train_dictionary(noise)
    assert not training.is_worthwhile
    assert training.size > 0.9 * training.plain


def test_payloads_that_are_all_but_empty_gain_nothing() -> None:
    """What is too small to be compressed is stored as it is, with a dictionary, too."""
    tiny = [Payload(data=bytes([one, two])) for one in range(8) for two in range(8)]
    training = train_dictionary(tiny, codec=CompressionCodec(min_size=0))
    assert training.plain == training.without == training.size
    assert not training.is_worthwhile


def test_a_failure_of_zstd_is_explained() -> None:
    """Where zstd has nothing to train on, the error says what to do."""
    with pytest.raises(ConfigurationError, match="in common; give more"):
        _train([Payload()] * MIN_SAMPLES, 256, 3)


@pytest.mark.parametrize("size", [0, 255, MAX_SIZE + 1])
def test_a_dictionary_has_a_sensible_size(size: int) -> None:
    """A size out of range is refused before anything is trained."""
    with pytest.raises(ConfigurationError, match="256 to 1048576 bytes"):
        train_dictionary(orders(100), size)


def test_a_dictionary_is_for_zstd() -> None:
    """For a codec that writes another algorithm there is nothing to train."""
    with pytest.raises(ConfigurationError, match="zlib"):
        train_dictionary(orders(100), codec=CompressionCodec("zlib"))


# Bombs


def test_a_bomb_made_with_a_dictionary_is_stopped(shop: Shop) -> None:
    """Limits hold for frames with a dictionary, whether they state their size or not."""
    shop.add()
    codec = CompressionCodec(max_size=1_000_000, dictionaries=shop.started())
    pledge = zstandard.ZstdCompressor(dict_data=loaded())
    silent = zstandard.ZstdCompressor(dict_data=loaded(), write_content_size=False)
    plain = Payload(data=bytes(50_000_000)).SerializeToString()
    for frame in (pledge.compress(plain), silent.compress(plain)):
        bomb = Payload(metadata={ENCODING: Encoding.ZSTD}, data=frame)
        with pytest.raises(PayloadTooLargeError):
            codec.decode_sync([bomb])


def test_a_frame_that_names_another_dictionary_is_damaged_or_missing(shop: Shop) -> None:
    """A frame whose dictionary id was changed never gives other bytes than were written."""
    shop.add(1_000_001)
    codec = CompressionCodec(min_size=0, dictionaries=shop.started())
    (stored,) = codec.encode_sync(orders(1))
    at = stored.data.index(struct.pack("<I", 1_000_001))
    for dictionary_id in (0, 5, 1_000_002, 2**32 - 1):
        changed = Payload.FromString(stored.SerializeToString())
        changed.data = stored.data[:at] + struct.pack("<I", dictionary_id) + stored.data[at + 4 :]
        with pytest.raises((DictionaryNotFoundError, PayloadError)):
            codec.decode_sync([changed])


def test_the_whole_chain_works_with_dictionaries(shop: Shop) -> None:
    """Compressed with a dictionary, then sealed, and back, in another process."""
    shop.add()

    def chain() -> CodecChain:
        encryption = EncryptionCodec(shop.keyring(), namespace="default")
        return CodecChain(CompressionCodec(dictionaries=shop.process()), encryption)

    stored = asyncio.run(chain().encode(orders(10)))
    assert {Encoding.SEALED} == {item.metadata[ENCODING] for item in stored}
    assert all(item.metadata.get(ENCRYPTION_KEY_ID) for item in stored)
    assert orders(10) == asyncio.run(chain().decode(stored))
    assert orders(10) == chain().decode_sync(stored)
