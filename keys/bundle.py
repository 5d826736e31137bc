"""Chosen keys in a document of their own, that another key-encryption key opens.

A bundle is a keyring document like any other. It serves as a backup for the day on which the
key-encryption key or the keyring is lost, and carries keys to another region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from sealwire.errors import ConfigurationError

from .admin import PROPAGATION, KeyringAdmin
from .audit import AuditOutcome
from .document import FORMAT, Document, KeyRecord, Origin, parse
from .editor import Change, Opened
from .key import Key
from .provider import KeySet
from .wrapped import open_document
from .wrappers import OneOrMore, Wrappers

_BUNDLE: Final = Origin("the bundle", "take another copy, or `sealwire keys export` it again")


@dataclass(frozen=True, slots=True)
class ImportedBundle:
    """What `import_bundle` did.

    Args:
        added: The keys that are new here.
        present: The ids of those that were here already, and are as they were.
    """

    added: tuple[Key, ...]
    present: tuple[str, ...]


async def export_bundle(admin: KeyringAdmin, wrapper: OneOrMore, *key_ids: str) -> bytes:
    """Wrap keys for another key-encryption key.

    Args:
        admin: Whose keys.
        wrapper: What will open the bundle, and may differ from what opens the keyring.
        key_ids: Which keys; all without any.

    Raises:
        ConfigurationError: There is no keyring, or `wrapper` does not give back what it wrapped.
        KeyNotFoundError: There is no such key.
        KeyProviderUnavailableError: A part does not answer.
    """
    async with admin.editor.changing("export", *key_ids) as change:
        opened = change.opened
        chosen = {change.key(key_id).id for key_id in key_ids}
        kept = (record for record in opened.document.keys if record.id in chosen or not key_ids)
        source = msgspec.structs.replace(opened.document, keys=tuple(kept))
        wrapped_by, document_key = await Wrappers.of(wrapper).new_key(admin.tenant)
        records = opened.document_key.rewrapped(source, document_key)
        bundle = msgspec.structs.replace(source, wrapped_by=wrapped_by, keys=records)
        text = document_key.sign(bundle)
        document_key.open(parse(text, admin.tenant))
        change.attempt.key_ids = tuple(record.id for record in records)
        change.attempt.outcome = AuditOutcome.DONE
        return text


async def import_bundle(
    admin: KeyringAdmin, data: bytes, wrapper: OneOrMore, *, delay: float = PROPAGATION
) -> ImportedBundle:
    """Add the keys of a bundle, at their places by age; without a keyring, make one of them.

    Keys keep their states. One that would replace the present primary does so after `delay`, like
    a new one.

    Args:
        admin: Who may change the keyring, or make it.
        data: What `export_bundle` returned.
        wrapper: What opens it.
        delay: Seconds, in which every process learns of the keys before any uses them.

    Raises:
        ConfigurationError: It is not a bundle of this tenant, or has other bytes under the id of a
            key that is here; nothing was changed.
        KeyProviderUnavailableError: A part does not answer.
    """
    with admin.editor.recorded("import-bundle") as attempt:
        bundle = await _open(data, wrapper, admin.tenant)
        change = Change(admin.editor, await _target(admin, bundle), attempt)
        if change.opened.revision is not None:
            attempt.before = attempt.after = change.keys.version
        new, present = _compare(bundle.document.keys, change.opened.document.keys)
        if not new:
            return ImportedBundle((), present)
        attempt.key_ids = tuple(record.id for record in new)
        source = msgspec.structs.replace(bundle.document, keys=tuple(new))
        records = list(change.opened.document.keys)
        for record in bundle.document_key.rewrapped(source, change.opened.document_key):
            records.insert(_place(record, records), _delayed(record, change, delay))
        keys = await change.save(tuple(records))
        added = tuple(key for key in keys.keys if key.id in attempt.key_ids)
        return ImportedBundle(added, present)


async def _open(data: bytes, wrapper: OneOrMore, tenant: str) -> Opened:
    document = parse(data, tenant, _BUNDLE)
    document_key = await open_document(document, wrapper, _BUNDLE.what)
    return Opened(document, document_key, document_key.open(document), None)


async def _target(admin: KeyringAdmin, bundle: Opened) -> Opened:
    if await admin.store.load(admin.tenant) is not None:
        return await admin.editor.load()
    # From its version on, so that processes which still run do not take it for an old copy.
    wrapped_by, document_key = await Wrappers.of(admin.wrapper).new_key(admin.tenant)
    version = bundle.document.version
    document = Document(FORMAT, admin.tenant, version, wrapped_by, ())
    return Opened(document, document_key, KeySet((), version), None)


def _compare(
    offered: Sequence[KeyRecord], present: Sequence[KeyRecord]
) -> tuple[list[KeyRecord], tuple[str, ...]]:
    here = {record.id: record for record in present}
    for record in offered:
        same = here.get(record.id, record)
        other_bytes = record.check and same.check and record.check != same.check
        if other_bytes or record.suite is not same.suite:
            raise ConfigurationError(
                f"the keyring has a key {record.id!r} with other bytes, or of another suite; "
                "nothing was changed: find out which one is right",
                key_id=record.id,
            )
    new = [record for record in offered if record.id not in here]
    return new, tuple(record.id for record in offered if record.id in here)


def _delayed(record: KeyRecord, change: Change, delay: float) -> KeyRecord:
    if change.keys.primary(record.suite, change.now) is None:
        return record  # nobody has a key that it would replace
    earliest = max(record.encrypt_from, change.now + delay)
    return msgspec.structs.replace(record, encrypt_from=float(earliest))


def _place(record: KeyRecord, records: Sequence[KeyRecord]) -> int:
    # The order decides which key is the newest: what is here keeps its own.
    for index, other in enumerate(records):
        if other.created > record.created:
            return index
    return len(records)
