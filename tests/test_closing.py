"""Closing a configuration: it reaches every key provider, in whatever codec or keyring it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sealwire.codecs import (
    CodecEvent,
    CompressionCodec,
    Dictionaries,
    EncryptionCodec,
    EnvelopeEncryptionCodec,
    PayloadCodec,
    ReadAlsoCodec,
    TenantEncryptionCodec,
    ThreadedCodec,
    decode_only,
    observed,
)
from sealwire.config import (
    Config,
    EncryptionOptions,
    EnvelopeOptions,
    KeyringOptions,
    RemoteOptions,
    TenantOptions,
)
from sealwire.keys import (
    CompositeKeyProvider,
    DataKeys,
    FolderKeyringStore,
    Key,
    Keyring,
    KeyringWrapper,
    KeySuite,
    StaticKeyProvider,
    TenantKeyrings,
)
from sealwire.payload import Payload
from sealwire.testing import ScriptedKeyWrapper

KEY = Key("k", bytes(range(200, 232)))
INDEX = Key("i", bytes(range(100, 132)), suite=KeySuite.INDEX)
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"value"')
STORE = FolderKeyringStore(Path("there-is-no-such-folder"))


class Provider(StaticKeyProvider):
    """Counts how often it is closed."""

    def __init__(self) -> None:
        super().__init__(INDEX, KEY)
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


class Observer:
    """Who is not interested."""

    def observe(self, event: CodecEvent) -> None: ...


@pytest.fixture
def provider() -> Provider:
    return Provider()


def envelope(keys: Keyring) -> EnvelopeEncryptionCodec:
    return EnvelopeEncryptionCodec(DataKeys([ScriptedKeyWrapper(), KeyringWrapper(keys)]))


def configured(provider: Provider) -> KeyringOptions:
    return KeyringOptions(document=False, provider=(provider,))


CONFIGURED: dict[str, Callable[[Provider], Config]] = {
    "encryption": lambda provider: Config(configured(provider)),
    "an envelope that reads the keyring's": lambda provider: Config(
        configured(provider),
        codecs=(EnvelopeOptions((ScriptedKeyWrapper(),), "read"),),
    ),
    "the keyring's, and an envelope that reads": lambda provider: Config(
        configured(provider), codecs=(EnvelopeOptions((ScriptedKeyWrapper(),), "write"),)
    ),
    "tenants": lambda provider: Config(
        KeyringOptions(store=STORE, provider=(provider,), tenants=TenantOptions("namespace"))
    ),
    "a keyring that opens those of all tenants": lambda provider: Config(
        KeyringOptions(
            store=STORE,
            wrapper=(KeyringWrapper(Keyring(provider)),),
            tenants=TenantOptions("namespace", wrapped_by="root"),
        )
    ),
    "no codec with keys": lambda provider: Config(
        configured(provider), codecs=(RemoteOptions("http://localhost:1"),)
    ),
    "several codecs that share it": lambda provider: Config(
        configured(provider),
        codecs=(
            CompressionCodec(dictionaries=Dictionaries(STORE, Keyring(provider))),
            EncryptionOptions(),
        ),
    ),
}

BUILT: dict[str, Callable[[Keyring], PayloadCodec]] = {
    "encryption": EncryptionCodec,
    "tenants": lambda keys: TenantEncryptionCodec(TenantKeyrings(keys.provider)),
    "a key that wraps data keys": envelope,
    "read also": lambda keys: ReadAlsoCodec(envelope(Keyring(Provider())), EncryptionCodec(keys)),
    "also read": lambda keys: ReadAlsoCodec(envelope(keys), EncryptionCodec(Keyring(Provider()))),
    "dictionaries": lambda keys: CompressionCodec(dictionaries=Dictionaries(STORE, keys)),
    "observed": lambda keys: observed(EncryptionCodec(keys), Observer()),
    "decode only": lambda keys: decode_only(EncryptionCodec(keys)),
    "threads": lambda keys: ThreadedCodec(EncryptionCodec(keys)),
    "one of several providers": lambda keys: EncryptionCodec(
        Keyring(CompositeKeyProvider(Provider(), CompositeKeyProvider(keys.provider)))
    ),
}


@pytest.mark.parametrize("make", CONFIGURED.values(), ids=CONFIGURED)
async def test_what_the_configuration_names_is_closed_once(
    provider: Provider, make: Callable[[Provider], Config]
) -> None:
    """However many keyrings and codecs share the provider, or if no codec needs it at all."""
    await make(provider).aclose()
    assert 1 == provider.closed


@pytest.mark.parametrize("make", BUILT.values(), ids=BUILT)
async def test_the_keys_of_codecs_built_in_code_are_closed(
    provider: Provider, make: Callable[[Keyring], PayloadCodec]
) -> None:
    """They are not the configuration's own."""
    await Config(codecs=(make(Keyring(provider)),)).aclose()
    assert 1 == provider.closed


async def test_what_is_used_afterwards_opens_again(provider: Provider) -> None:
    """A chain that was closed twice goes on, and so do search tokens; then it is closed again."""
    options = EnvelopeOptions((ScriptedKeyWrapper(),), "write", require_context=False)
    config = Config(configured(provider), codecs=(options,))
    for closed in (0, 2):
        assert closed == provider.closed
        await config.load_keys()
        [sealed] = await config.codec().encode([PLAIN])
        assert [PLAIN] == await config.codec().decode([sealed])
        assert 32 == len(config.blind_index().token("Customer", "Ada"))
        await config.aclose()
        await config.aclose()
    assert 4 == provider.closed
