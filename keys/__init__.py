"""Keys: where they come from, which one is used, and how they change.

- `Key`: material bound to one algorithm, that shows nothing but its id;
- `KeyProvider`: where keys come from: `StaticKeyProvider` for tests, `WrappedKeyProvider` for a
  keyring document whose keys are wrapped by a `KeyWrapper` and kept in a `KeyringStore`;
- `Keyring`: a provider with a cache and the rules for using it; what codecs ask;
- `KeyringAdmin`: creating and rotating, apart from reading, so that workers cannot.

A key's state follows from the document and the clock alone, so every process that holds the
document changes state at the same moment without being told.
"""

from .admin import KeyringAdmin, RotationResult
from .key import Key, KeySuite
from .keyring import Keyring
from .provider import KeyProvider, KeySet, KeyState
from .static import StaticKeyProvider
from .store import FileKeyringStore, KeyringStore, StoredDocument
from .wrapped import WrappedKeyProvider
from .wrapper import KeyWrapper, LocalKeyWrapper

__all__ = [
    "FileKeyringStore",
    "Key",
    "KeyProvider",
    "KeySet",
    "KeyState",
    "KeySuite",
    "KeyWrapper",
    "Keyring",
    "KeyringAdmin",
    "KeyringStore",
    "LocalKeyWrapper",
    "RotationResult",
    "StaticKeyProvider",
    "StoredDocument",
    "WrappedKeyProvider",
]
