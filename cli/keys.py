"""`sealwire keys`: create, rotate, import and list keys; the other commands are in `keys_*`."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError
from sealwire.keys import KeyringAdmin, KeySuite
from sealwire.keys.admin import PROPAGATION
from sealwire.keys.files import read_private

from . import console
from .keys_admin import AuditLog, administrator, iso, show
from .keys_bundle import export, import_keys
from .keys_check import check
from .keys_lifecycle import (
    cancel_destruction,
    destroy,
    disable,
    enable,
    promote,
    schedule_destruction,
)
from .keys_tenants import add_tenant_commands
from .keys_wrappers import check_key_files, rewrap
from .options import DEFAULT_CONFIG, AsJson, ConfigPath, duration
from .tenant import TenantGroup

keys = typer.Typer(
    help="Create, change and list the keys of a keyring.", no_args_is_help=True, cls=TenantGroup
)


class KeyEncoding(StrEnum):
    """How the bytes of a key are written as text."""

    UTF8 = "utf8"
    BASE64 = "base64"
    HEX = "hex"


_MADE: Final = (KeySuite.SEALED.value, KeySuite.INDEX.value)
_TEMPLATE = """\
# What sealwire does with payloads. Workers, clients and the codec server read the same file.
{namespace}
[keyring]
path = "keyring.json"      # the keys, wrapped
key_file = "keyring.key"   # what unwraps them: keep it secret, and keep a copy of it

[[codec]]
type = "compression"
algorithm = "zstd"

[[codec]]
type = "encryption"
policy = "strict"          # refuse plaintext; "migrate" while old payloads are in plaintext
"""


def init(
    config: ConfigPath = DEFAULT_CONFIG,
    namespace: Annotated[
        str | None, typer.Option(help="The Temporal namespace, for a new configuration file.")
    ] = None,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Create a keyring with its first key, and the configuration file if there is none."""
    if namespace is not None and not namespace.strip():
        raise typer.BadParameter("a namespace is not empty", param_hint="--namespace")
    made = not config.exists()
    if made:
        line = f"namespace = {_quote(namespace)}\n" if namespace else ""
        _write(config, _TEMPLATE.format(namespace=line))
    loaded = load_config(config)
    if namespace is not None and namespace != loaded.namespace:
        raise ConfigurationError(_unchanged(config, loaded.namespace, namespace))
    files = loaded.keyring
    admin = administrator(loaded, audit_log)
    # Beside a keyring, another key file in the place of the one that is lost would open nothing.
    if asyncio.run(admin.store.load(admin.tenant)) is None:
        check_key_files(loaded, make=True)
    key = asyncio.run(admin.create())
    if as_json:
        console.print_json(
            {
                "config": str(config),
                "keyring": files.place,
                "key_files": [str(wrapper.path) for wrapper in files.local_wrappers],
                "key": key.id,
            }
        )
        return
    table = console.table("Where", "What it is")
    table.add_row(str(config), "the configuration" + ("" if made else " (was there already)"))
    whose = "the keyring" if files.tenants is None else f"the keyring of {admin.tenant}"
    table.add_row(files.place, f"{whose}, with the key {key.id}")
    for wrapper in files.local_wrappers:
        table.add_row(str(wrapper.path), "what opens the keyring: secret; without it all is lost")
    console.out.print(table)


def _unchanged(config: Path, present: str | None, wanted: str) -> str:
    line = f"namespace = {_quote(wanted)}"
    if present is None:
        step = f"add the line {line} above its first table"
    else:
        step = f"its namespace is {present!r}; change that to {line}"
    return (
        f"{config} is there already, and --namespace does not change it: {step}, or leave "
        "--namespace out; no keyring was made"
    )


def _write(config: Path, text: str) -> None:
    try:
        config.write_text(text, encoding="utf-8")
    except OSError as err:
        raise ConfigurationError(f"cannot write {config}: {err.strerror}") from None


def _suite(text: str) -> KeySuite:
    if text == KeySuite.INTEROP:
        raise typer.BadParameter(
            "interop keys are not made here, but come from other programs: "
            "`sealwire keys import` adds one"
        )
    if text not in _MADE:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, _MADE))}")
    return KeySuite(text)


