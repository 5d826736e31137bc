"""Keys: where they come from, which one is used, and how they change.

- `Key`: material bound to one algorithm, that shows nothing but its id;
- `KeyProvider`: where keys come from: `WrappedKeyProvider` for a keyring document whose keys are
  wrapped by a `KeyWrapper` and kept in a `KeyringStore`, `StaticKeyProvider` for tests,
  `EnvironmentKeyProvider` for containers, `CompositeKeyProvider` for several as one;
- `Keyring`: a provider with a cache and the rules for using it; what codecs ask;
- `KeyringAdmin`: creating and rotating, apart from reading, so that workers cannot;
- `KeyLifecycle`: promoting, disabling and destroying, with rails; `export_bundle` and
  `import_bundle`: keys for a backup or another region;
- `AuditSink`: who is told of each of these actions.

A key's state follows from the document and the clock alone, so every process that holds the
document changes state at the same moment without being told.
"""

from .admin import KeyringAdmin, RotationResult
from .audit import AuditEvent, AuditOutcome, AuditSink, FileAuditSink, LoggingAuditSink
from .bundle import ImportedBundle, export_bundle, import_bundle
from .composite import CompositeKeyProvider
from .environment import EnvironmentKeyProvider
from .key import Key, KeySuite
from .keyring import Keyring
from .lifecycle import KeyLifecycle
from .provider import KeyProvider, KeySet, KeyState
from .static import StaticKeyProvider
from .store import FileKeyringStore, KeyringStore, StoredDocument
from .wrapped import WrappedKeyProvider
from .wrapper import KeyWrapper, LocalKeyWrapper

__all__ = [
    "AuditEvent",
    "AuditOutcome",
    "AuditSink",
    "CompositeKeyProvider",
    "EnvironmentKeyProvider",
    "FileAuditSink",
    "FileKeyringStore",
    "ImportedBundle",
    "Key",
    "KeyLifecycle",
    "KeyProvider",
    "KeySet",
    "KeyState",
    "KeySuite",
    "KeyWrapper",
    "Keyring",
    "KeyringAdmin",
    "KeyringStore",
    "LocalKeyWrapper",
    "LoggingAuditSink",
    "RotationResult",
    "StaticKeyProvider",
    "StoredDocument",
    "WrappedKeyProvider",
    "export_bundle",
    "import_bundle",
]
