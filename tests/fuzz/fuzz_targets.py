"""The codecs that are fuzzed, and the table of all targets.

A target is a function that makes what runs once for each input; so only the chosen one is set up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from fuzz_checks import examine
from fuzz_documents import answer, dictionaries, keys, wire
from fuzz_enveloped import enveloped_codec, envelopes
from fuzz_inputs import (
    HEADER,
    INTEROP_ROOT,
    Recipe,
    assemble,
    compressions,
    dictionary,
    interops,
    keyring,
    labelled,
    nested,
    outer,
    padded,
    sealed_for,
    sealings,
)

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    PaddingCodec,
    PolicyMode,
    SyncPayloadCodec,
)
from sealwire.codecs.dictionary_training import OneDictionary
from sealwire.errors import DictionaryNotFoundError, KeyLookupError, PayloadError, SealwireError
from sealwire.payload import Encoding

Run = Callable[[bytes], None]

_LIMIT: Final = 1024 * 1024  # bytes; small, so that what ignores it is found early


def codec_target(
    codec: SyncPayloadCodec, recipes: Sequence[Recipe], *documented: type[SealwireError]
) -> Run:
    """Decode what the recipes make."""
    (companion,) = codec.encode_sync([labelled(Encoding.JSON, b'"a good payload"')])

    def run(data: bytes) -> None:
        payloads = assemble(data, recipes, companion)
        examine(codec.decode_sync, payloads, documented, data[HEADER:])

    return run


def compression() -> Run:
    """Every algorithm's reading."""
    codec = CompressionCodec(max_size=_LIMIT, dictionaries=OneDictionary(dictionary()))
    return codec_target(codec, compressions(), PayloadError, DictionaryNotFoundError)


def padding() -> Run:
    """Padding, good and bad."""
    recipes = (outer, partial(labelled, Encoding.PADDED), padded)
    return codec_target(PaddingCodec(), recipes, PayloadError)


def sealed() -> Run:
    """The sealed format, strictly."""
    policy = DecodePolicy(accept_namespaces=frozenset({"accepted"}))
    codec = EncryptionCodec(keyring(), "default", policy)
    return codec_target(codec, sealings(), PayloadError, KeyLookupError)


def enveloped() -> Run:
    """The enveloped format, strictly."""
    return codec_target(enveloped_codec(), envelopes(), PayloadError, KeyLookupError)


def interop() -> Run:
    """The interop format with aliases, while plaintext is being migrated."""
    aliases = {"": "interop-1", "test": "sealed-1", INTEROP_ROOT.decode(): "interop-1"}
    policy = DecodePolicy(PolicyMode.MIGRATE)
    codec = EncryptionCodec(keyring(), "default", policy, "interop", key_aliases=aliases)
    return codec_target(codec, interops(), PayloadError, KeyLookupError)


def chain() -> Run:
    """All codecs after each other; the fuzzer enters before, between and behind them."""
    seal = sealed_for(b"sealed-1", namespace="default")
    inner = compressions()
    recipes = (
        outer,
        seal,
        nested(padded, seal),
        *(nested(recipe, seal) for recipe in inner),
        *(nested(recipe, padded, seal) for recipe in inner),
    )
    codec = CodecChain(
        CompressionCodec(max_size=_LIMIT, dictionaries=OneDictionary(dictionary())),
        PaddingCodec(),
        EncryptionCodec(keyring(), "default"),
    )
    return codec_target(codec, recipes, PayloadError, KeyLookupError, DictionaryNotFoundError)


def values() -> Run:
    """Values with type hints; imported here, because instrumenting converters takes a second."""
    import fuzz_values

    return fuzz_values.values()


def direct() -> Run:
    """Values without a payload around them; imported here for the same reason."""
    import fuzz_values

    return fuzz_values.direct()


TARGETS: Final[Mapping[str, Callable[[], Run]]] = {
    "compression": compression,
    "padding": padding,
    "sealed": sealed,
    "enveloped": enveloped,
    "interop": interop,
    "chain": chain,
    "values": values,
    "direct": direct,
    "answer": answer,
    "wire": wire,
    "dictionaries": dictionaries,
    "keys": keys,
}
