"""Keys: where they come from, which one is used, and how they change.

- `Key`: material bound to one algorithm, that shows nothing but its id;
- `KeyProvider`: where keys come from: `WrappedKeyProvider` for a keyring document whose keys are
  wrapped by a `KeyWrapper` and kept in a `KeyringStore`, `StaticKeyProvider` for tests,
  `EnvironmentKeyProvider` for containers, `CompositeKeyProvider` for several as one;
- `Keyring`: a provider with a cache and the rules for using it; what codecs ask;
- `TenantKeyrings`: a keyring for each of many tenants, and `KeyringWrapper`, with which one keyring
  opens those of all others;
- `DataKeys`: keys that travel, wrapped, in the payloads themselves, where there is no keyring;
- `KeyringAdmin`: creating and rotating, apart from reading, so that workers cannot;
- `KeyLifecycle`: promoting, disabling and destroying, with rails; `export_bundle` and
  `import_bundle`: keys for a backup or another region; `KeyringShredder`: destroying all keys of
  a tenant at once;
- `AuditSink`: who is told of each of these actions;
- `BlindIndex`: tokens of values, for search attributes.

A key's state follows from the document and the clock alone, so every process that holds the
document changes state at the same moment without being told.
"""

from .admin import KeyringAdmin, RotationResult
from .audit import AuditEvent, AuditOutcome, AuditSink, FileAuditSink, LoggingAuditSink
from .blind_index import BlindIndex
from .bundle import ImportedBundle, export_bundle, import_bundle
from .composite import CompositeKeyProvider
from .data_keys import DataKeys
from .environment import EnvironmentKeyProvider
from .folder import FolderKeyringStore
from .key import Key, KeySuite
from .keyring import Keyring
from .keyring_wrapper import KeyringWrapper
from .lifecycle import KeyLifecycle
from .provider import KeyProvider, KeySet, KeyState
from .shredding import KeyringShredder, Shredded
from .static import StaticKeyProvider
from .store import ErasesVersions, FileKeyringStore, KeepsFiles, KeyringStore, StoredDocument
from .tenants import TenantKeyrings
from .wrapped import WrappedKeyProvider
from .wrapper import KeyWrapper, LocalKeyWrapper

__all__ = [
    "AuditEvent",
    "AuditOutcome",
    "AuditSink",
    "BlindIndex",
    "CompositeKeyProvider",
    "DataKeys",
    "EnvironmentKeyProvider",
    "ErasesVersions",
    "FileAuditSink",
    "FileKeyringStore",
    "FolderKeyringStore",
    "ImportedBundle",
    "KeepsFiles",
    "Key",
    "KeyLifecycle",
    "KeyProvider",
    "KeySet",
    "KeyState",
    "KeySuite",
    "KeyWrapper",
    "Keyring",
    "KeyringAdmin",
    "KeyringShredder",
    "KeyringStore",
    "KeyringWrapper",
    "LocalKeyWrapper",
    "LoggingAuditSink",
    "RotationResult",
    "Shredded",
    "StaticKeyProvider",
    "StoredDocument",
    "TenantKeyrings",
    "WrappedKeyProvider",
    "export_bundle",
    "import_bundle",
]
