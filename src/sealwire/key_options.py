"""The section `[keyring]` of `sealwire.toml`: where keys come from, and who may open them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from sealwire.errors import ConfigurationError
from sealwire.keys import (
    AuditSink,
    CompositeKeyProvider,
    EnvironmentKeyProvider,
    FileAuditSink,
    FileKeyringStore,
    FolderKeyringStore,
    KeyProvider,
    Keyring,
    KeyringAdmin,
    KeyringStore,
    KeyringWrapper,
    KeyWrapper,
    LocalKeyWrapper,
    LoggingAuditSink,
    TenantKeyrings,
    WrappedKeyProvider,
)
from sealwire.keys.lifecycle import MIN_RETIRED
from sealwire.plugs import Plugs
from sealwire.tenant_options import TenantOptions

STORES: Final = Plugs(
    what="keyring store",
    group="sealwire.keyring_stores",
    own={
        "file": "sealwire.keys:FileKeyringStore",
        "folder": "sealwire.keys:FolderKeyringStore",
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
        min_retired: See `KeyLifecycle`.
        audit: A file to which each change of a key is appended; without it, changes are logged.

        tenants: A keyring for each of several tenants; then `tenant` is the one whose keys seal
            what belongs to no payload, and whom commands without `--tenant` are about.

    Raises:
        ConfigurationError: There would be no keys, a duration is out of its range, or the store
            holds one tenant only.
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
    min_retired: float = MIN_RETIRED
    audit: Path | None = None
    tenants: TenantOptions | None = None

    def __post_init__(self) -> None:
        if self.tenants is not None:
            self._check_tenants()
        if not self.document and not self.provider:
            raise ConfigurationError("without a document, keys need a [[keyring.provider]]")
        if not self.min_retired >= 0:  # NaN is not
            raise ConfigurationError("min_retired must not be negative")
        self.keyring()  # refuses durations out of range, and does no I/O

    def keyring(self) -> Keyring:
        """Build the keyring; it reads its keys on first use."""
        return self._keyring(self._key_provider(self.wrappers_of(self.tenant)), self.tenant)

    def tenant_keyrings(self) -> TenantKeyrings | None:
        """Build the keyrings of all tenants, if there are several."""
        tenants = self.tenants
        if tenants is None:
            return None
        return TenantKeyrings(
            self._key_provider(self._wrappers_of_others),
            refresh_interval=self.refresh_interval,
            encrypt_grace=self.encrypt_grace,
            decrypt_grace=self.decrypt_grace,
            limit=tenants.limit,
            reserved=frozenset(filter(None, [tenants.wrapped_by])),
            on_missing=self._creator.create_for if tenants.create_missing else None,
        )

    def wrappers_of(self, tenant: str) -> tuple[KeyWrapper, ...]:
        """Return who can open the document of a tenant."""
        wrapping = self.tenants.wrapped_by if self.tenants else None
        return self.document_wrappers if wrapping in (None, tenant) else self._wrappers_of_others

    @cached_property
    def wrapping_keyring(self) -> Keyring | None:
        """The keyring that opens those of all tenants, if one does."""
        name = self.tenants.wrapped_by if self.tenants else None
        if name is None:
            return None
        provider = WrappedKeyProvider(self.document_store, self.document_wrappers)
        return self._keyring(provider, name)

    @property
    def _wrappers_of_others(self) -> tuple[KeyWrapper, ...]:
        keyring = self.wrapping_keyring
        return self.document_wrappers if keyring is None else (KeyringWrapper(keyring),)

    @property
    def _creator(self) -> KeyringAdmin:
        return KeyringAdmin(self.document_store, self._wrappers_of_others, audit=self.audit_sink)

    def _key_provider(self, wrappers: tuple[KeyWrapper, ...]) -> KeyProvider:
        providers = list(self.provider)
        if self.document:
            providers.append(WrappedKeyProvider(self.document_store, wrappers))
        return providers[0] if len(providers) == 1 else CompositeKeyProvider(*providers)

    def _keyring(self, provider: KeyProvider, tenant: str) -> Keyring:
        return Keyring(
            provider,
            tenant=tenant,
            refresh_interval=self.refresh_interval,
            encrypt_grace=self.encrypt_grace,
            decrypt_grace=self.decrypt_grace,
        )

    def _check_tenants(self) -> None:
        if isinstance(self.document_store, FileKeyringStore):
            raise ConfigurationError(
                "a file holds the keyring of one tenant: [keyring.tenants] needs a "
                '[keyring.store], for example with type = "folder"'
            )
        if not self.document or any(
            isinstance(provider, EnvironmentKeyProvider) for provider in self.provider
        ):
            raise ConfigurationError(
                "keys of the environment are the same for every tenant: [keyring.tenants] needs "
                "a keyring document for each, and no [[keyring.provider]] of that type"
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
    def audit_sink(self) -> AuditSink:
        """Who is told of each change of a key."""
        return LoggingAuditSink() if self.audit is None else FileAuditSink(self.audit)

    @property
    def place(self) -> str:
        """Where the document lives, in words that hold no credentials."""
        store = self.document_store
        if isinstance(store, FileKeyringStore | FolderKeyringStore):
            return str(store.path)
        return type(store).__name__
