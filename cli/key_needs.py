"""Whether a key is still needed, out of what a server and this machine say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sealwire.keys import Key, KeySet, KeySuite
from sealwire.keys.period import Period, may_seal, sealing_period
from sealwire.temporal.key_usage import KeyUsage
from sealwire.temporal.retention import Retention, Runs

from .keys_admin import iso, minute
from .unknown_keys import UnknownKeys


class Need(StrEnum):
    """Whether a key is needed.

    - `SEALS`: it encrypts, or will;
    - `FOUND`: something names it;
    - `POSSIBLE`: there are runs of the time in which it encrypted, and not all were read; or a
      schedule passes on what cannot be seen;
    - `OPENS`: it may open the keyrings of other tenants;
    - `NONE`: none of these.
    """

    SEALS = "seals"
    FOUND = "found"
    POSSIBLE = "possible"
    OPENS = "opens"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class KeyNeed:
    """What is known of one key.

    Args:
        key: The key.
        state: Its state, in words.
        period: When payloads may have been sealed with it.
        need: Whether it is needed.
        runs: The runs that lived in its period.
        payloads: How many payloads name it.
        dictionaries: How many dictionaries are sealed with it.
        free_at: When the last of those runs is past its retention, if none of them is open.
    """

    key: Key
    state: str
    period: Period
    need: Need
    runs: Runs
    payloads: int
    dictionaries: int
    free_at: float | None

    @property
    def is_needed(self) -> bool:
        """Whether the key must stay, as far as is known."""
        return self.need is not Need.NONE

    def told(self) -> str:
        """Say it for people."""
        match self.need:
            case Need.SEALS:
                return "yes: it may encrypt"
            case Need.FOUND:
                found = (("payload", self.payloads), ("dictionary", self.dictionaries))
                return "yes: " + ", ".join(_counted(*item) for item in found if item[1])
            case Need.POSSIBLE:
                if not (self.runs.open or self.runs.closed):
                    return "maybe: a schedule passes on what cannot be seen"
                until = "" if self.free_at is None else f", until {minute(self.free_at)}"
                return f"maybe: {self.runs.open} open, {self.runs.closed} closed runs{until}"
            case Need.OPENS:
                return "maybe: it may open keyrings of tenants"
            case Need.NONE:
                return "no"

    def row(self) -> dict[str, Any]:
        """Describe it for programs."""
        return {
            "id": self.key.id,
            "state": self.state,
            "needed": self.is_needed,
            "need": self.need.value,
            "sealed_since": iso(self.period.since),
            "sealed_until": iso(self.period.until),
            "runs_open": self.runs.open,
            "runs_closed": self.runs.closed,
            "payloads": self.payloads,
            "dictionaries": self.dictionaries,
            "free_at": None if self.free_at is None else iso(self.free_at),
        }


@dataclass(frozen=True)
class Evidence:
    """All that was asked.

    Args:
        keys: The keyring.
        now: In seconds since 1970.
        lag: See `sealing_period`.
        kept: What each namespace keeps.
        runs: The runs that lived in the period of each key, by its id.
        usage: The payloads that were found.
        scanned: Whether all histories were read, as far as `usage` is complete.
        dictionaries: How many dictionaries are sealed with each key.
        opens_keyrings: Whether these keys open the keyrings of other tenants.
        writes_interop: Whether the configuration writes the interop format.
    """

    keys: KeySet
    now: float
    lag: float
    kept: Sequence[Retention]
    runs: Mapping[str, Runs]
    usage: KeyUsage
    scanned: bool
    dictionaries: Counter[str] = field(default_factory=Counter[str])
    opens_keyrings: bool = False
    writes_interop: bool = True

    @property
    def is_proof(self) -> bool:
        """Whether a key that was not found is in nothing that the server keeps."""
        hidden = any(item.others or item.archives for item in self.kept)
        return self.scanned and self.usage.is_complete and not hidden

    def need(self, key: Key) -> KeyNeed:
        """Say what is known of one key."""
        runs = self.runs[key.id]
        need = self._need(key, runs)
        waits = need is Need.POSSIBLE and not runs.open and not self.usage.hidden
        free_at = self.now + max(item.seconds for item in self.kept) if waits else None
        return KeyNeed(
            key,
            self.keys.state(key, self.now).value,
            sealing_period(self.keys, key, self.now, self.lag),
            need,
            runs,
            self.usage.payloads[key.id],
            self.dictionaries[key.id],
            free_at,
        )

    def unknown(self) -> UnknownKeys:
        """List the keys that payloads name and the keyring lacks."""
        return UnknownKeys.of(self.usage, frozenset(key.id for key in self.keys.keys))

    def _need(self, key: Key, runs: Runs) -> Need:
        # An interop key stays active for good: nothing replaces it but another one.
        writes = key.suite is not KeySuite.INTEROP or self.writes_interop
        if writes and may_seal(self.keys, key, self.now, self.lag):
            return Need.SEALS
        if self.usage.payloads[key.id] or self.dictionaries[key.id]:
            return Need.FOUND
        if self.opens_keyrings:
            return Need.OPENS
        if self.usage.hidden:
            return Need.POSSIBLE
        # No payload names the key that an index was made with.
        if (key.suite is KeySuite.INDEX or not self.is_proof) and (runs.open or runs.closed):
            return Need.POSSIBLE
        return Need.NONE


def _counted(what: str, number: int) -> str:
    plural = "dictionaries" if what == "dictionary" else f"{what}s"
    return f"{number} {what if number == 1 else plural}"
