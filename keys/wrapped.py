"""The default provider: a keyring document, opened by a key-encryption key."""

from __future__ import annotations

from dataclasses import dataclass

from sealwire.errors import (
    ConfigurationError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
)

from .document import Document, DocumentKey, parse
from .key import Key
from .provider import KeySet
from .store import KeyringStore
from .wrapper import KeyWrapper


@dataclass(frozen=True)
class WrappedKeyProvider:
    """Reads the keys of a keyring document; cannot change it.

    Args:
        store: Where the document lives.
        wrapper: Who can open it.
    """

    store: KeyringStore
    wrapper: KeyWrapper

    async def snapshot(self, tenant: str) -> KeySet:
        """Load, check and unwrap the document: one call to the store, one to the wrapper.

        Raises:
            KeyProviderUnavailableError: There is no document, or a part does not answer.
            ConfigurationError: The document must not be used.
        """
        stored = await self.store.load(tenant)
        if stored is None:
            # Not the store itself: what it shows of itself may hold credentials.
            where = getattr(self.store, "path", type(self.store).__name__)
            raise KeyProviderUnavailableError(
                f"there is no keyring for {tenant!r} in {where}; `sealwire keys init` makes one"
            )
        document = parse(stored.data, tenant)
        return (await open_document(document, self.wrapper)).open(document)

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


async def open_document(document: Document, wrapper: KeyWrapper) -> DocumentKey:
    """Unwrap the document key.

    Raises:
        ConfigurationError: None of the document's key-encryption keys is this wrapper's.
        KeyProviderUnavailableError: The wrapper does not answer.
    """
    name = await wrapper.name()
    for wrapping in document.wrapped_by:
        if wrapping.wrapper == name:
            return DocumentKey(await wrapper.unwrap(wrapping.key, document.tenant))
    known = ", ".join(wrapping.wrapper for wrapping in document.wrapped_by)
    raise ConfigurationError(
        f"the keyring of {document.tenant!r} is wrapped by {known or 'nothing'}, not by {name}"
    )
