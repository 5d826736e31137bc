"""The default provider: a keyring document, opened by a key-encryption key."""

from __future__ import annotations

from dataclasses import dataclass, field

from sealwire.errors import KeyNotFoundError, KeyringNotFoundError

from .document import Document, DocumentKey, parse
from .key import Key
from .provider import KeySet
from .store import KeyringStore, origin_of
from .wrappers import OneOrMore, Wrappers


@dataclass(frozen=True)
class WrappedKeyProvider:
    """Reads the keys of a keyring document; cannot change it.

    Args:
        store: Where the document lives.
        wrapper: Who can open it: one, or several in the order in which they are asked. The next is
            asked only when the one before cannot open the document.

    Raises:
        ConfigurationError: There is no wrapper.
    """

    store: KeyringStore
    wrapper: OneOrMore
    _wrappers: Wrappers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_wrappers", Wrappers.of(self.wrapper))

    async def snapshot(self, tenant: str) -> KeySet:
        """Load, check and unwrap the document: one call to the store, one to a wrapper.

        Raises:
            KeyringNotFoundError: There is no document.
            KeyProviderUnavailableError: A part does not answer.
            ConfigurationError: The document must not be used.
        """
        stored = await self.store.load(tenant)
        if stored is None:
            # Not the store itself: what it shows of itself may hold credentials.
            where = getattr(self.store, "path", type(self.store).__name__)
            raise KeyringNotFoundError(
                f"there is no keyring for {tenant[:80]!r} in {where}: restore it from a backup, "
                "or make the first one with `sealwire keys init`"
            )
        document = parse(stored.data, tenant, origin_of(self.store, tenant))
        return (await self._wrappers.open(document)).open(document)

    async def get(self, key_id: str, tenant: str) -> Key:
        """Return one key of the document.

        Raises:
            KeyNotFoundError: It is not in the document.
        """
        for key in (await self.snapshot(tenant)).keys:
            if key.id == key_id:
                return key
        raise KeyNotFoundError(f"the keyring has no key {key_id!r}", key_id=key_id)

    async def aclose(self) -> None:
        """Do nothing: every call opens what it needs."""


async def open_document(
    document: Document, wrapper: OneOrMore, what: str = "the keyring"
) -> DocumentKey:
    """Unwrap the document key of what is called so; see `Wrappers.open`."""
    return await Wrappers.of(wrapper).open(document, what)
