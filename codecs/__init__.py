"""Payloads into the payloads that are stored, and back.

- `CompressionCodec`: zstd or zlib, where it makes the payload smaller;
- `EncryptionCodec`: authenticated encryption, `binary/sealed-v1` or the interop format;
- `CodecChain`: several codecs as one, in an order that makes sense.

Any object with the two methods of `PayloadCodec` takes part in a chain, every
`temporalio.converter.PayloadCodec` included.
"""

from .chain import CodecChain
from .compression import CompressionCodec
from .encryption import EncryptionCodec
from .policy import DecodeCounters, DecodePolicy, PolicyMode
from .protocol import CodecKind, ContextualCodec, PayloadCodec, SyncPayloadCodec, with_context

__all__ = [
    "CodecChain",
    "CodecKind",
    "CompressionCodec",
    "ContextualCodec",
    "DecodeCounters",
    "DecodePolicy",
    "EncryptionCodec",
    "PayloadCodec",
    "PolicyMode",
    "SyncPayloadCodec",
    "with_context",
]
