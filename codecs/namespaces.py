"""For which namespace a codec for encryption works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final, Protocol, TypeVar

from sealwire.errors import ConfigurationError

from .policy import NAMESPACE
from .protocol import REPLAY_NAMESPACE
from .sealed import pack_context

_MAX_CLONES: Final = 256  # namespaces; the name may be a stranger's choice


class Namespaced(Protocol):
    """A dataclass with a namespace."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def namespace(self) -> str | None:
        """Where the payloads are stored, if it is known."""
        ...


CodecT = TypeVar("CodecT", bound=Namespaced)


def pairs_of(namespace: str | None, context: Mapping[str, str]) -> dict[str, str]:
    """Return the pairs that a codec stores with payloads and compares.

    Raises:
        ConfigurationError: They are too long, or one of them is a second namespace.
    """
    if NAMESPACE in context:
        raise ConfigurationError("give the namespace as `namespace`, not in `context`")
    own = {} if namespace is None else {NAMESPACE: namespace}
    pairs = {**context, **own}
    pack_context(pairs)  # refuses what is too long
    return pairs


def for_context(codec: CodecT, context: Any, clones: dict[str, CodecT]) -> CodecT:
    """Return a codec for the namespace of an SDK's serialization context.

    Args:
        codec: The codec.
        context: An object with a `namespace`.
        clones: The codec's copies so far, by namespace.

    Raises:
        ConfigurationError: The codec is configured for another namespace.
    """
    namespace = getattr(context, "namespace", None)
    if namespace in (None, codec.namespace, REPLAY_NAMESPACE):
        return codec
    if codec.namespace is not None:
        raise ConfigurationError(
            f"this codec is configured for the namespace {codec.namespace!r}, "
            f"and the client works in {namespace!r}"
        )
    clone = clones.get(namespace)
    if clone is None:
        clone = replace(codec, namespace=namespace)
        if len(clones) < _MAX_CLONES:
            clones[namespace] = clone
    return clone