def rotate(
    config: ConfigPath = DEFAULT_CONFIG,
    immediate: Annotated[
        bool, typer.Option("--immediate", help="Encrypt with the new key at once.")
    ] = False,
    if_older_than: Annotated[
        str | None,
        typer.Option(help="Do nothing if the newest key is younger, for example 90d. For cron."),
    ] = None,
    suite: Annotated[
        KeySuite,
        typer.Option(
            parser=_suite,
            metavar=f"[{'|'.join(_MADE)}]",
            help="What the key is for: payloads, or tokens for searching.",
        ),
    ] = KeySuite.SEALED,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Add a key. Running processes take it up by themselves, and still read what they wrote."""
    loaded = load_config(config)
    age = None if if_older_than is None else duration(if_older_than)
    # Twice the refresh interval, so that every process has the key before any of them uses it.
    delay = 0.0 if immediate else max(PROPAGATION, 2 * loaded.keyring.refresh_interval)
    admin = administrator(loaded, audit_log)
    result = asyncio.run(admin.rotate(delay=delay, if_older_than=age, suite=suite))
    if as_json:
        console.print_json(
            {
                "key": result.key.id,
                "rotated": result.rotated,
                "encrypt_from": iso(result.key.encrypt_from),
            }
        )
    elif result.rotated:
        console.out.print(
            f"new key {result.key.id}, encrypts from {iso(result.key.encrypt_from)}",
            markup=False,
        )
    else:
        console.out.print(f"nothing to do: {result.key.id} is young enough", markup=False)


def import_key(
    key_id: Annotated[
        str, typer.Argument(metavar="KEY", help="The key id, as the payloads name it.")
    ],
    config: ConfigPath = DEFAULT_CONFIG,
    file: Annotated[
        Path | None, typer.Option(help="A private file with the key; else standard input.")
    ] = None,
    encoding: Annotated[
        KeyEncoding, typer.Option(help="How the key is written; the samples' keys are utf8.")
    ] = KeyEncoding.BASE64,
    audit_log: AuditLog = None,
    as_json: AsJson = False,
) -> None:
    """Add a key that other SDKs' codecs use (AES-GCM, binary/encrypted)."""
    loaded = load_config(config)
    admin = administrator(loaded, audit_log)
    key = asyncio.run(admin.import_interop(key_id, _material(file, encoding)))
    if as_json:
        console.print_json({"key": key.id, "suite": key.suite.value})
    else:
        console.out.print(f"imported {key.id}: it reads binary/encrypted", markup=False)


def _material(file: Path | None, encoding: KeyEncoding) -> bytes:
    if file is None and sys.stdin.isatty():
        console.print_note("type or paste the key, then Enter and Ctrl-D:")
    try:
        text = sys.stdin.buffer.read() if file is None else read_private(file)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no {file}") from None
    text = text.removesuffix(b"\n").removesuffix(b"\r")
    try:
        if encoding is KeyEncoding.UTF8:
            return text
        if encoding is KeyEncoding.HEX:
            return bytes.fromhex(text.decode("ascii"))
        return base64.b64decode(text, validate=True)
    except ValueError:
        problem = f"the key is not valid {encoding}; say how it is written with --encoding"
        del text  # a traceback may show the variables
    raise ConfigurationError(problem)


def list_keys(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the keys and their states."""
    loaded = load_config(config)
    admin = administrator(loaded, None)
    place = Path(loaded.keyring.place).name
    show(admin, None, place=f"{_whose(loaded, admin)}{place}, ", as_json=as_json)


def _whose(loaded: Config, admin: KeyringAdmin) -> str:
    return "" if loaded.keyring.tenants is None else f"{admin.tenant} in "


def _quote(text: str) -> str:
    return json.dumps(text)  # a TOML basic string escapes what a JSON string escapes


# In the order in which they are needed, which is that of `--help`.
keys.command()(init)
keys.command("list")(list_keys)
keys.command()(rotate)
keys.command()(promote)
keys.command()(check)
keys.command()(disable)
keys.command()(enable)
keys.command("schedule-destruction")(schedule_destruction)
keys.command("cancel-destruction")(cancel_destruction)
keys.command()(destroy)
keys.command()(rewrap)
keys.command()(export)
keys.command("import-bundle")(import_keys)
keys.command("import")(import_key)
add_tenant_commands(keys)
