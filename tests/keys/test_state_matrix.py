"""What a codec does with a key in each state, as docs/reference/key-states.md says it.

The tables of that page are the parameters of the test: a cell that is not true turns it red.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from sealwire.codecs import EncryptionCodec
from sealwire.errors import DecryptError, KeyProviderUnavailableError, SealwireError
from sealwire.keys import Key, Keyring, KeySet, StaticKeyProvider
from sealwire.keys import keyring as keyring_module
from sealwire.payload import ENCRYPTION_KEY_ID, Payload
from sealwire.testing.clock import FakeClock
from sealwire.testing.keys import ScriptedKeyProvider

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "key-states.md"
DAY: Final = 86_400.0
START: Final = 1_700_000_000.0
PLAIN: Final = Payload(metadata={"encoding": b"json/plain"}, data=b'"x"')

STATES: Final = (
    "pending",
    "active",
    "decrypt-only",
    "disabled",
    "destroy-scheduled",
    "destroyed",
    "missing",
)
AGES: Final = {"fresh": 60.0, "stale": 400.0, "2 h old": 7200.0, "25 h old": 25 * 3600.0}
CACHES: Final = (*AGES, "empty")
PROVIDERS: Final = ("ok", "slow", "down", "lying")
OPERATIONS: Final = ("encode", "decode")
WAITS: Final = "waits: "


@dataclass(frozen=True)
class Cell:
    """One cell of the two tables."""

    operation: str
    state: str
    provider: str
    cache: str
    outcome: str

    def __str__(self) -> str:
        return "-".join((self.operation, self.state, self.provider, self.cache)).replace(" ", "_")


def cells() -> Iterator[Cell]:
    """Read the cells of both tables; each is under a heading that names the operation."""
    text = PAGE.read_text(encoding="utf-8")
    for operation in OPERATIONS:
        _, _, rest = text.partition(f"\n## What `{operation}` does\n")
        part = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
        rows = [
            [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
            for line in part.splitlines()
            if line.startswith("|")
        ]
        (_, _, *caches), _, *body = rows
        for state, provider, *outcomes in body:
            for cache, outcome in zip(caches, outcomes, strict=True):
                yield Cell(operation, state, provider, cache, outcome)


def root(seed: int) -> bytes:
    return bytes((seed * 7 + 31 * step) % 256 for step in range(32))


def subject(state: str, material: bytes | None) -> Key:
    """The key in question, whose state lasts for the whole test."""
    match state:
        case "pending":
            return Key("this", material, encrypt_from=START + 90 * DAY)
        case "disabled":
            return Key("this", material, disabled=True)
        case "destroy-scheduled":
            return Key("this", material, destroyed_at=START + 30 * DAY)
        case "destroyed":
            return Key("this", None, destroyed_at=START - DAY)
        case _:
            return Key("this", material)


def key_set(state: str, *, true: bool = True, version: int = 1) -> KeySet:
    """The keys as the provider has them, or with other bytes under their ids."""
    this, other = subject(state, root(1 if true else 3)), Key("other", root(2 if true else 4))
    keys = {
        "active": (this,),
        "pending": (other, this),
        "missing": (other,),
    }.get(state, (this, other))
    return KeySet(keys, version)


class Situation:
    """A codec, its cache and its provider, as the cell describes them."""

    def __init__(self, cell: Cell) -> None:
        clock = FakeClock(START)
        self.cell = cell
        self.provider = ScriptedKeyProvider()
        self.provider.answer = key_set(cell.state)
        keyring = Keyring(self.provider, clock=clock)
        if cell.cache in AGES:
            keyring.ready_sync()
            clock.advance(AGES[cell.cache])
        self.provider.called.clear()
        self.codec = EncryptionCodec(keyring, "orders")
        self._prepare_provider()

    def _prepare_provider(self) -> None:
        match self.cell.provider:
            case "slow":
                self.provider.gate = threading.Event()
            case "down":
                self.provider.fault = KeyProviderUnavailableError("down")
            case "lying":
                self.provider.answer = key_set(self.cell.state, true=False, version=2)
            case _:
                pass

    def start(self) -> Future[str]:
        """Begin the operation in a thread: it may have to wait."""
        done: Future[str] = Future()
        work = self._encode if self.cell.operation == "encode" else self._decode

        def run() -> None:
            try:
                done.set_result(work())
            except SealwireError as err:
                done.set_result(type(err).__name__)

        threading.Thread(target=run, daemon=True).start()
        return done

    def let_go(self) -> None:
        """Let a slow provider answer."""
        if self.provider.gate is not None:
            self.provider.gate.set()

    def _encode(self) -> str:
        (sealed,) = self.codec.encode_sync([PLAIN])
        name = {b"this": "this key", b"other": "another key"}[sealed.metadata[ENCRYPTION_KEY_ID]]
        true_keys = StaticKeyProvider(Key("this", root(1)), Key("other", root(2)))
        try:
            EncryptionCodec(Keyring(true_keys), "orders").decode_sync([sealed])
        except DecryptError:
            return f"{name}, wrong bytes"
        return name

    def _decode(self) -> str:
        writer = EncryptionCodec(Keyring(StaticKeyProvider(Key("this", root(1)))), "orders")
        assert [PLAIN] == self.codec.decode_sync(writer.encode_sync([PLAIN]))
        return "opens"


@pytest.mark.parametrize("cell", list(cells()), ids=str)
def test_the_outcome_is_the_documented_one(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell of the tables is what happens."""
    monkeypatch.setattr(keyring_module, "_PATIENCE", 0.01)
    situation = Situation(cell)
    done = situation.start()
    try:
        if cell.outcome.startswith(WAITS):
            assert situation.provider.called.wait(30)
            with pytest.raises(TimeoutError):  # nobody has let the provider answer
                done.result(0.02)
            situation.let_go()
        assert cell.outcome.removeprefix(WAITS) == done.result(30)
    finally:
        situation.let_go()


def test_the_tables_are_complete() -> None:
    """There is one cell for each operation, state, provider and cache, and no other."""
    found = [(cell.operation, cell.state, cell.provider, cell.cache) for cell in cells()]
    assert sorted(product(OPERATIONS, STATES, PROVIDERS, CACHES)) == sorted(found)


@pytest.mark.parametrize("state", STATES[:-1])
def test_the_keys_are_in_the_states_that_they_are_named_after(state: str) -> None:
    """From the first moment to the last, the key in question has the state of its row."""
    for now in (START, START + max(AGES.values())):
        keys = key_set(state)
        (this,) = (key for key in keys.keys if key.id == "this")
        assert state == keys.state(this, now).value


def test_a_wrong_cell_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check tells one outcome from another."""
    monkeypatch.setattr(keyring_module, "_PATIENCE", 0.01)
    wrong: Callable[[str, str], Cell] = lambda operation, outcome: Cell(  # noqa: E731
        operation, "active", "ok", "fresh", outcome
    )
    for cell in (wrong("encode", "another key"), wrong("decode", "KeyDisabledError")):
        with pytest.raises(AssertionError):
            test_the_outcome_is_the_documented_one(cell, monkeypatch)
