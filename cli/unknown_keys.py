"""The keys that payloads name and a keyring lacks; their ids are a stranger's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sealwire.keys.key import KEY_ID
from sealwire.temporal.key_usage import KeyUsage, Place

_LISTED: Final = 10
_SHOWN: Final = 64  # characters of an id
_HINT: Final = 4  # of one that may be a secret
_KEY_SIZES: Final = (16, 24, 32)  # AES; Java's sample writes the key itself as its id


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """One of them.

    Args:
        id: The id, as `shown_id` gives it.
        payloads: How many payloads name it.
        place: Where one of these is, if that is known.
    """

    id: str
    payloads: int
    place: Place | None

    def told(self) -> str:
        """Say it for people."""
        where = "" if self.place is None else f", {_told_place(self.place)}"
        return f"{self.id}: {self.payloads} payload{'' if self.payloads == 1 else 's'}{where}"

    def row(self) -> dict[str, Any]:
        """Describe it for programs."""
        place = self.place
        return {
            "id": self.id,
            "payloads": self.payloads,
            "example": None
            if place is None
            else {"namespace": place.namespace, place.kind: place.id},
        }


@dataclass(frozen=True, slots=True)
class UnknownKeys:
    """All of them.

    Args:
        payloads: How many payloads name one of them.
        count: How many they are.
        listed: Those that most payloads name.
    """

    payloads: int
    count: int
    listed: Sequence[UnknownKey]

    @classmethod
    def of(cls, usage: KeyUsage, known: frozenset[str]) -> UnknownKeys:
        """Find them among all that was counted."""
        counted = [item for item in usage.payloads.most_common() if item[0] not in known]
        listed = [
            UnknownKey(shown_id(key_id), number, usage.examples.get(key_id))
            for key_id, number in counted[:_LISTED]
        ]
        return cls(sum(number for _, number in counted), len(counted), listed)

    def told(self) -> str:
        """Say it for people, a line for each of the first."""
        lines = [f"payloads that name a key which this keyring lacks: {self.payloads}"]
        lines += [f"  {key.told()}" for key in self.listed]
        if self.count > len(self.listed):
            lines.append(f"  and {self.count - len(self.listed)} more ids")
        return "\n".join(lines)


def shown_id(key_id: str) -> str:
    """Return an id that may be shown: cut where it is long, or may be the key itself."""
    size = len(key_id.encode("utf-8", "surrogatepass"))
    if KEY_ID.fullmatch(key_id) and size not in _KEY_SIZES:
        return _cut(key_id)
    rest = len(key_id) - _HINT
    return f"{key_id[:_HINT]!a}" + (f" and {rest} more characters" if rest > 0 else "")


def _told_place(place: Place) -> str:
    return f"one in the {place.kind} {_escaped(place.id)} of {_escaped(place.namespace)}"


def _escaped(text: str) -> str:
    return _cut(text if text.isascii() and text.isprintable() else ascii(text))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
