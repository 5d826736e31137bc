"""The section `[keyring]` of `sealwire.toml`: where keys come from, and who may open them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sealwire.errors import ConfigurationError
from sealwire.keys import (
    CompositeKeyProvider,
    FileKeyringStore,
    KeyProvider,
    Keyring,
    KeyringStore,
    KeyWrapper,
    LocalKeyWrapper,
    WrappedKeyProvider,
)
from sealwire.plugs import Plugs

STORES: Final = Plugs(
    what="keyring store",
    group="sealwire.keyring_stores",
    own={
        "file": "sealwire.keys:FileKeyringStore",
        "sql": "sealwire.keys.sql:SqlKeyringStore",
        "objects": "sealwire.keys.objects:ObjectKeyringStore",
        "vault": "sealwire.keys.vault:VaultKeyringStore",
    },
    protocol=KeyringStore,
    methods="load and save",
    extras={"sql": "sql", "objects": "storage", "vault": "vault"},
)
WRAPPERS: Final = Plugs(
    what="key wrapper",
    group="sealwire.key_wrappers",
    own={
        "local": "sealwire.keys:LocalKeyWrapper",
        "passphrase": "sealwire.keys.passphrase:PassphraseWrapper",
        "aws-kms": "sealwire.keys.aws:AwsKmsWrapper",
        "gcp-kms": "sealwire.keys.gcp:GcpKmsWrapper",
        "azure-key-vault": "sealwire.keys.azure:AzureKeyVaultWrapper",
        "vault": "sealwire.keys.vault:VaultTransitWrapper",
        "pkcs11": "sealwire.keys.pkcs11:Pkcs11Wrapper",
        "os-keyring": "sealwire.keys.os_keyring:OsKeyringWrapper",
    },
    protocol=KeyWrapper,
    methods="name, wrap and unwrap",
    extras={
        "aws-kms": "aws",
        "gcp-kms": "gcp",
        "azure-key-vault": "azure",
        "vault": "vault",
        "pkcs11": "pkcs11",
        "os-keyring": "keyring",
    },
)
PROVIDERS: Final = Plugs(
    what="key provider",
    group="sealwire.key_providers",
    own={"environment": "sealwire.keys:EnvironmentKeyProvider"},
    protocol=KeyProvider,
    methods="snapshot, get and aclose",
    extras={},
)


@dataclass(frozen=True)
class KeyringOptions:
    """The section `[keyring]`; durations are in seconds, see `Keyring`.

    Args:
        path: The keyring document, a file.
        key_file: The local key file, which opens it.
        tenant: Whose keys.
        refresh_interval: See `Keyring`.
        encrypt_grace: See `Keyring`.
        decrypt_grace: See `Keyring`.
        store: Where the document lives, in place of `path`.
        wrapper: Who can open it, in place of `key_file`: one, or several of which each can.
        provider: Where else keys come from. The document's keys are newer than theirs.
        document: Whether there is a document; if not, all keys are those of `provider`.

    Raises:
        ConfigurationError: There would be no keys, or a duration is out of its range.
    """

    path: Path = Path("keyring.json")
    key_file: Path = Path("keyring.key")
    tenant: str = "default"
    refresh_interval: float = 300.0
    encrypt_grace: float = 3600.0
    decrypt_grace: float = 24 * 3600.0
    store: KeyringStore | None = None
    wrapper: tuple[KeyWrapper, ...] = ()
    provider: tuple[KeyProvider, ...] = ()
    document: bool = True

    def __post_init__(self) -> None:
        if not self.document and not self.provider:
            raise ConfigurationError("without a document, keys need a [[keyring.provider]]")
        self.keyring()  # refuses durations out of range, and does no I/O

    def keyring(self) -> Keyring:
        """Build the keyring; it reads its keys on first use."""
        providers = list(self.provider)
        if self.document:
            providers.append(WrappedKeyProvider(self.document_store, self.document_wrappers))
        return Keyring(
            providers[0] if len(providers) == 1 else CompositeKeyProvider(*providers),
            tenant=self.tenant,
            refresh_interval=self.refresh_interval,
            encrypt_grace=self.encrypt_grace,
            decrypt_grace=self.decrypt_grace,
        )

    @property
    def document_store(self) -> KeyringStore:
        """Where the document lives."""
        return FileKeyringStore(self.path) if self.store is None else self.store

    @property
    def document_wrappers(self) -> tuple[KeyWrapper, ...]:
        """Who can open the document, in the order in which they are asked."""
        return self.wrapper or (LocalKeyWrapper(self.key_file),)

    @property
    def local_wrappers(self) -> tuple[LocalKeyWrapper, ...]:
        """Those of them that are key files on this machine."""
        return tuple(item for item in self.document_wrappers if isinstance(item, LocalKeyWrapper))

    @property
    def place(self) -> str:
        """Where the document lives, in words that hold no credentials."""
        store = self.document_store
        return str(store.path) if isinstance(store, FileKeyringStore) else type(store).__name__
