"""`type = "envelope"` in `sealwire.toml`: which codec it makes, and with which keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sealwire.codecs import (
    CodecChain,
    EncryptionCodec,
    EnvelopeEncryptionCodec,
    ReadAlsoCodec,
)
from sealwire.config import Config, EnvelopeOptions, KeyringOptions, load_config
from sealwire.errors import ConfigurationError, KeyNotFoundError, KeyProviderUnavailableError
from sealwire.keys import LocalKeyWrapper
from sealwire.payload import Payload
from sealwire.testing import ScriptedKeyWrapper

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"value"')
Load = Callable[[str], Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes a configuration beside two key files and reads it."""
    for name in ("keyring.key", "far.key"):
        LocalKeyWrapper(tmp_path / name).create()

    def read(text: str) -> Config:
        file = tmp_path / "sealwire.toml"
        file.write_text(f'namespace = "orders"\n{text}', encoding="utf-8")
        return load_config(file)

    return read


def encryption_of(chain: CodecChain) -> EnvelopeEncryptionCodec | ReadAlsoCodec:
    """The last codec of a chain."""
    codec = chain.codecs[-1]
    assert isinstance(codec, EnvelopeEncryptionCodec | ReadAlsoCodec)
    return codec


async def test_the_key_file_of_the_keyring_wraps_unless_told_otherwise(load: Load) -> None:
    """No keyring document is needed, or made; another process with the file reads."""
    text = '[[codec]]\ntype = "envelope"\n'
    config = load(text)
    await config.load_keys()
    outer = await config.codec().encode([PLAIN])

    assert b"binary/enveloped-v1" == outer[0].metadata.get("encoding")
    assert [PLAIN] == await load(text).codec().decode(outer)
    assert not config.keyring.path.exists()


async def test_wrappers_of_its_own_take_the_place_of_the_keyrings(load: Load) -> None:
    """Each of them wraps, any one opens, and the tenant is that of the keyring."""
    far = '[[codec.wrapper]]\ntype = "local"\npath = "far.key"\n'
    near = '[[codec.wrapper]]\ntype = "local"\npath = "keyring.key"\n'
    codec = '[keyring]\ntenant = "shop"\n[[codec]]\ntype = "envelope"\n'
    outer = await load(codec + far + near).codec().encode([PLAIN])

    for text in (codec + far, codec + near, codec):
        assert [PLAIN] == await load(text).codec().decode(outer)
    only_near = await load(codec).codec().encode([PLAIN])
    with pytest.raises(KeyNotFoundError):
        await load(codec + far).codec().decode(only_near)


async def test_a_fleet_moves_from_one_to_the_other_and_back(load: Load) -> None:
    """With `keyring`, each step reads what the step before and the step after write."""
    keyring = '[[codec]]\ntype = "encryption"\n'
    await load(keyring).admin.create()
    steps = [
        '[[codec]]\ntype = "envelope"\n',
        '[[codec]]\ntype = "envelope"\nkeyring = "read"\n',
        '[[codec]]\ntype = "envelope"\nkeyring = "write"\n',
        keyring,
    ]
    written = [await load(text).codec().encode([PLAIN]) for text in steps]
    encodings = [outer.metadata.get("encoding") for [outer] in written]

    assert [b"binary/enveloped-v1"] * 2 + [b"binary/sealed-v1"] * 2 == encodings
    for text in steps[1:3]:
        config = load(text)
        await config.load_keys()
        for outer in written:
            assert [PLAIN] == await config.codec().decode(outer)
            assert outer == await config.codec().encode(outer)


async def test_the_data_keys_are_shared_by_all_codecs_of_a_configuration() -> None:
    """One key for all namespaces: the service is asked once."""
    kek = ScriptedKeyWrapper()
    config = Config(codecs=(EnvelopeOptions(wrapper=(kek,)),))
    for namespace in ("a", "b"):
        outer = await config.codec(namespace).encode([PLAIN])
        assert [PLAIN] == await config.codec(namespace).decode(outer)

    assert 1 == kek.wraps


async def test_keys_are_loaded_at_start_up() -> None:
    """A service that is down shows then, unless nothing is to be written."""
    kek = ScriptedKeyWrapper()
    kek.fault = KeyProviderUnavailableError("the service is down")
    with pytest.raises(KeyProviderUnavailableError, match="the service is down"):
        await Config(codecs=(EnvelopeOptions(wrapper=(kek,)),)).load_keys()

    await Config(codecs=(EnvelopeOptions(wrapper=(kek,), read_only=True),)).load_keys()


def test_policy_and_limits_reach_the_codec() -> None:
    """In both parts, where there are two; and they count in one place."""
    options = EnvelopeOptions(
        wrapper=(ScriptedKeyWrapper(),),
        keyring="read",
        policy="migrate",
        accept_namespaces=frozenset({"old"}),
        context={"team": "billing"},
    )
    config = Config(codecs=(options,), namespace="orders")
    codec = encryption_of(config.codec())

    assert isinstance(codec, ReadAlsoCodec)
    assert isinstance(codec.codec, EnvelopeEncryptionCodec)
    assert isinstance(codec.also, EncryptionCodec)
    assert codec.codec.policy == codec.also.policy
    assert codec.codec.context == codec.also.context == {"team": "billing"}
    assert {"orders"} == {codec.codec.namespace, codec.also.namespace}
    assert {"old"} == config.accept_namespaces
    assert [PLAIN] == codec.decode_sync([PLAIN])
    assert {"json/plain": 1} == config.counters.plaintext


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lifetime = 0", "lifetime must be positive"),
        ('keyring = "maybe"', "'maybe' is not one of 'none', 'read', 'write'"),
        ("max_messages = 0", "1 or more"),
        ('colour = "red"', "unknown key"),
        ('policy = "lax"', "'lax' is not one of"),
        ('wrapper = [{ type = "paper" }]', "unknown key wrapper 'paper'"),
    ],
)
def test_faults_name_their_place(load: Load, line: str, message: str) -> None:
    """As in every other table."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(f'[[codec]]\ntype = "envelope"\n{line}\n')
    assert "codec[0]" in str(caught.value)


def test_wrong_options_in_code_are_refused() -> None:
    """When they are made."""
    with pytest.raises(ConfigurationError, match="none, read, write"):
        EnvelopeOptions(keyring="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="at most 4"):
        EnvelopeOptions(wrapper=tuple(ScriptedKeyWrapper(str(i)) for i in range(5)))
    with pytest.raises(ConfigurationError, match="encrypt twice"):
        Config(KeyringOptions(), codecs=(EnvelopeOptions(), EnvelopeOptions()))
