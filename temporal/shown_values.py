"""Values of search attributes, and whether they stand in a payload that is not sealed yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias, cast

from temporalio.api.common.v1 import Payload
from temporalio.common import SearchAttributePair, SearchAttributes, TypedSearchAttributes

_MAX_SIZE: Final = 64 * 1024  # bytes of a payload that are looked at
_MIN_SIZE: Final = 4  # characters: `EU` or `12` occur everywhere
_MIN_LONG: Final = 32  # characters of a text, from which on MessagePack writes its length in a byte
_MAX_VALUES: Final = 100  # of one list of keywords

Attributes: TypeAlias = SearchAttributes | TypedSearchAttributes | None


def values_of(attributes: Attributes) -> Iterable[tuple[str, Any]]:
    """Return names and values, in whichever of the SDK's forms they come."""
    if isinstance(attributes, TypedSearchAttributes):
        return [(pair.key.name, pair.value) for pair in pairs_of(attributes)]
    return () if attributes is None else attributes.items()


def pairs_of(attributes: TypedSearchAttributes) -> tuple[SearchAttributePair[Any], ...]:
    """Return the pairs of the moment; the SDK puts another pair in the place of one that is set."""
    return tuple(cast("Iterable[SearchAttributePair[Any]]", attributes))


def occurs(value: Any, payloads: Sequence[Payload]) -> bool:
    """Tell whether a value, or one of a list, stands in the beginning of a payload."""
    values: list[Any] = [*value] if isinstance(value, list) else [value]
    patterns = [pattern for item in values[:_MAX_VALUES] if (pattern := _pattern(item))]
    return any(
        pattern.search(payload.data[:_MAX_SIZE]) is not None
        for payload in payloads
        for pattern in patterns
    )


def _pattern(value: Any) -> re.Pattern[bytes] | None:
    """Return what finds a value in a payload, as a word of its own; None if it is too short."""
    match value:
        case str():
            forms = {value, json.dumps(value, ensure_ascii=False)[1:-1]}
        case datetime():
            # Without fractions and zone, which converters write in several ways.
            forms = {value.isoformat()[:19]}
        case bool():
            return None
        case int() | float():
            forms = {repr(value)}
        case _:
            return None
    if min(map(len, forms)) < _MIN_SIZE:
        return None
    # Before a text of some length, MessagePack has a byte that may be a letter.
    word = rb"(?<![0-9A-Za-z])" if max(map(len, forms)) < _MIN_LONG else b""
    either = b"|".join(re.escape(form.encode("utf-8", "replace")) for form in sorted(forms))
    end = b"" if isinstance(value, datetime) else rb"(?![0-9A-Za-z])"
    return re.compile(word + b"(?:" + either + b")" + end)
