"""`sealwire dict`: train, list, retire and re-seal dictionaries for compression."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from rich.progress import track

from sealwire.codecs import (
    DictionaryAdmin,
    train_dictionary,
)
from sealwire.codecs.dictionary_training import DEFAULT_SIZE
from sealwire.codecs.dictionary_view import writer_of
from sealwire.config import CompressionOptions, Config, load_config
from sealwire.errors import ConfigurationError
from sealwire.keys import FileKeyringStore
from sealwire.keys.admin import PROPAGATION

from . import console
from .dictionary_report import left_out, rows, show_list, show_training, training_row
from .options import DEFAULT_CONFIG, AsJson, ConfigPath
from .samples import Opened, Sample, decode_samples, files_of, read_samples

dictionaries = typer.Typer(
    help="Train, list, retire and re-seal dictionaries for compression.", no_args_is_help=True
)

_NO_DICTIONARIES: Final = (
    'the configuration names no document of dictionaries: add dictionaries = "dictionaries.json" '
    'to the [[codec]] with type = "compression"'
)

_T = TypeVar("_T")


@dictionaries.command()
def init(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Create a document without dictionaries, to configure all readers before the first one."""
    admin, path = _admin(load_config(config))
    asyncio.run(admin.create())
    if as_json:
        console.print_json({"dictionaries": str(path)})
    else:
        console.out.print(f"{path} is made, without dictionaries", markup=False)


@dictionaries.command()
def train(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="Histories from `temporal workflow show --output json`, or folders of payloads.",
        ),
    ],
    config: ConfigPath = DEFAULT_CONFIG,
    size: Annotated[
        int, typer.Option(help="The largest size of the dictionary, in bytes.")
    ] = DEFAULT_SIZE,
    namespace: Annotated[
        str | None,
        typer.Option(help="The payloads' namespace, where the configuration has none."),
    ] = None,
    immediate: Annotated[
        bool, typer.Option("--immediate", help="Write with the dictionary at once.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would save, and add nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a dictionary on payloads, show what it saves on others, and add it."""
    loaded = load_config(config)
    admin = None if dry_run else _admin(loaded)[0]
    opened = _gather(loaded, paths, namespace)
    try:
        training = train_dictionary(opened.payloads, size, _compression(loaded).codec())
    except ConfigurationError as err:
        told = f"; {left_out(opened)}" if opened.left_out else ""
        raise ConfigurationError(f"{err}{told}") from None
    added = None
    if admin is not None and training.is_worthwhile:
        # Twice the refresh interval, so that every process has it before any of them uses it.
        delay = 0.0 if immediate else max(PROPAGATION, 2 * loaded.keyring.refresh_interval)
        added = asyncio.run(admin.add(training.content, delay=delay))
    if as_json:
        console.print_json(training_row(training, opened, added))
    else:
        show_training(training, opened, added)
    if not training.is_worthwhile:
        raise ConfigurationError(
            "the dictionary does not save clearly over compression without one, and was not "
            "added: these payloads have too little in common, or are large enough by themselves"
        )


@dictionaries.command("list")
def list_dictionaries(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the dictionaries and their states."""
    admin, path = _admin(load_config(config))
    if not path.exists():
        raise ConfigurationError(f"there is no {path}; `sealwire dict init` makes one")
    found = asyncio.run(admin.dictionaries())
    if as_json:
        console.print_json({"dictionaries": rows(found)})
    else:
        show_list(found, f"{path.name}; times in UTC")


@dictionaries.command()
def retire(
    dictionary_id: Annotated[int, typer.Argument(metavar="ID", help="The dictionary's id.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Stop writing with a dictionary. It is kept, for what was written with it."""
    admin, _ = _admin(load_config(config))
    asyncio.run(admin.retire(dictionary_id))
    writer = writer_of(asyncio.run(admin.dictionaries()), time.time())
    if as_json:
        console.print_json({"retired": dictionary_id, "writer": writer})
        return
    then = "without a dictionary" if writer is None else f"with {writer}"
    console.out.print(f"{dictionary_id} is retired; now payloads are written {then}", markup=False)


@dictionaries.command()
def reseal(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Seal all dictionaries with the active key, so that an older key is not needed for them."""
    loaded = load_config(config)
    admin, _ = _admin(loaded)
    count = asyncio.run(admin.reseal())
    key_id = loaded.loaded_keyring.encryption_key().id
    if as_json:
        console.print_json({"resealed": count, "key": key_id})
    elif count:
        console.out.print(f"sealed anew with {key_id}: {count}", markup=False)
    else:
        console.out.print(f"nothing to do: all are sealed with {key_id}", markup=False)


def _compression(config: Config) -> CompressionOptions:
    found = [item for item in config.codecs if isinstance(item, CompressionOptions)]
    # The one with a document, if there are several.
    found.sort(key=lambda item: item.dictionaries is None)
    return found[0] if found else CompressionOptions()


def _admin(config: Config) -> tuple[DictionaryAdmin, Path]:
    path = _compression(config).dictionaries
    if path is None:
        raise ConfigurationError(_NO_DICTIONARIES)
    return DictionaryAdmin(FileKeyringStore(path), config.loaded_keyring), path


def _gather(config: Config, paths: Sequence[Path], namespace: str | None) -> Opened:
    to_payload = config.payload_converter().to_payload
    samples: list[Sample] = []
    for path, in_folder in _progress(files_of(paths), "reading"):
        samples += read_samples(path, in_folder=in_folder, to_payload=to_payload)
    chain = _reading_chain(config).codec(namespace)
    return asyncio.run(decode_samples(_progress(samples, "decoding"), chain))


def _reading_chain(config: Config) -> Config:
    # Before the first dictionary there is no document, and no payload that needs one.
    codecs = tuple(
        replace(item, dictionaries=None)
        if isinstance(item, CompressionOptions)
        and item.dictionaries is not None
        and not item.dictionaries.exists()
        else item
        for item in config.codecs
    )
    return replace(config, codecs=codecs, observer=None)


def _progress(items: Sequence[_T], what: str) -> Iterable[_T]:
    hidden = not console.err.is_terminal
    return track(items, what, console=console.err, transient=True, disable=hidden)
