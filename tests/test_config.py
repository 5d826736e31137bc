"""`sealwire.toml`: what is accepted, and how faults are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    CompressionRule,
    EncryptionCodec,
    PaddingCodec,
    PolicyMode,
)
from sealwire.config import (
    Config,
    ConverterOptions,
    EncryptionOptions,
    KeyringOptions,
    TemporalOptions,
    load_config,
)
from sealwire.converter import CompositePayloadConverter, JsonConverter, NullConverter
from sealwire.errors import ConfigurationError

FULL = """
namespace = "payments"

[keyring]
path = "keys/ring.json"
key_file = "/etc/sealwire/ring.key"
tenant = "acme"
refresh_interval = 60
encrypt_grace = 120.5
decrypt_grace = 600

[converter]
values = "binary/msgpack"
protobuf = "binary/protobuf"
key_order = "kept"
allow_nan = true
also = []

[[codec]]
type = "compression"
algorithm = "zlib"
level = 9
min_size = 100
max_size = 1000000
max_ratio = 50

[[codec]]
type = "padding"
min_size = 128

[[codec]]
type = "encryption"
format = "sealed-v1"
policy = "migrate"
require_context = true
accept_namespaces = ["billing", "archive"]
context = { region = "eu" }
accept_context = { region = ["us", "ch"] }
key_aliases = { "" = "go-fleet" }

[server]
host = "::1"
port = 9000
origin = "https://ui.example.com"
token_file = "token"

[temporal]
headers = "all"
failures = "encode-type"
thread_size = 0
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "sealwire.toml"
    file.write_text(text)
    return file


