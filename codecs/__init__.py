"""Payloads into the payloads that are stored, and back.

- `CompressionCodec`: zstd, zlib, lz4 or brotli, where it makes the payload smaller;
- `Dictionaries`: trained dictionaries for it, which make small payloads small; `DictionaryAdmin`
  changes them, and `train_dictionary` makes one;
- `PaddingCodec`: sizes that tell less about what is inside;
- `EncryptionCodec`: authenticated encryption, `binary/sealed-v1` or the interop format;
- `TenantEncryptionCodec`: an `EncryptionCodec` for each tenant, with keys of its own;
- `EnvelopeEncryptionCodec`: the same with a key in each payload, wrapped, and no keyring;
- `ReadAlsoCodec`: one of these two writes, and the other is read, too;
- `RemoteCodec`: a codec server does it, which alone holds the keys;
- `CodecChain`: several codecs as one, in an order that makes sense;
- `ThreadedCodec`: the same codec, which works on large payloads in a thread;
- `PayloadStorage`: what is too large for a server, in an `ObjectStore` such as a folder;
- `observed`: the same codec, and an observer who is told what it does;
- `decode_only`: the same codec, which reads and does not write, for a migration's first step.

Any object with the two methods of `PayloadCodec` takes part in a chain, every
`temporalio.converter.PayloadCodec` included.
"""

from .chain import CodecChain
from .compression import CompressionCodec
from .compression_rules import CompressionRule
from .decode_only import DecodeOnlyCodec, decode_only
from .dictionaries import Dictionaries
from .dictionary_admin import DictionaryAdmin
from .dictionary_sealing import Dictionary
from .dictionary_training import Training, train_dictionary
from .encryption import EncryptionCodec
from .envelope_encryption import EnvelopeEncryptionCodec
from .object_folder import FolderObjectStore
from .object_names import Owner
from .object_store import ObjectStore, StoredObject
from .observer import CodecEvent, CodecObserver, ObservedCodec, observed
from .padding import PaddingCodec
from .payload_cache import FolderCache, MemoryCache, PayloadCache
from .payload_storage import PayloadStorage
from .policy import DecodeCounters, DecodePolicy, PolicyMode
from .protocol import (
    CodecKind,
    ContextualCodec,
    PartsCodec,
    PayloadCodec,
    SyncPayloadCodec,
    with_context,
)
from .read_also import ReadAlsoCodec
from .remote import RemoteCodec
from .tenancy import TenantOf, WorkflowIdTenant
from .tenants import TenantEncryptionCodec
from .threaded import ThreadedCodec
from .threads import Threads
from .zstd import DictionarySource

__all__ = [
    "CodecChain",
    "CodecEvent",
    "CodecKind",
    "CodecObserver",
    "CompressionCodec",
    "CompressionRule",
    "ContextualCodec",
    "DecodeCounters",
    "DecodeOnlyCodec",
    "DecodePolicy",
    "Dictionaries",
    "Dictionary",
    "DictionaryAdmin",
    "DictionarySource",
    "EncryptionCodec",
    "EnvelopeEncryptionCodec",
    "FolderCache",
    "FolderObjectStore",
    "MemoryCache",
    "ObjectStore",
    "ObservedCodec",
    "Owner",
    "PaddingCodec",
    "PartsCodec",
    "PayloadCache",
    "PayloadCodec",
    "PayloadStorage",
    "PolicyMode",
    "ReadAlsoCodec",
    "RemoteCodec",
    "StoredObject",
    "SyncPayloadCodec",
    "TenantEncryptionCodec",
    "TenantOf",
    "ThreadedCodec",
    "Threads",
    "Training",
    "WorkflowIdTenant",
    "decode_only",
    "observed",
    "train_dictionary",
    "with_context",
]
