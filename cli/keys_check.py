"""`sealwire keys check`: which keys a Temporal server still needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError, KeyNotFoundError, SealwireError
from sealwire.keys import KeySet

from . import console
from .keys_admin import administrator, iso, minute
from .options import DEFAULT_CONFIG, Address, AsJson, ConfigPath, Profile

if TYPE_CHECKING:
    from .key_evidence import Question
    from .key_needs import Evidence, KeyNeed

NEEDED: Final = 3  # the exit code for a key that is, or may be, needed
_DAY: Final = 86_400


def check(
    key_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="The key ids that the exit code is about."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose histories; may be repeated. By default the configuration's, else "
            "TEMPORAL_NAMESPACE."
        ),
    ] = None,
    address: Address = None,
    profile: Profile = None,
    scan: Annotated[
        bool, typer.Option("--scan", help="Read the histories, and count payloads by key.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, help="How many runs, and schedules, to read in a namespace.")
    ] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Ask the Temporal server which keys are still needed.

    With key ids, the exit code is 0 if none of them is needed, and 3 if one is or may be.
    """
    try:
        loaded = load_config(config)
        names = tuple(dict.fromkeys(namespace or ()))
        question = _question(names or (None,), address, profile, scan=scan, limit=limit)
        code = asyncio.run(_check(loaded, question, key_ids or [], as_json=as_json))
    except SealwireError as err:
        console.print_error(str(err))
        code = 1
    console.leave(code)


def _question(
    namespaces: Sequence[str | None],
    address: str | None,
    profile: str | None,
    *,
    scan: bool,
    limit: int,
) -> Question:
    try:
        from .key_evidence import Question
    except ModuleNotFoundError as err:
        raise ConfigurationError(
            f"asking a server needs the package {err.name!r}; fix: pip install 'sealwire[temporal]'"
        ) from None
    return Question(namespaces, address, profile, scan, limit)


async def _check(
    loaded: Config, question: Question, key_ids: Sequence[str], *, as_json: bool
) -> int:
    from .key_evidence import gather_evidence

    admin = administrator(loaded, None)
    found = await admin.keys()
    _check_known(found, key_ids)
    evidence = await gather_evidence(loaded, admin.tenant, found, question)
    needs = [evidence.need(key) for key in found.keys]
    if as_json:
        console.print_json(_document(evidence, needs))
    else:
        _show(evidence, needs)
        _note(evidence)
    return NEEDED if any(one.is_needed for one in needs if one.key.id in key_ids) else 0


def _check_known(found: KeySet, key_ids: Sequence[str]) -> None:
    known = {key.id for key in found.keys}
    for key_id in key_ids:
        if key_id not in known:
            raise KeyNotFoundError(
                f"the keyring has no key {key_id[:200]!r}: `sealwire keys list` shows those that "
                "it has",
                key_id=key_id,
            )


def _show(evidence: Evidence, needs: Sequence[KeyNeed]) -> None:
    table = console.table(
        "Namespace", "Open runs", "since", "Closed runs", "Retention", title="Times in UTC"
    )
    for kept in evidence.kept:
        table.add_row(
            kept.namespace,
            str(kept.runs.open),
            "" if kept.oldest_open is None else minute(kept.oldest_open),
            str(kept.runs.closed),
            f"{kept.seconds / _DAY:g} d",
        )
    console.out.print(table)
    table = console.table("Key", "State", "Sealed until", "Needed")
    for one in needs:
        table.add_row(one.key.id, one.state, minute(one.period.until), one.told())
    console.out.print(table)


def _note(evidence: Evidence) -> None:
    """Say what is not known."""
    usage = evidence.usage
    archives = ", ".join(item.namespace for item in evidence.kept if item.archives)
    others = sum(item.others for item in evidence.kept)
    unknown = evidence.unknown()
    notes = {
        "a cron, retry or continue-as-new run may hold older payloads than itself: "
        "--scan reads them": not evidence.scanned,
        f"{usage.hidden} schedules, whose last run is gone, may pass on a result that no client "
        "can see: trigger or delete them": usage.hidden,
        f"{usage.unread} runs or schedules were not read: raise --limit": usage.unread,
        f"{usage.elsewhere} payloads are stored elsewhere, and do not name their key here": (
            usage.elsewhere
        ),
        f"{others} activities or operations without a workflow were not read": others,
        f"histories are archived, and need their keys there: {archives}": archives,
        unknown.told(): unknown.count,
    }
    for note, applies in notes.items():
        if applies:
            console.print_note(f"note: {note}")


def _document(evidence: Evidence, needs: Sequence[KeyNeed]) -> dict[str, Any]:
    unknown = evidence.unknown()
    return {
        "scanned": evidence.scanned,
        "proof": evidence.is_proof,
        "read": evidence.usage.read,
        "unread": evidence.usage.unread,
        "stored_elsewhere": evidence.usage.elsewhere,
        "hidden_schedules": evidence.usage.hidden,
        "unknown_keys": unknown.payloads,
        "unknown_key_ids": unknown.count,
        "unknown": [key.row() for key in unknown.listed],
        "namespaces": [
            {
                "namespace": kept.namespace,
                "runs_open": kept.runs.open,
                "runs_closed": kept.runs.closed,
                "oldest_open": None if kept.oldest_open is None else iso(kept.oldest_open),
                "retention": kept.seconds,
                "archives": kept.archives,
                "without_workflow": kept.others,
            }
            for kept in evidence.kept
        ],
        "keys": [one.row() for one in needs],
    }
