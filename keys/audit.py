"""Who changed which key, when, and how it ended: an event for each action of an administrator."""

from __future__ import annotations

import json
import logging
import os
import pwd
import socket
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from sealwire.errors import ConfigurationError, SealwireError

_log: Final = logging.getLogger("sealwire.audit")


class AuditOutcome(StrEnum):
    """How an action ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One action of an administrator. Holds no secret: ids, versions, and words.

    Args:
        at: When it ended, in seconds since 1970.
        actor: Who.
        action: What, as the command line names it, for example `schedule-destruction`.
        tenant: Whose keys.
        key_ids: Which keys; with a failure, those that were asked for.
        version_before: The version of the document that was read; None where none was.
        version_after: The version that is there now, as far as it is known.
        outcome: How it ended.
        reason: Why, in the words of the administrator.
        error: The class and the text of a failure; of an error that is not sealwire's the class
            alone, because its text may hold credentials.
    """

    at: float
    actor: str
    action: str
    tenant: str
    key_ids: tuple[str, ...]
    version_before: int | None
    version_after: int | None
    outcome: AuditOutcome
    reason: str = ""
    error: str | None = None

    def to_json(self) -> str:
        """Return the event as JSON in one line, whatever the texts in it hold."""
        return json.dumps(asdict(self))


@runtime_checkable
class AuditSink(Protocol):
    """Takes the events."""

    def record(self, event: AuditEvent) -> None:
        """Keep `event`.

        It is called after the action: what this raises reaches the administrator, and undoes
        nothing.
        """
        ...


@dataclass(frozen=True)
class LoggingAuditSink:
    """Logs each event as a line of JSON: logger `sealwire.audit`, level INFO, failures too."""

    def record(self, event: AuditEvent) -> None:
        """Log the event."""
        _log.info("%s", event.to_json())


@dataclass(frozen=True)
class FileAuditSink:
    """Appends each event as a line of JSON to a file.

    Args:
        path: The file; made with mode 0600 where there is none.
    """

    path: Path

    def record(self, event: AuditEvent) -> None:
        """Append the event, and see that it is on the disk.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(f"{event.to_json()}\n".encode())
                file.flush()
                os.fsync(descriptor)
        except OSError as err:
            raise ConfigurationError(
                f"`{event.action}` ended ({event.outcome}), but this was not recorded: cannot "
                f"write {self.path}: {err.strerror}"
            ) from None


def current_actor() -> str:
    """Return the user of this process and the machine, as the system knows them."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # usual in containers
        name = f"uid-{os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def failure(err: BaseException) -> str:
    """Describe an error without what it may hold of others' secrets."""
    name = type(err).__name__
    return f"{name}: {err}" if isinstance(err, SealwireError) else name
