"""One answer of a store of dictionaries, laid out so that using one is a look-up."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import zstandard

from sealwire.errors import ConfigurationError

from .dictionary_document import DictionaryHeader
from .dictionary_sealing import Dictionary

_log = logging.getLogger("sealwire.codecs")

_RECHECK: Final = 1.0  # seconds until an overdue view is looked at again


@dataclass(frozen=True, slots=True)
class Window:
    """What is written with from `since` to `until`, when a refresh is due or another one begins."""

    since: float
    until: float
    writer: zstandard.ZstdCompressionDict | None


@dataclass(slots=True)
class DictionaryView:
    """The dictionaries as a store gave them at `loaded`, to be asked for again at `refresh_at`.

    Time replaces the window, and only the next answer replaces the view: so a thread that is late
    with the window cannot bring back an old answer.
    """

    version: int
    loaded: float
    refresh_at: float
    schedule: Sequence[tuple[float, zstandard.ZstdCompressionDict]]
    readable: Mapping[int, zstandard.ZstdCompressionDict]
    withdrawn: Mapping[int, str]
    window: Window

    @classmethod
    def of(
        cls,
        version: int,
        found: Sequence[Dictionary],
        before: Self | None,
        loaded: float,
        refresh_at: float,
        now: float,
    ) -> Self:
        """Lay out what was found as it is at `now`; what could be read `before` still can.

        Raises:
            ConfigurationError: An id stands for other bytes than before.
        """
        known: Mapping[int, zstandard.ZstdCompressionDict] = {}
        if before is not None:
            known = before.readable
        contents = _contents(found, known)
        schedule = [(header.write_from, contents[header.id]) for header in _writers(found)]
        readable = {**known, **contents}
        view = cls(
            version,
            loaded,
            refresh_at,
            schedule,
            readable,
            _withdrawn(found, readable),
            Window(now, now, None),
        )
        view.move(now)
        return view

    def is_fresh(self, now: float) -> bool:
        """Tell whether no refresh is due. It is when the clock shows a time before the answer."""
        return self.loaded <= now < self.refresh_at

    def move(self, now: float) -> None:
        """Put the window where `now` is."""
        begun = [content for begin, content in self.schedule if begin <= now]
        to_come = [begin for begin, _ in self.schedule if begin > now]
        until = self.refresh_at if self.is_fresh(now) else now + _RECHECK
        self.window = Window(now, min([until, *to_come]), begun[-1] if begun else None)


def writer_of(found: Sequence[Dictionary], now: float) -> int | None:
    """Return the id of the dictionary that compresses at `now`."""
    begun = [header.id for header in _writers(found) if header.write_from <= now]
    return begun[-1] if begun else None


def _writers(found: Sequence[Dictionary]) -> list[DictionaryHeader]:
    """Return those that may compress, in the order in which they begin to."""
    usable = (item.header for item in found if item.content is not None)
    return sorted(
        (header for header in usable if not header.retired),
        key=lambda header: (header.write_from, header.created, header.id),
    )


def _contents(
    found: Sequence[Dictionary], known: Mapping[int, zstandard.ZstdCompressionDict]
) -> dict[int, zstandard.ZstdCompressionDict]:
    """Return the content of each; where it is the same, the known object, which codecs may hold."""
    contents: dict[int, zstandard.ZstdCompressionDict] = {}
    for item in found:
        new = item.content
        if new is None:
            continue
        old = known.get(item.header.id, new)
        if old is not new and old.as_bytes() != new.as_bytes():
            raise ConfigurationError(
                f"the compression dictionary {item.header.id} has other bytes than before; "
                "the document is not used"
            )
        contents[item.header.id] = old
    return contents


def _withdrawn(found: Sequence[Dictionary], readable: Mapping[int, object]) -> dict[int, str]:
    withdrawn = {item.header.id: item.withdrawn for item in found if item.header.id not in readable}
    for dictionary_id, why in withdrawn.items():
        _log.warning("the compression dictionary %d does not open: %s", dictionary_id, why)
    return withdrawn
