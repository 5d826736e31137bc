"""Which payloads a decoder accepts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sealwire.errors import (
    ConfigurationError,
    ContextMismatchError,
    DecryptError,
    UnencryptedPayloadError,
)
from sealwire.payload import ENCRYPTION_PREFIX, Payload, encoding_of

NAMESPACE: Final = "namespace"
_log = logging.getLogger("sealwire.codecs")

# Encodings come from the server: one that invents them must not fill memory and logs.
_MAX_NAMES: Final = 100
_OTHERS: Final = "others"


class PolicyMode(StrEnum):
    """What happens to a payload without an encryption layer.

    - `STRICT`: it is refused. Whoever writes to the database could have put it there.
    - `MIGRATE`: it is returned, counted, and warned about once an encoding.
    - `OPEN`: it is returned.
    """

    STRICT = "strict"
    MIGRATE = "migrate"
    OPEN = "open"


def _no_counts() -> dict[str, int]:
    return {}


@dataclass(slots=True)
class DecodeCounters:
    """How many payloads a decoder let through that a stricter policy would refuse.

    Attributes:
        plaintext: Payloads without an encryption layer, by encoding; from the hundredth encoding
            on, under `others`.
        interop: Payloads in the interop format, by key id.
    """

    plaintext: dict[str, int] = field(default_factory=_no_counts)
    interop: dict[str, int] = field(default_factory=_no_counts)

    def add_plaintext(self, encoding: str) -> None:
        """Count a payload without an encryption layer, and warn of the first."""
        _count(self.plaintext, encoding, "a plaintext payload was accepted: encoding %s")

    def add_interop(self, key_id: str) -> None:
        """Count a payload in the interop format, and warn of the first."""
        _count(self.interop, key_id, "an interop payload was accepted: key %s")


@dataclass(frozen=True, slots=True)
class DecodePolicy:
    """The rules of one decoder, checked at every decode.

    Args:
        mode: What happens to plaintext.
        require_context: Refuse sealed payloads that name no namespace, or none of a pair that the
            decoder states, and never write them.
        accept_namespaces: Namespaces whose payloads are accepted beside the decoder's own.
        accept_context: Values of further pairs that are accepted beside the decoder's own.

    Raises:
        ConfigurationError: `mode` is none of the three.
    """

    mode: PolicyMode = PolicyMode.STRICT
    require_context: bool = True
    accept_namespaces: frozenset[str] = frozenset()
    accept_context: Mapping[str, frozenset[str]] = field(
        default_factory=dict[str, frozenset[str]], hash=False
    )

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "mode", PolicyMode(self.mode))
        except ValueError:
            accepted = ", ".join(PolicyMode)
            raise ConfigurationError(
                f"unknown policy {self.mode!r}: expected one of {accepted}"
            ) from None
        object.__setattr__(self, "accept_namespaces", frozenset(self.accept_namespaces))
        pairs = {name: frozenset(values) for name, values in self.accept_context.items()}
        object.__setattr__(self, "accept_context", pairs)

    def admit_plaintext(self, payload: Payload, counters: DecodeCounters) -> Payload:
        """Return a payload that has no encryption layer, if the policy lets it pass.

        Raises:
            DecryptError: It carries marks of encryption under an encoding that is not ours.
            UnencryptedPayloadError: The policy accepts sealed payloads only.
        """
        encoding = encoding_of(payload)
        if any(name.startswith(ENCRYPTION_PREFIX) for name in payload.metadata):
            raise DecryptError(encoding=encoding)
        if self.mode is PolicyMode.STRICT:
            raise UnencryptedPayloadError(
                f"a payload with the encoding {encoding} is not encrypted, and the policy is "
                f"'strict'; while plaintext is being migrated, set the policy to 'migrate'",
                encoding=encoding,
            )
        if self.mode is PolicyMode.MIGRATE:
            counters.add_plaintext(encoding)
        return payload

    @property
    def counts_interop(self) -> bool:
        """Whether authentic payloads in the interop format are counted."""
        return self.mode is PolicyMode.MIGRATE

    def check_context(self, stored: Mapping[str, str], own: Mapping[str, str]) -> None:
        """Compare the authenticated context of a payload with the decoder's own.

        What the decoder does not state is not compared, except that a namespace always is.

        Args:
            stored: The pairs in the payload.
            own: The pairs that the decoder states, its namespace among them if it is known.

        Raises:
            ContextMismatchError: The payload belongs elsewhere.
        """
        for name in (NAMESPACE, *own):
            value = stored.get(name)
            if value is None:
                if self.require_context:
                    raise ContextMismatchError(
                        f"the payload names no {name}; to read it, set require_context = false"
                    )
            elif value != own.get(name) and value not in self._accepted(name):
                here = f"is {own[name]!r}" if name in own else "is not known"
                raise ContextMismatchError(
                    f"the payload was sealed for the {name} {value!r}, and this decoder's {here}; "
                    f"if that is meant, add it to {_setting(name)}"
                )

    def _accepted(self, name: str) -> frozenset[str]:
        if name == NAMESPACE:
            return self.accept_namespaces
        return self.accept_context.get(name, frozenset())


def _setting(name: str) -> str:
    return "accept_namespaces" if name == NAMESPACE else f"accept_context, under {name!r}"


def _count(counts: dict[str, int], name: str, warning: str) -> None:
    if name not in counts and len(counts) >= _MAX_NAMES:
        name = _OTHERS
    seen = counts.get(name, 0)
    counts[name] = seen + 1
    if not seen:
        _log.warning(warning + " (counted from now on, not logged again)", name)
