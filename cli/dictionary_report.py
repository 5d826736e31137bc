"""What `sealwire dict` says about dictionaries and their training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from sealwire.codecs import Dictionary, Training
from sealwire.codecs.dictionary_view import writer_of

from . import console
from .samples import Opened

_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"
_MINUTE: Final = "%Y-%m-%d %H:%M"


def left_out(opened: Opened) -> str:
    """Say how many payloads could not be used, and why."""
    counts = ", ".join(f"{name} {count}" for name, count in opened.left_out.items())
    return f"{opened.left_out.total()} were left out ({counts}); the first says: {opened.reason}"


def show_training(training: Training, opened: Opened, added: Dictionary | None) -> None:
    """Print what a dictionary saves, and what became of it."""
    if opened.left_out:
        console.print_note(left_out(opened))
    table = console.table(
        *("How it is stored", "Bytes", "Of the plain size"),
        title=f"{training.held_out} payloads that it was not trained on, on average",
    )
    for name, size in (
        ("plain", training.plain),
        ("zstd", training.without),
        ("zstd with the dictionary", training.size),
    ):
        table.add_row(name, f"{size:.1f}", f"{size / training.plain:.0%}")
    console.out.print(table)
    if added is not None:
        console.out.print(
            f"dictionary {added.header.id}, {len(training.content)} bytes, trained on "
            f"{training.trained_on} payloads; written with from "
            f"{_time(_ISO, added.header.write_from)}\n"
            "every process that reads must have the document, and a configuration that names it",
            markup=False,
        )
    elif training.is_worthwhile:
        console.out.print("nothing was added: --dry-run", markup=False)


def training_row(training: Training, opened: Opened, added: Dictionary | None) -> dict[str, Any]:
    """Describe the same for programs."""
    return {
        "dictionary": None if added is None else added.header.id,
        "write_from": None if added is None else _time(_ISO, added.header.write_from),
        "size": len(training.content),
        "trained_on": training.trained_on,
        "held_out": training.held_out,
        "left_out": dict(opened.left_out),
        "bytes": {
            "plain": round(training.plain, 1),
            "zstd": round(training.without, 1),
            "dictionary": round(training.size, 1),
        },
        "worthwhile": training.is_worthwhile,
    }


def rows(found: Sequence[Dictionary]) -> list[dict[str, Any]]:
    """Describe dictionaries for programs."""
    writer = writer_of(found, time.time())
    return [_row(item, writer) for item in found]


def show_list(found: Sequence[Dictionary], title: str) -> None:
    """Print a table of dictionaries."""
    table = console.table(
        *("Dictionary", "State", "Writes from", "Bytes", "Sealed with"), title=title
    )
    for item, row in zip(found, rows(found), strict=True):
        size = "" if row["size"] is None else str(row["size"])
        begins = _time(_MINUTE, item.header.write_from)
        table.add_row(str(row["id"]), row["state"], begins, size, row["key"])
    console.out.print(table)


def _row(item: Dictionary, writer: int | None) -> dict[str, Any]:
    header = item.header
    return {
        "id": header.id,
        "state": _state(item, writer),
        "created": _time(_ISO, header.created),
        "write_from": _time(_ISO, header.write_from),
        "size": None if item.content is None else len(item.content),
        "key": item.key_id,
    }


def _state(item: Dictionary, writer: int | None) -> str:
    if item.content is None:
        return "withdrawn"
    if item.header.retired:
        return "retired"
    if item.header.id == writer:
        return "active"
    return "pending" if item.header.write_from > time.time() else "read-only"


def _time(form: str, seconds: float) -> str:
    return time.strftime(form, time.gmtime(seconds))
