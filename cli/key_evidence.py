"""Ask a Temporal server, and this machine, what still needs keys."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from temporalio.client import Client

from sealwire.codecs import DictionaryAdmin
from sealwire.config import CompressionOptions, Config, EncryptionOptions
from sealwire.keys import FileKeyringStore, KeySet
from sealwire.keys.period import sealing_period
from sealwire.temporal.connection import connect, explained
from sealwire.temporal.key_usage import KeyUsage, scan_runs, scan_schedules
from sealwire.temporal.retention import Retention, Runs, count_runs, read_retention

from . import console
from .key_needs import Evidence


@dataclass(frozen=True)
class Question:
    """What is asked of a server.

    Args:
        namespaces: Which namespaces; None for what `connect` takes.
        address: Host and port; None for what Temporal's own tools are set up for.
        profile: A profile of Temporal's own configuration file.
        scan: Whether to read histories.
        limit: How many runs, and schedules, to read in each namespace.
    """

    namespaces: Sequence[str | None]
    address: str | None
    profile: str | None
    scan: bool
    limit: int


async def gather_evidence(
    loaded: Config, tenant: str, found: KeySet, question: Question
) -> Evidence:
    """Ask about all keys of a tenant.

    Raises:
        ConfigurationError: The server cannot be asked, or the dictionaries not be read.
    """
    now = time.time()
    lag = max(loaded.keyring.encrypt_grace, 2 * loaded.keyring.refresh_interval)
    usage = KeyUsage(_aliases(loaded))
    kept: list[Retention] = []
    runs = {key.id: Runs(0, 0) for key in found.keys}
    for namespace in question.namespaces:
        client = await connect(
            loaded, namespace, address=question.address, profile=question.profile
        )
        async with explained(client):
            kept.append(await read_retention(client))
            for key in found.keys:
                period = sealing_period(found, key, now, lag)
                runs[key.id] += await count_runs(client, period)
            await _read(client, question, kept[-1].runs, usage)
    tenants = loaded.keyring.tenants
    return Evidence(
        found,
        now,
        lag,
        kept,
        runs,
        usage,
        question.scan,
        await _dictionaries(loaded),
        opens_keyrings=tenants is not None and tenants.wrapped_by == tenant,
        writes_interop=any(_writes_interop(item) for item in loaded.codecs),
    )


async def _read(client: Client, question: Question, there: Runs, usage: KeyUsage) -> None:
    await scan_schedules(client, usage, question.limit)
    if question.scan:
        total = min(question.limit, there.open + there.closed)
        with _progress(f"histories of {client.namespace}", total) as advance:
            await scan_runs(client, usage, question.limit, advance)


@contextmanager
def _progress(what: str, total: int) -> Generator[Callable[[], Any]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    hidden = not console.err.is_terminal
    with Progress(*columns, console=console.err, transient=True, disable=hidden) as bar:
        yield partial(bar.advance, bar.add_task(what, total=total))


def _writes_interop(codec: object) -> bool:
    # An object instead of options has a format too, where it can write several.
    return getattr(codec, "format", None) == "interop"


def _aliases(loaded: Config) -> dict[str, str]:
    options = (item for item in loaded.codecs if isinstance(item, EncryptionOptions))
    return {alias: key_id for item in options for alias, key_id in item.key_aliases.items()}


async def _dictionaries(loaded: Config) -> Counter[str]:
    """Count the dictionaries by the key that seals them."""
    counted: Counter[str] = Counter()
    for item in loaded.codecs:
        path = item.dictionaries if isinstance(item, CompressionOptions) else None
        if path is not None and path.exists():
            admin = DictionaryAdmin(FileKeyringStore(path), loaded.loaded_keyring)
            counted.update(one.key_id for one in await admin.dictionaries())
    return counted
