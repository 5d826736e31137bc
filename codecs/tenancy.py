"""Whose a payload is: what a codec learns of that from the SDK, and from the payload itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, Literal, TypeAlias

from sealwire.errors import ConfigurationError, ContextMismatchError, DecryptError
from sealwire.keys.key import KEY_ID
from sealwire.payload import ENCODING, ENCRYPTION_CONTEXT, ENCRYPTION_KEY_ID, Encoding, Payload

from . import sealed
from .position import Position

TENANT: Final = "tenant"
ANY: Final = "any"
TenantOf: TypeAlias = Callable[[Any], str | None]
"""Returns the tenant of a serialization context of the SDK, or None where it tells none."""

_REMEMBERED: Final = 1024  # contexts of payloads, at most 4 MiB


@dataclass(frozen=True)
class WorkflowIdTenant:
    """Finds the tenant in the workflow id, which the contexts of workflows and activities have.

    Put the tenant at the beginning of the workflow id: a schedule's arguments are encoded when only
    the beginning is known, to which the server adds a time. Give child workflows, and whom signals
    go to, ids with the same beginning: their payloads belong to the tenant in *their* id.

    Args:
        pattern: A regular expression with one group, which is the tenant. It has to match at the
            beginning of the id: `([^/]+)/` finds `c-42` in `c-42/order-7`.

    Raises:
        ConfigurationError: It is no regular expression with one group.
    """

    pattern: str
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern)
        except re.error as err:
            raise ConfigurationError(
                f"{self.pattern!r} is not a regular expression: {err}"
            ) from None
        if compiled.groups != 1:
            raise ConfigurationError(
                f"the pattern {self.pattern!r} has {compiled.groups} groups; the tenant is the "
                "only one: write (?:…) for a group that is not it"
            )
        object.__setattr__(self, "_compiled", compiled)

    def __call__(self, context: Any) -> str | None:
        """Return the tenant; None without a workflow id, and where the pattern does not match."""
        workflow_id = getattr(context, "workflow_id", None)
        found = self._compiled.match(workflow_id) if workflow_id else None
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Readership:
    """Whose payloads a codec reads.

    Args:
        pair: Which pair of a payload's context states its tenant.
        own: The codec's own tenant, if it is known.
        default: Whose the payloads are that state no tenant; None for the own one's.
        accepted: Who is read beside the own one.
    """

    pair: str
    own: str | None
    default: str | None
    accepted: Collection[str] | Literal["any"]

    def runs(self, payloads: Sequence[Payload]) -> Iterable[tuple[str | None, Sequence[Payload]]]:
        """Split payloads into runs of one tenant each, None for what is not encrypted.

        Raises:
            ContextMismatchError: A tenant is not accepted, or not known.
            DecryptError: No codec ever wrote such a payload.
        """
        tenants: list[str | None] = []
        with Position(tenants):
            tenants.extend(map(self._tenant, payloads))
        if len(set(tenants)) == 1:
            return [(tenants[0], payloads)]
        pairs = groupby(zip(tenants, payloads, strict=True), lambda pair: pair[0])
        return [(tenant, [payload for _, payload in run]) for tenant, run in pairs]

    def _tenant(self, payload: Payload) -> str | None:
        """Return whose keys are asked for; whether it is really so, the decryption tells."""
        encoding = payload.metadata.get(ENCODING)
        stated = None
        if encoding == Encoding.SEALED:
            stated = stated_pair(payload, self.pair)
        elif encoding != Encoding.ENCRYPTED:
            return None
        tenant = stated or self.default or self.own
        if tenant is None:
            raise unknown_tenant("to read for")
        if tenant != self.own and self.accepted != ANY and tenant not in self.accepted:
            here = "is not known" if self.own is None else f"is {self.own!r}"
            raise ContextMismatchError(
                f"the payload says that it belongs to the tenant {tenant[:80]!r}, and this "
                f"decoder's {here}; if that is meant, add it to accept_tenants"
            )
        return tenant


def unknown_tenant(purpose: str) -> ContextMismatchError:
    """Return the error for a context that tells no tenant."""
    return ContextMismatchError(
        f"the tenant {purpose} is not known: the context that the SDK gives has none; name the "
        "workflow so that it has, or set default_tenant"
    )


def stated_pair(payload: Payload, name: str) -> str | None:
    """Return a pair of the stored context of a sealed payload, before it is known to be authentic.

    Raises:
        DecryptError: No codec ever wrote such a context.
    """
    context = payload.metadata.get(ENCRYPTION_CONTEXT)
    if context is None:
        return None
    pairs = _parsed(context) if len(context) <= sealed.MAX_CONTEXT else None
    if pairs is None:
        key_id = payload.metadata.get(ENCRYPTION_KEY_ID, b"").decode("ascii", "replace")
        known = key_id if KEY_ID.fullmatch(key_id) else None
        raise DecryptError(key_id=known, encoding="binary/sealed-v1")
    return pairs.get(name)


@lru_cache(_REMEMBERED)
def _parsed(context: bytes) -> dict[str, str] | None:
    pairs = sealed.unpack(context)
    try:
        return None if pairs is None else {k.decode(): v.decode() for k, v in pairs.items()}
    except UnicodeDecodeError:
        return None
