"""The section `[keyring]`: stores, wrappers and providers that a file names by their type."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sealwire.config import load_config
from sealwire.errors import ConfigurationError
from sealwire.key_options import PROVIDERS, STORES, WRAPPERS, KeyringOptions
from sealwire.keys import (
    CompositeKeyProvider,
    EnvironmentKeyProvider,
    FileKeyringStore,
    LocalKeyWrapper,
    WrappedKeyProvider,
)
from sealwire.payload import Payload

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"plain"')
VAULT = 'url = "http://127.0.0.1:8200"\ntoken_file = "token"\n'
TABLES = {
    "file": 'path = "ring.json"',
    "folder": 'path = "keyrings"',
    "sql": 'url = "sqlite:///ring.db"',
    "objects": 'url = "s3://bucket/keys"',
    "vault": VAULT + 'path = "sealwire"',
    "local": 'path = "ring.key"',
    "passphrase": 'passphrase = "passphrase.txt"',
    "aws-kms": 'key_id = "arn:aws:kms:eu-central-1:111122223333:key/1234"',
    "gcp-kms": 'key_name = "projects/p/locations/l/keyRings/r/cryptoKeys/k"',
    "azure-key-vault": 'key_id = "https://v.vault.azure.net/keys/k"',
    "pkcs11": 'library = "/usr/lib/p11.so"\ntoken_label = "t"\nkey_label = "k"\npin_file = "pin"',
    "os-keyring": "",
    "environment": 'variable = "KEYS"',
}
WRAPPER_TABLES = {**TABLES, "vault": VAULT + 'key = "sealwire"'}


def write(folder: Path, text: str) -> Path:
    file = folder / "sealwire.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", STORES.own)
def test_every_store_is_built_by_its_type(tmp_path: Path, name: str) -> None:
    """The other keys of the table are its parameters, and nothing is asked before it is used."""
    config = load_config(write(tmp_path, f'[keyring.store]\ntype = "{name}"\n{TABLES[name]}'))

    made = config.keyring.document_store
    assert STORES.own[name].endswith(f":{type(made).__name__}")
    assert isinstance(made, STORES.protocol)


@pytest.mark.parametrize("name", WRAPPERS.own)
def test_every_wrapper_is_built_by_its_type(tmp_path: Path, name: str) -> None:
    """Several tables make several wrappers, in the order of the file."""
    second = '[[keyring.wrapper]]\ntype = "local"\npath = "break-glass.key"\n'
    table = f'[[keyring.wrapper]]\ntype = "{name}"\n{WRAPPER_TABLES[name]}\n{second}'
    made, last = load_config(write(tmp_path, table)).keyring.document_wrappers

    assert WRAPPERS.own[name].endswith(f":{type(made).__name__}")
    assert isinstance(made, WRAPPERS.protocol)
    assert LocalKeyWrapper(tmp_path / "break-glass.key") == last


@pytest.mark.parametrize("plugs", [STORES, WRAPPERS, PROVIDERS], ids=lambda plugs: plugs.what)
def test_every_part_that_needs_a_package_names_the_extra(plugs: Any) -> None:
    """Each extra is one of the project's, and each type of ours has a table in these tests."""
    pyproject = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    for name in plugs.own:
        assert name in TABLES
        extra = plugs.extras.get(name)
        assert extra is None or f"\n{extra} = [" in pyproject


def test_without_tables_there_are_two_files() -> None:
    """The defaults are a file and a key file."""
    options = KeyringOptions(Path("a.json"), Path("a.key"))

    assert FileKeyringStore(Path("a.json")) == options.document_store
    assert (LocalKeyWrapper(Path("a.key")),) == options.document_wrappers
    assert isinstance(options.keyring().provider, WrappedKeyProvider)


