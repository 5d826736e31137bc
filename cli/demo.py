"""`sealwire demo`: sealed workflows on a real server, what it stores beside what a client reads."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError
from sealwire.payload import ENCRYPTION_KEY_ID, Payload, encoding_of
from sealwire.testing.devserver import DevServer, free_port

from . import console

_QUEUE: Final = "payments"
_WORKFLOW: Final = "payment-1"
_REFRESH: Final = 0.5  # seconds; the default of 300 would make the demo a long one
_SHOWN: Final = 70  # characters of a value
_CONFIG: Final = f"""\
[keyring]
refresh_interval = {_REFRESH}
"""


@dataclass(frozen=True)
class Row:
    """One payload, as the server has it and as the client reads it."""

    place: str
    stored: Payload
    value: Any

    @property
    def key_id(self) -> str:
        """The key it was sealed with."""
        return self.stored.metadata.get(ENCRYPTION_KEY_ID, b"").decode()


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running, to look at the Web UI.")
    ] = False,
) -> None:
    """Run sealed workflows on a real Temporal server, and show what it stores."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server ends, too
    try:
        code = asyncio.run(_demo(keep=keep, started=time.monotonic()))
    except KeyboardInterrupt:  # how --keep ends
        code = 0 if keep else 130
    except ModuleNotFoundError as err:
        raise ConfigurationError(
            f"the demo needs the package {err.name!r}; fix: pip install 'sealwire[demo]'"
        ) from None
    console.leave(code)


async def _demo(*, keep: bool, started: float) -> int:
    from sealwire.server import codec_app, running

    # The worker logs the failing activity, in clear and here only; it is part of the demo.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="sealwire-demo-") as name:
        folder = Path(name)
        (folder / "sealwire.toml").write_text(_CONFIG, encoding="utf-8")
        await _sealwire(folder, "keys", "init")
        config = load_config(folder / "sealwire.toml")
        ui = f"http://127.0.0.1:{free_port()}"
        codec = config.codec("default")
        app = codec_app(codec, token=None, origins=[ui], namespace="default")
        async with running(app, "127.0.0.1", 0) as codec_url:
            server = DevServer(ui_port=int(ui.rpartition(":")[2]), codec_endpoint=codec_url)
            await asyncio.to_thread(server.start)
            try:
                console.print_note(f"Temporal server on {server.address}, codec server {codec_url}")
                rows, leaks = await _run_workflow(server.address, folder, config)
                _show(rows)
                code = verdict(rows, leaks, time.monotonic() - started)
                if keep:
                    console.out.print(
                        "The Web UI, which reads through the codec server:\n"
                        f"  {ui}/namespaces/default/workflows/{_WORKFLOW}",
                        markup=False,
                    )
                    console.print_note("Everything is left running; Ctrl-C ends it.")
                    await asyncio.Event().wait()
                console.print_note("To look at it in the Web UI: sealwire demo --keep")
            finally:
                await asyncio.to_thread(server.stop)
    return code


async def _run_workflow(address: str, folder: Path, config: Config) -> tuple[list[Row], set[str]]:
    from temporalio.client import Client
    from temporalio.common import RawValue
    from temporalio.worker import Worker

    from sealwire.temporal import SealwirePlugin
    from sealwire.temporal.history import search

    from . import demo_workflow as work

    sealed = await Client.connect(address, plugins=[SealwirePlugin(config)])
    plain = await Client.connect(address)
    async with Worker(
        sealed,
        task_queue=_QUEUE,
        workflows=[work.PaymentWorkflow],
        activities=[work.charge, work.check_credit],
    ):
        handle = await sealed.start_workflow(
            work.PaymentWorkflow.run, work.ORDER, id=_WORKFLOW, task_queue=_QUEUE, memo=work.MEMO
        )
        await handle.execute_update("charged")  # pyright: ignore[reportUnknownMemberType]
        console.print_note("workflow       runs; now another process rotates the key")
        await _sealwire(folder, "keys", "rotate", "--immediate")
        await asyncio.sleep(2 * _REFRESH)  # the worker finds the new key by itself
        await handle.signal(work.PaymentWorkflow.approve, work.APPROVER)
        result = await handle.result()
        status = await handle.query(work.PaymentWorkflow.status)
        unread = plain.get_workflow_handle(_WORKFLOW)
        raw_status = (await unread.query("status", result_type=RawValue)).payload

    history = await unread.fetch_history()
    rows = await _read_history(history, config)
    rows.append(Row("query", raw_status, status))
    description = (await unread.describe()).raw_description
    leaks = search(description, work.SECRETS) | search(raw_status, work.SECRETS)
    for event in history.events:
        leaks |= search(event, work.SECRETS)
    assert result.customer == work.ORDER.customer  # noqa: S101 - a demo that lies is worse than none
    return rows, leaks


async def _read_history(history: Any, config: Config) -> list[Row]:
    from temporalio.api.enums.v1 import EventType

    from sealwire.temporal.history import find_payloads

    converter = config.data_converter("default")
    rows: list[Row] = []
    for event in history.events:
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
        for path, payload in find_payloads(event):
            (value,) = await converter.decode([payload])
            rows.append(Row(_place(kind, path), payload, value))
    return rows


def _place(kind: str, path: str) -> str:
    """Shorten the kind of an event, and the path of a payload in it, for people."""
    _, _, inner = path.partition(".")  # the first part says the kind again
    inner = re.sub(r"\.payloads\[0\]$|fields|^failure\.|application_failure_info\.", "", inner)
    place = re.sub(r"^workflow_execution_|_task", "", kind) + ": " + inner
    return place.replace("_", " ").replace(".[", " [")


def _show(rows: list[Row]) -> None:
    table = console.table("Where", "What the server stores", "What the client reads")
    for row in rows:
        stored = Text.assemble(
            (encoding_of(row.stored), "cyan"),
            f" {len(row.stored.data)} B\nkey {row.key_id}\n",
            (f"{row.stored.data[:10].hex()}…", "dim"),
        )
        table.add_row(Text(row.place), stored, Text(_shortened(str(row.value))))
        table.add_section()
    console.out.print(table)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def verdict(rows: list[Row], leaks: set[str], seconds: float) -> int:
    """Print whether everything is sealed, and return the exit code."""
    key_ids = list(dict.fromkeys(row.key_id for row in rows))
    unsealed = [row.place for row in rows if encoding_of(row.stored) != "binary/sealed-v1"]
    if leaks or unsealed or len(key_ids) < 2:
        console.print_error(
            f"FAILED: plaintext found: {sorted(leaks)}; unsealed: {unsealed}; keys: {key_ids}"
        )
        return 1
    console.out.print(
        f"{len(rows)} payloads, sealed with {len(key_ids)} keys; "
        "no secret found in what the server stores.",
        markup=False,
    )
    console.out.print(f"demo finished in {seconds:.1f} s", markup=False)
    return 0


async def _sealwire(folder: Path, *arguments: str) -> None:
    """Run the command line in a process of its own, as an administrator would."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sealwire", *arguments, "--config", str(folder / "sealwire.toml")),
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait() != 0:
        raise ConfigurationError(f"`sealwire {' '.join(arguments)}` failed; see above")
