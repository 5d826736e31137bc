from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from sealwire.errors import ConfigurationError, SealwireError
from sealwire.keys import (
    AuditEvent,
    AuditOutcome,
    AuditSink,
    FileAuditSink,
    FileKeyringStore,
    KeyLifecycle,
    KeyringAdmin,
    LocalKeyWrapper,
    LoggingAuditSink,
    StoredDocument,
    export_bundle,
    import_bundle,
)
from sealwire.testing.clock import FakeClock

Leaks = Callable[..., list[str]]
DONE, UNCHANGED, FAILED = AuditOutcome.DONE, AuditOutcome.UNCHANGED, AuditOutcome.FAILED
DAY = 86_400.0


class Events(list[AuditEvent]):
    """Keeps the events."""

    def record(self, event: AuditEvent) -> None:
        self.append(event)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def admin(
    store: FileKeyringStore, wrapper: LocalKeyWrapper, clock: FakeClock, events: Events
) -> KeyringAdmin:
    return KeyringAdmin(store, wrapper, clock=clock, audit=events, actor="ada")


async def test_every_action_sends_one_event(
    admin: KeyringAdmin, events: Events, clock: FakeClock, wrapper: LocalKeyWrapper
) -> None:
    """What was done, to which key, from which version to which, and how it ended."""
    lifecycle = KeyLifecycle(admin, min_retired=0.0)
    old = (await admin.create()).id
    new = (await admin.rotate(delay=0.0)).key.id
    await admin.rotate(if_older_than=DAY)
    clock.advance(DAY)
    await lifecycle.disable(old, reason="compromised")
    await lifecycle.disable(old)
    await lifecycle.enable(old)
    await lifecycle.schedule_destruction(old, reason="ticket 7")
    await lifecycle.cancel_destruction(old)
    await lifecycle.promote(new)
    await lifecycle.destroy()
    await admin.import_interop("other", b"\xa5" * 32)
    await import_bundle(admin, await export_bundle(admin, wrapper, new), wrapper)
    await admin.keys()
    assert [
        ("create", (old,), None, 1, DONE, ""),
        ("rotate", (new,), 1, 2, DONE, ""),
        ("rotate", (), 2, 2, UNCHANGED, ""),
        ("disable", (old,), 2, 3, DONE, "compromised"),
        ("disable", (old,), 3, 3, UNCHANGED, ""),
        ("enable", (old,), 3, 4, DONE, ""),
        ("schedule-destruction", (old,), 4, 5, DONE, "ticket 7"),
        ("cancel-destruction", (old,), 5, 6, DONE, ""),
        ("promote", (new,), 6, 6, UNCHANGED, ""),
        ("destroy", (), 6, 6, UNCHANGED, ""),
        ("import", ("other",), 6, 7, DONE, ""),
        ("export", (new,), 7, 7, DONE, ""),
        ("import-bundle", (), 7, 7, UNCHANGED, ""),
    ] == [
        (e.action, e.key_ids, e.version_before, e.version_after, e.outcome, e.reason)
        for e in events
    ]
    assert {("ada", "default", None)} == {(e.actor, e.tenant, e.error) for e in events}
    assert clock() == events[-1].at


async def test_failures_are_events_too(admin: KeyringAdmin, events: Events) -> None:
    """A refusal is recorded with its reason, whether or not the document could be read."""
    with pytest.raises(ConfigurationError):
        await admin.rotate()
    key = (await admin.create()).id
    with pytest.raises(ConfigurationError):
        await admin.create()
    with pytest.raises(ConfigurationError):
        await KeyLifecycle(admin).disable(key)
    with pytest.raises(SealwireError):
        await KeyLifecycle(admin).enable("no\nbody")
    failed = [event for event in events if event.outcome is FAILED]
    assert [
        ("rotate", (), None, None),
        ("create", (), None, None),
        ("disable", (key,), 1, 1),
        ("enable", ("no\nbody",), 1, 1),
    ] == [(e.action, e.key_ids, e.version_before, e.version_after) for e in failed]
    assert [
        "ConfigurationError",
        "ConfigurationError",
        "ConfigurationError",
        "KeyNotFoundError",
    ] == [(event.error or "").partition(":")[0] for event in failed]


