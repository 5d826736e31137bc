"""The public API as a user's type checker sees it. Checked by mypy and pyright, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from temporalio.client import Client
from temporalio.converter import DataConverter as TemporalDataConverter
from temporalio.converter import FailureConverter, JSONPlainPayloadConverter
from temporalio.converter import PayloadCodec as TemporalCodec
from temporalio.worker import WorkflowRunner

import sealwire
from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    EnvelopeEncryptionCodec,
    PaddingCodec,
    PayloadCodec,
    PolicyMode,
    ReadAlsoCodec,
    RemoteCodec,
    SyncPayloadCodec,
    ThreadedCodec,
    Threads,
)
from sealwire.config import TemporalOptions
from sealwire.converter import (
    CompositePayloadConverter,
    CustomType,
    JsonConverter,
    MsgpackConverter,
    MsgpackExtension,
    NullConverter,
    PayloadConverter,
    SelectsByClass,
    default_converters,
)
from sealwire.converter.arrow import ArrowConverter
from sealwire.keys import (
    DataKeys,
    Key,
    KeyProvider,
    Keyring,
    KeyState,
    KeySuite,
    LocalKeyWrapper,
    StaticKeyProvider,
)
from sealwire.temporal import (
    ClearFailureConverter,
    EncodedTypeFailureConverter,
    SealwirePlugin,
    data_converter,
    sandbox_runner,
)


def protocols(keyring: Keyring, foreign: TemporalCodec) -> None:
    """Ours and the SDK's codecs and converters are the same kinds of things."""
    sync: list[SyncPayloadCodec] = [
        CompressionCodec(),
        PaddingCodec(),
        EncryptionCodec(keyring),
        EnvelopeEncryptionCodec(DataKeys(LocalKeyWrapper(Path("keyring.key")))),
        ReadAlsoCodec(
            EncryptionCodec(keyring),
            EnvelopeEncryptionCodec(DataKeys([LocalKeyWrapper(Path("keyring.key"))])),
        ),
        RemoteCodec("http://127.0.0.1:8081"),
        CodecChain(),
        ThreadedCodec(CodecChain(), threads=Threads(2)),
    ]
    mixed: list[PayloadCodec] = [*sync, foreign]
    assert_type(CodecChain(*mixed), CodecChain)
    theirs: PayloadConverter = JSONPlainPayloadConverter()
    assert_type(CompositePayloadConverter(NullConverter(), theirs), CompositePayloadConverter)


class Money:
    """A class of the user's own."""

    def __init__(self, text: str) -> None:
        self.text = text


def converters() -> None:
    """Custom types know the class that their functions are about."""
    money = CustomType(Money, to=lambda item: item.text, from_=Money)
    assert_type(money, CustomType[Money])
    extension = MsgpackExtension(
        1, Money, lambda item: item.text.encode(), lambda data: Money(data.decode())
    )
    all_of_them: list[PayloadConverter] = [
        JsonConverter([money], key_order="declared", allow_nan=True),
        MsgpackConverter(extensions=[extension]),
        ArrowConverter(writable=True),
    ]
    selective: SelectsByClass = ArrowConverter()
    assert_type(selective.can_take(Money), bool)
    made = CompositePayloadConverter(
        *default_converters(types=[money], also=all_of_them), prefer={Money: "binary/msgpack"}
    )
    assert_type(made.from_payload(made.to_payload(Money("1 EUR")), Money), Any)


def keys(provider: KeyProvider) -> None:
    """A provider is anything with its three methods."""
    key = Key.generate("a")
    assert_type(key, Key)
    assert_type(Key("b", b"0" * 16, suite=KeySuite.INTEROP).suite, KeySuite)
    static: KeyProvider = StaticKeyProvider(key)
    assert_type(Keyring(static).encryption_key(), Key)
    assert_type(Keyring(provider, refresh_interval=1).decryption_key("a"), Key)
    assert_type(KeyState("active"), KeyState)


async def conversion(keyring: Keyring) -> None:
    """Values become payloads and come back as anything."""
    policy = DecodePolicy(PolicyMode.MIGRATE, accept_namespaces=frozenset({"b"}))
    converter = sealwire.DataConverter(
        codec=EncryptionCodec(keyring, namespace="a", policy=policy, context={"region": "eu"})
    )
    payloads = await converter.encode([1])
    assert_type(payloads, list[sealwire.Payload])
    assert_type(await converter.decode(payloads, [int]), list[Any])
    assert_type(converter.decode_sync(converter.encode_sync([1])), list[Any])


async def temporal() -> None:
    """The plugin goes where the SDK takes plugins."""
    config = sealwire.load_config("sealwire.toml")
    assert_type(config, sealwire.Config)
    await Client.connect("localhost:7233", plugins=[SealwirePlugin(config)])
    assert_type(sandbox_runner(), WorkflowRunner)
    failures: list[type[FailureConverter]] = [ClearFailureConverter, EncodedTypeFailureConverter]
    assert_type(TemporalOptions(failures="encode-type"), TemporalOptions)
    assert_type(failures[0](), FailureConverter)
    assert_type(data_converter(config, "default"), TemporalDataConverter)
