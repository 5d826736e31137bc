"""Payloads into the payloads that are stored, and back.

- `CompressionCodec`: zstd, zlib, lz4 or brotli, where it makes the payload smaller;
- `Dictionaries`: trained dictionaries for it, which make small payloads small; `DictionaryAdmin`
  changes them, and `train_dictionary` makes one;
- `PaddingCodec`: sizes that tell less about what is inside;
- `EncryptionCodec`: authenticated encryption, `binary/sealed-v1` or the interop format;
- `RemoteCodec`: a codec server does it, which alone holds the keys;
- `CodecChain`: several codecs as one, in an order that makes sense;
- `observed`: the same codec, and an observer who is told what it does.

Any object with the two methods of `PayloadCodec` takes part in a chain, every
`temporalio.converter.PayloadCodec` included.
"""

from .chain import CodecChain
from .compression import CompressionCodec
from .compression_rules import CompressionRule
from .dictionaries import Dictionaries
from .dictionary_admin import DictionaryAdmin
from .dictionary_sealing import Dictionary
from .dictionary_training import Training, train_dictionary
from .encryption import EncryptionCodec
from .observer import CodecEvent, CodecObserver, ObservedCodec, observed
from .padding import PaddingCodec
from .policy import DecodeCounters, DecodePolicy, PolicyMode
from .protocol import CodecKind, ContextualCodec, PayloadCodec, SyncPayloadCodec, with_context
from .remote import RemoteCodec
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
    "DecodePolicy",
    "Dictionaries",
    "Dictionary",
    "DictionaryAdmin",
    "DictionarySource",
    "EncryptionCodec",
    "ObservedCodec",
    "PaddingCodec",
    "PayloadCodec",
    "PolicyMode",
    "RemoteCodec",
    "SyncPayloadCodec",
    "Training",
    "observed",
    "train_dictionary",
    "with_context",
]