def test_keys_of_the_environment_are_older_than_those_of_the_document(tmp_path: Path) -> None:
    """Both are read, or the environment alone if the file says that there is no document."""
    text = '[[keyring.provider]]\ntype = "environment"\nvariable = "KEYS"\n'
    both = load_config(write(tmp_path, text)).loaded_keyring.provider
    alone = load_config(write(tmp_path, f"[keyring]\ndocument = false\n{text}"))

    assert isinstance(both, CompositeKeyProvider)
    assert [EnvironmentKeyProvider, WrappedKeyProvider] == [type(item) for item in both.providers]
    assert EnvironmentKeyProvider("KEYS") == alone.loaded_keyring.provider


async def test_payloads_are_sealed_with_keys_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container needs a variable and a file without any path in it."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    monkeypatch.setenv("SEALWIRE_KEYS", f"env-1 {key}")
    text = '[keyring]\ndocument = false\n[[keyring.provider]]\ntype = "environment"\n'
    chain = load_config(write(tmp_path, text)).codec("default")

    [sealed] = await chain.encode([PLAIN])

    assert b"env-1" == sealed.metadata.get("encryption-key-id")
    assert [PLAIN] == await chain.decode([sealed])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[keyring]\ndocument = false", "keyring: without a document, keys need a"),
        (
            "[keyring.store]\npath = 'x'",
            "keyring.store.type: is required; accepted: file, folder, sql",
        ),
        ("[keyring.store]\ntype = 'sqk'", "keyring.store.type: unknown keyring store 'sqk'"),
        ("[keyring.store]\ntype = 'sql'", "keyring.store.url: is required"),
        ("[keyring]\nstore = 'sql'", "2: keyring.store: expected a table, got str 'sql'"),
        ("[keyring]\nwrapper = 'local'", "2: keyring.wrapper: expected a list of tables"),
        (
            "[[keyring.wrapper]]\ntype = 'local'\nfile = 'x'",
            "3: keyring.wrapper[0].file: unknown key",
        ),
        (
            "[[keyring.wrapper]]\ntype = 'local'\npath = 'a'\n[[keyring.wrapper]]\ntype = 'a'",
            "5: keyring.wrapper[1].type: unknown key wrapper 'a'; accepted: local, passphrase",
        ),
    ],
)
def test_a_faulty_table_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """With its line, its place and what is accepted."""
    with pytest.raises(ConfigurationError) as caught:
        load_config(write(tmp_path, text))
    assert problem in str(caught.value)


def test_a_keyring_in_a_database_behind_a_passphrase(tmp_path: Path) -> None:
    """The commands work wherever the document is: create, rotate, list, and the codec reads."""
    (tmp_path / "passphrase.txt").write_text("correct horse battery staple\n")
    (tmp_path / "passphrase.txt").chmod(0o600)
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    text = f'[keyring.store]\ntype = "sql"\nurl = "{url}"\n'
    text += '[[keyring.wrapper]]\ntype = "passphrase"\npassphrase = "passphrase.txt"\n'
    file = write(tmp_path, text)

    made = json.loads(sealwire("keys", "init", "--json", "--config", str(file)))
    sealwire("keys", "rotate", "--immediate", "--config", str(file))
    listed = json.loads(sealwire("keys", "list", "--json", "--config", str(file)))

    assert ("SqlKeyringStore", []) == (made["keyring"], made["key_files"])
    assert ["decrypt-only", "active"] == [key["state"] for key in listed["keys"]]
    assert made["key"] == listed["keys"][0]["id"]
    chain = load_config(file).codec("default")
    [sealed] = chain.encode_sync([PLAIN])
    assert listed["keys"][1]["id"].encode() == sealed.metadata.get("encryption-key-id")
    assert [PLAIN] == chain.decode_sync([sealed])
    assert {"keys.db", "passphrase.txt", "sealwire.toml"} == {
        path.name for path in tmp_path.iterdir()
    }


def sealwire(*arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "sealwire", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (0, "") == (run.returncode, run.stderr)
    return run.stdout