async def test_the_text_of_a_foreign_error_is_not_told(admin: KeyringAdmin, events: Events) -> None:
    """It may hold credentials; its class has to do."""

    class Broken:
        async def load(self, tenant: str) -> StoredDocument | None:
            raise OSError("postgresql://root:hunter2@db/keys")

        async def save(self, tenant: str, data: bytes, revision: str | None) -> None: ...

    with pytest.raises(OSError, match="hunter2"):
        await replace(admin, store=Broken()).rotate()
    (event,) = events
    assert "OSError" == event.error
    assert "hunter2" not in repr(event)


async def test_no_event_holds_a_secret(
    admin: KeyringAdmin, events: Events, roots: list[bytes], leaks: Leaks
) -> None:
    """Neither a root nor the key of the document is in what is recorded."""
    await admin.create()
    await admin.rotate()
    with pytest.raises(ConfigurationError):
        await admin.import_interop("short", b"\xa5\x17" * 10)
    assert 3 <= len(roots)
    assert not leaks("\n".join(event.to_json() for event in events), *roots, b"\xa5\x17" * 10)


async def test_events_are_logged_by_default(
    store: FileKeyringStore, wrapper: LocalKeyWrapper, caplog: pytest.LogCaptureFixture
) -> None:
    """One line of JSON each, by a logger of their own, at level INFO; who is the system's user."""
    with caplog.at_level(logging.INFO, "sealwire.audit"):
        admin = KeyringAdmin(store, wrapper)
        await admin.create()
        with pytest.raises(ConfigurationError):
            await admin.create()
    done, failed = [json.loads(record.getMessage()) for record in caplog.records]
    assert {("sealwire.audit", "INFO")} == {(r.name, r.levelname) for r in caplog.records}
    assert ("create", "done", 1) == (done["action"], done["outcome"], done["version_after"])
    assert ("failed", True) == (failed["outcome"], "keys rotate" in failed["error"])
    assert "@" in done["actor"]


EVENT = AuditEvent(1.0, "a\nb", "rotate", "default", ("k",), 1, 2, DONE, "weil “ü”\n")


def test_an_event_is_one_line() -> None:
    """No text in an event makes a second line, which would be an event that never was."""
    line = EVENT.to_json()
    assert 1 == len(line.splitlines())
    assert EVENT.reason == json.loads(line)["reason"]
    event: Any = EVENT
    with pytest.raises(FrozenInstanceError):
        event.actor = "eve"


def test_a_file_takes_events_and_keeps_them(tmp_path: Path) -> None:
    """Lines are appended to a private file; what is there stays."""
    sink = FileAuditSink(tmp_path / "audit.jsonl")
    sink.record(EVENT)
    sink.record(EVENT)
    assert [EVENT.to_json()] * 2 == sink.path.read_text().splitlines()
    assert 0o600 == stat.S_IMODE(sink.path.stat().st_mode)


async def test_an_event_that_cannot_be_written_is_told(admin: KeyringAdmin, tmp_path: Path) -> None:
    """The administrator learns that the action ended, and how, and that nothing recorded it."""
    deaf = replace(admin, audit=FileAuditSink(tmp_path / "absent" / "audit.jsonl"))
    with pytest.raises(ConfigurationError, match=r"`create` ended \(done\), but this was not rec"):
        await deaf.create()
    assert 1 == (await admin.keys()).version


@pytest.mark.parametrize("sink", [LoggingAuditSink(), FileAuditSink(Path("x")), Events()])
def test_a_sink_is_anything_with_the_method(sink: object) -> None:
    """Those of this package, and a list with one method."""
    assert isinstance(sink, AuditSink)