def fault(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_config(write(folder, text))
    return str(caught.value).replace(f"{folder}{os.sep}", "")


def test_every_key_is_read(tmp_path: Path) -> None:
    """Each key of the file reaches the object that it is for."""
    config = load_config(write(tmp_path, FULL))
    assert "payments" == config.namespace
    assert tmp_path / "keys/ring.json" == config.keyring.path
    assert Path("/etc/sealwire/ring.key") == config.keyring.key_file
    keyring = config.loaded_keyring
    assert ("acme", 60.0, 120.5, 600.0) == (
        keyring.tenant,
        keyring.refresh_interval,
        keyring.encrypt_grace,
        keyring.decrypt_grace,
    )
    compression, padding, encryption = config.codec().codecs
    assert CompressionCodec("zlib", 9, 100, 1000000, 50) == compression
    assert PaddingCodec(128) == padding
    assert isinstance(encryption, EncryptionCodec)
    assert "payments" == encryption.namespace
    assert PolicyMode.MIGRATE is encryption.policy.mode
    assert frozenset({"billing", "archive"}) == encryption.policy.accept_namespaces
    assert {"region": "eu"} == encryption.context
    assert {"region": frozenset({"us", "ch"})} == encryption.policy.accept_context
    assert {"": "go-fleet"} == encryption.key_aliases
    assert b"binary/msgpack" == config.payload_converter().to_payload(1).metadata["encoding"]
    names = [item.encoding for item in config.payload_converter().converters]
    assert names.index("binary/protobuf") < names.index("json/protobuf")
    assert JsonConverter(key_order="kept", allow_nan=True) in config.payload_converter().converters
    assert ("::1", 9000) == (config.server.host, config.server.port)
    assert tmp_path / "token" == config.server.token_file
    assert TemporalOptions("all", "encode-type", 0) == config.temporal
    assert config.temporal.threaded(config.codec()) == config.codec()  # without threads


def test_rules_of_compression_are_read(tmp_path: Path) -> None:
    """Each `[[codec.rules]]` belongs to the `[[codec]]` before it, in the order of the file."""
    text = """
[[codec]]
type = "compression"
threads = 2
probe = false

[[codec.rules]]
algorithm = "none"
encoding = "binary/plain"
message_type = "a.B"
workflow_type = "Order"
activity_type = "charge"

[[codec.rules]]
level = 9
min_size = 100
max_size = 200

[[codec]]
type = "encryption"
"""
    first = CompressionRule("none", None, "binary/plain", "a.B", "Order", "charge")
    second = CompressionRule(level=9, min_size=100, max_size=200)

    compression = load_config(write(tmp_path, text)).codec("a").codecs[0]

    assert CompressionCodec(threads=2, probe=False, rules=(first, second)) == compression


def test_an_empty_file_compresses_and_seals(tmp_path: Path) -> None:
    """Without any key the chain is zstd, then sealed-v1, with the keyring beside the file."""
    config = load_config(write(tmp_path, ""))
    assert [CompressionCodec, EncryptionCodec] == [type(item) for item in config.codec("a").codecs]
    assert tmp_path / "keyring.json" == config.keyring.path
    assert tmp_path / "keyring.key" == config.keyring.key_file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmespace = 'a'", "1: nmespace: unknown key; did you mean 'namespace'? accepted here:"),
        ("namespace = 3", "1: namespace: expected a text that is not empty"),
        ("namespace = ''", "1: namespace: expected a text that is not empty"),
        ("keyring = 3", "1: keyring: expected a table, [keyring], got int 3"),
        ("[keyring]\npat = 'x'", "2: keyring.pat: unknown key; did you mean 'path'?"),
        (
            "[[codec]]\ntype = 'encryption'\nnamespace = 'x'",
            "3: codec[0].namespace: unknown key; 'namespace' must stand above the first table of",
        ),
        (
            "[server]\nobserver = 'x'",
            "2: server.observer: unknown key; 'observer' must stand above",
        ),
        ("[keyring]\npath = 1", "2: keyring.path: expected a path, got int 1"),
        ("[keyring]\n\ntenant = []", "3: keyring.tenant: expected a text, got a list"),
        ("[keyring]\nrefresh_interval = true", "keyring.refresh_interval: expected a number"),
        ("[keyring]\nrefresh_interval = -1", "1: keyring: refresh_interval must be positive"),
        ("[keyring]\nencrypt_grace = 1", "1: keyring: the grace periods must not be under"),
        ("[converter]\nvalues = 'json'", "'json' is not one of 'json/plain', 'binary/msgpack'"),
        ("[converter]\nvalues = []", "2: converter.values: [] is not one of 'json/plain'"),
        ("codec = 1", "1: codec: expected tables, [[codec]], got int 1"),
        ("codec = [1]", "codec[0]: expected a table, [[codec]], got int 1"),
        (
            "[[codec]]",
            "codec[0].type: is required; accepted: compression, padding, encryption, envelope, ",
        ),
        ("[[codec]]\ntype = 'zip'", "2: codec[0].type: unknown codec 'zip'; accepted:"),
        (
            "[[codec]]\ntype = 'compression'\nlevel = 30",
            "1: codec[0]: level 30 is not a level of zstd: expected -7 to 22",
        ),
        (
            "[[codec]]\ntype = 'compression'\n[[codec]]\ntype = 'encryption'\npolicy = 'strickt'",
            "5: codec[1].policy: 'strickt' is not one of 'strict', 'migrate', 'open'; did you mean",
        ),
        (
            "[[codec]]\ntype = 'encryption'\naccept_namespaces = 'a'",
            "3: codec[0].accept_namespaces: expected a list of texts, got str 'a'",
        ),
        (
            "[[codec]]\ntype = 'encryption'\naccept_namespaces = [1]",
            "3: codec[0].accept_namespaces: expected a text, got int 1",
        ),
        (
            "[[codec]]\ntype = 'compression'\nrules = 'none'",
            "3: codec[0].rules: expected a list of tables, got str 'none'",
        ),
        (
            "[[codec]]\ntype = 'compression'\nrules = [1]",
            "codec[0].rules[0]: expected a table, got int 1",
        ),
        (
            "[[codec]]\ntype = 'compression'\n[[codec.rules]]\n[[codec.rules]]\nlevl = 1",
            "5: codec[0].rules[1].levl: unknown key; did you mean 'level'? accepted here:",
        ),
        (
            "[[codec]]\n[[codec]]\ntype = 'compression'\n[[codec.rules]]\nmin_size = -1",
            "4: codec[1].rules[0]: the sizes of a rule must be 0 or more",
        ),
        (
            "[[codec]]\ntype = 'compression'\n[[codec.rules]]\nlevel = 30",
            "1: codec[0]: level 30 is not a level of zstd: expected -7 to 22",
        ),
        (
            "[[codec]]\ntype = 'encryption'\n[codec.context]\na = 1",
            "4: codec[0].context.a: expected a text, got int 1",
        ),
        (
            "[[codec]]\ntype = 'encryption'\ncontext = { a = 1 }",
            "codec[0].context.a: expected a text, got int 1",
        ),
        (
            "[[codec]]\ntype = 'encryption'\n[[codec]]\ntype = 'compression'",
            "the right order is: CompressionCodec, EncryptionCodec",
        ),
        (
            "[[codec]]\ntype = 'encryption'\n[[codec]]\ntype = 'encryption'",
            "would encrypt twice",
        ),
        (
            "[[codec]]\ntype = 'compression'",
            "codec: nothing encrypts; add a [[codec]]",
        ),
        ("[server]\nport = 70000", "1: server: port 70000 is not in 0 to 65535"),
        ("[server]\nport = 'x'", "2: server.port: expected a whole number, got str 'x'"),
        ("[temporal]\nthread_size = -1", "1: temporal: thread_size must be 0 or more"),
        (
            "[temporal]\nfailures = 'encoded'",
            "2: temporal.failures: 'encoded' is not one of 'clear', 'encode', 'encode-type'",
        ),
        ("[server", "is not valid TOML: "),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """A wrong key, type or value is told with file, line, place and what is accepted."""
    told = fault(tmp_path, text)
    assert told.startswith("sealwire.toml")
    assert message in told


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Three faults are three lines of one message."""
    told = fault(tmp_path, "x = 1\n[keyring]\npath = 1\n[server]\nport = 'x'\n")
    assert 3 == len(told.splitlines())


def test_a_missing_file_names_the_fix(tmp_path: Path) -> None:
    """Without a file the message says which command makes one."""
    with pytest.raises(ConfigurationError, match="sealwire keys init"):
        load_config(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 give a configuration error."""
    (tmp_path / "sealwire.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_config(tmp_path / "sealwire.toml")


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument, SEALWIRE_CONFIG is used."""
    monkeypatch.setenv("SEALWIRE_CONFIG", str(write(tmp_path, "namespace = 'from-env'")))
    assert "from-env" == load_config().namespace


def test_another_namespace_is_refused(tmp_path: Path) -> None:
    """A chain cannot be built for another namespace than the file's."""
    config = load_config(write(tmp_path, "namespace = 'a'"))
    with pytest.raises(ConfigurationError, match="one configuration a namespace"):
        config.codec("b")


def test_a_chain_in_code_takes_objects(tmp_path: Path) -> None:
    """A configuration built in code holds codecs as they are, and shares one keyring."""
    config = Config(
        KeyringOptions(tmp_path / "k.json", tmp_path / "k.key"),
        codecs=(CompressionCodec("zlib"), EncryptionOptions(policy="open")),
    )
    chain = config.codec("a")
    assert isinstance(chain, CodecChain)
    assert chain.codecs[0] is config.codecs[0]
    first, second = (config.codec("a").codecs[1] for _ in range(2))
    assert isinstance(first, EncryptionCodec)
    assert isinstance(second, EncryptionCodec)
    assert first.keyring is second.keyring


FACTORIES = """
from sealwire.converter import CompositePayloadConverter, NullConverter

def only_null():
    return CompositePayloadConverter(NullConverter())

def nothing():
    return None
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `my_factories` of the user's."""
    (tmp_path / "my_factories.py").write_text(FACTORIES)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_factories", raising=False)


@pytest.mark.usefixtures("factories")
def test_a_factory_builds_the_converters(tmp_path: Path) -> None:
    """The function that the file names replaces everything else in the section."""
    config = load_config(write(tmp_path, "[converter]\nfactory = 'my_factories:only_null'"))
    assert (NullConverter(),) == config.payload_converter().converters


@pytest.mark.usefixtures("factories")
@pytest.mark.parametrize(
    ("factory", "problem"),
    [
        ("my_factories:nothing", "my_factories:nothing returned a NoneType"),
        ("my_factories:none_such", "has no attribute 'none_such'"),
        ("no_such_module:make", "No module named 'no_such_module'"),
    ],
)
def test_a_factory_that_cannot_be_used_is_named(tmp_path: Path, factory: str, problem: str) -> None:
    """It is imported where it is used, and what is wrong is said with its name."""
    config = load_config(write(tmp_path, f"[converter]\nfactory = '{factory}'"))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        config.payload_converter()
    assert factory in str(caught.value)


def test_a_function_in_code_builds_the_converters() -> None:
    """What needs more than the options, such as custom types, is a function."""
    config = Config(KeyringOptions(), converter=lambda: CompositePayloadConverter(NullConverter()))
    assert (NullConverter(),) == config.payload_converter().converters


def test_a_further_converter_comes_before_those_that_take_everything() -> None:
    """Arrow is asked before JSON, and not after it."""
    names = [item.encoding for item in ConverterOptions(also=("arrow",)).build().converters]
    assert names.index("binary/arrow") < names.index("json/plain")


PLUGIN = """
class Rot13:
    def __init__(self, shift: int = 13) -> None:
        if shift < 0:
            raise ValueError("shift must not be negative")
        self.shift = shift

    async def encode(self, payloads):
        return list(payloads)

    async def decode(self, payloads):
        return list(payloads)


class NoCodec:
    pass


class Nothing:
    encoding = "binary/nothing"

    def to_payload(self, value):
        return None

    def from_payload(self, payload, type_hint=None):
        return None
"""

PROGRAM = """
import sys
from sealwire.config import load_config
from sealwire.errors import ConfigurationError
try:
    print([(type(c).__name__, getattr(c, "shift", None)) for c in load_config(sys.argv[1]).codecs])
except ConfigurationError as err:
    print("refused:", err)
"""


@pytest.mark.parametrize(
    ("table", "answer"),
    [
        ("type = 'rot13'\nshift = 5", "[('Rot13', 5)]"),
        ("type = 'rot13'\nshift = -5", "cannot create the codec 'rot13': shift must not be"),
        ("type = 'rot13'\nx = 1", "cannot create the codec 'rot13'"),
        ("type = 'no-codec'", "rot:NoCodec is no codec: it has no encode and decode"),
        (
            "type = 'rot'",
            "accepted: compression, padding, encryption, envelope, remote, no-codec, rot13",
        ),
    ],
)
def test_another_package_adds_a_codec(tmp_path: Path, table: str, answer: str) -> None:
    """A codec of an installed distribution is found by its entry point and gets its options."""
    file = write(tmp_path, f"[[codec]]\n{table}\n")
    assert answer in run_with_plugin(tmp_path, PROGRAM, file)


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        ("['nothing']", "'binary/nothing'"),
        ("['nothin']", "unknown converter 'nothin'; accepted: arrow, lost, nothing"),
        ("['lost']", "the converter 'lost' needs the package 'no_such_package'"),
    ],
)
def test_another_package_adds_a_converter(tmp_path: Path, names: str, answer: str) -> None:
    """A converter of an installed distribution is found by its entry point."""
    program = PROGRAM.replace(
        '[(type(c).__name__, getattr(c, "shift", None)) for c in load_config(sys.argv[1]).codecs]',
        "[c.encoding for c in load_config(sys.argv[1]).payload_converter().converters]",
    )
    assert program != PROGRAM
    file = write(tmp_path, f"[converter]\nalso = {names}\n")
    assert answer in run_with_plugin(tmp_path, program, file)


def run_with_plugin(folder: Path, program: str, file: Path) -> str:
    """Run a program in an environment where another package's codecs and converters are."""
    site = folder / "site"
    info = site / "rot-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "rot.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sealwire.codecs]\nrot13 = rot:Rot13\nno-codec = rot:NoCodec\n"
        "[sealwire.converters]\nnothing = rot:Nothing\nlost = no_such_package:Lost\n"
    )
    search_path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    run = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": search_path},
    )
    return run.stdout
