"""Another distribution's codec and observer: found by name, and as good as our own.

`site` is what `pip install sealwire-rot13` would leave in `site-packages`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, cast

import pytest

from sealwire.codecs import EncryptionCodec, ObservedCodec, PayloadCodec, SyncPayloadCodec
from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError
from sealwire.keys import LocalKeyWrapper
from sealwire.payload import Payload
from sealwire.testing.codecs import PayloadCodecConformance

SITE: Final = Path(__file__).parent / "site"
CHAIN: Final = """
namespace = "default"

[[codec]]
type = "compression"

[[codec]]
type = "{}"
shift = 5

[[codec]]
type = "encryption"
"""
ALONE: Final = "[[codec]]\ntype = 'rot13'\n"
PLAIN: Final = Payload(metadata={"encoding": b"json/plain"}, data=b'"a letter"' * 100)
PROGRAM: Final = """
import asyncio, sys
from sealwire import load_config

async def main():
    converter = load_config(sys.argv[1]).data_converter()
    [payload] = await converter.encode([["a letter"] * 100])
    print(payload.metadata["encoding"], await converter.decode([payload]) == [["a letter"] * 100])

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution is on the path, for the time of a test."""
    monkeypatch.setattr(sys, "path", [str(SITE), *sys.path])
    monkeypatch.delitem(sys.modules, "sealwire_rot13", raising=False)


def configure(folder: Path, text: str) -> Config:
    """Read `text` as a configuration, with a keyring beside it."""
    file = folder / "sealwire.toml"
    file.write_text(text)
    config = load_config(file)
    if not config.keyring.path.exists():
        LocalKeyWrapper(config.keyring.key_file).create()
        asyncio.run(config.admin.create())
    return config


class TestPlugin(PayloadCodecConformance):
    """The codec alone, by its name in a configuration."""

    @pytest.fixture(autouse=True)
    def use(self, tmp_path: Path) -> None:
        self.config = configure(tmp_path, ALONE)

    def codec(self) -> PayloadCodec:
        return self.config.codec()

    def foreign(self) -> list[Payload]:
        return [PLAIN, Payload()]


class TestPluginInAChain(PayloadCodecConformance):
    """The codec between our compression and our encryption."""

    @pytest.fixture(autouse=True)
    def use(self, tmp_path: Path) -> None:
        configure(tmp_path, CHAIN.format("rot13"))
        self.file = tmp_path / "sealwire.toml"

    def codec(self) -> PayloadCodec:
        return load_config(self.file).codec()  # its keys are not loaded yet


class TestSyncPluginInAnObservedChain(PayloadCodecConformance):
    """The same for a codec with synchronous methods, and with the plug-in's observer."""

    @pytest.fixture(autouse=True)
    def use(self, tmp_path: Path) -> None:
        configure(tmp_path, "observer = 'counting'\n" + CHAIN.format("rot13-sync"))
        self.file = tmp_path / "sealwire.toml"

    def codec(self) -> PayloadCodec:
        return load_config(self.file).codec()


async def test_what_is_stored_went_through_every_codec(tmp_path: Path) -> None:
    """The outermost layer is ours, the plug-in's is below it, then comes compression."""
    config = await asyncio.to_thread(configure, tmp_path, CHAIN.format("rot13"))
    chain = config.codec()
    [payload] = await chain.encode([PLAIN])
    layers: list[bytes] = []
    for codec in reversed(chain.codecs):
        layers.append(payload.metadata["encoding"])
        [payload] = await codec.decode([payload])

    assert [b"binary/sealed-v1", b"binary/rot13", b"binary/zstd"] == layers
    assert PLAIN == payload


def test_the_plugin_gets_its_options(tmp_path: Path) -> None:
    """The other keys of its table are its keyword arguments."""
    plugin = configure(tmp_path, CHAIN.format("rot13")).codec().codecs[1]
    [payload] = asyncio.run(plugin.encode([Payload(data=b"a")]))
    assert (
        bytes((byte + 5) % 256 for byte in Payload(data=b"a").SerializeToString()) == payload.data
    )


def test_keys_are_found_beside_a_plugin(tmp_path: Path) -> None:
    """A chain with somebody else's codec loads its keys at start-up, observed or not."""
    for observer in ("", "observer = 'counting'\n"):
        config = configure(tmp_path, observer + CHAIN.format("rot13"))
        assert not config.loaded_keyring.is_ready
        asyncio.run(config.load_keys())
        assert config.loaded_keyring.is_ready


def test_the_observer_of_a_plugin_is_told(tmp_path: Path) -> None:
    """An observer is named by its entry point, and sees each codec of the chain."""
    config = configure(tmp_path, "observer = 'counting'\n" + CHAIN.format("rot13-sync"))
    chain = cast("SyncPayloadCodec", config.codec())
    assert [PLAIN] == chain.decode_sync(chain.encode_sync([PLAIN]))
    observer: Any = config.observer
    names = ("CompressionCodec", "Rot13SyncCodec", "EncryptionCodec")

    assert {(name, way): 1 for name in names for way in ("encode", "decode")} == observer.calls


def test_only_a_named_observer_observes(tmp_path: Path) -> None:
    """An observer that is merely installed wraps nothing."""
    config = configure(tmp_path, CHAIN.format("rot13"))
    assert config.observer is None
    assert not any(isinstance(codec, ObservedCodec) for codec in config.codec().codecs)
    assert isinstance(config.codec().codecs[2], EncryptionCodec)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("'counted'", "unknown observer 'counted'; accepted: counting, failing, lost, no-observer"),
        ("3", "unknown observer 3; accepted: counting"),
        ("'failing'", "cannot create the observer 'failing': no collector"),
        ("'no-observer'", "sealwire_rot13:Rot13Codec is no observer: it has no method observe"),
        ("'lost'", "the observer 'lost' needs the package 'no_such_package'"),
    ],
)
def test_an_observer_that_cannot_be_used_is_named(tmp_path: Path, value: str, problem: str) -> None:
    """What is wrong with it is told as a fault of the file, with its line."""
    with pytest.raises(ConfigurationError) as caught:
        configure(tmp_path, f"observer = {value}\n")
    assert f"sealwire.toml:1: observer: {problem}" in str(caught.value)


def test_another_process_finds_the_plugin(tmp_path: Path) -> None:
    """A program reads the same file, and needs nothing but the installed distribution."""
    configure(tmp_path, CHAIN.format("rot13"))
    search_path = os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "sealwire.toml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": search_path},
    )
    assert ("b'binary/sealed-v1' True\n", "") == (run.stdout, run.stderr)
