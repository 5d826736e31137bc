"""Histories of other chains, other keys and other people's codecs, replayed with the plugin."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import sealwire_test_codecs as theirs
import sealwire_test_fleet as app
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.worker import Replayer, Worker

from sealwire.codecs import DictionaryAdmin, train_dictionary
from sealwire.config import Config, load_config
from sealwire.converter import CompositePayloadConverter
from sealwire.keys import FileKeyringStore, KeyLifecycle, LocalKeyWrapper
from sealwire.temporal import SealwirePlugin
from sealwire.temporal.history import find_payloads

SEALED: Final = '[[codec]]\ntype = "encryption"\n'
INTEROP: Final = '[[codec]]\ntype = "encryption"\nformat = "interop"\n'
DICTIONARIES: Final = 'dictionaries = "dictionaries.json"\n'
# The chains that wrote the histories, each in a file of its own beside the same keyring.
CHAINS: Final = {
    "default": "",
    "uncompressed": SEALED,
    "zlib": f'[[codec]]\ntype = "compression"\nalgorithm = "zlib"\n{SEALED}',
    "dictionary": f'[[codec]]\ntype = "compression"\n{DICTIONARIES}{SEALED}',
    "padded": f'[[codec]]\ntype = "padding"\n{SEALED}',
    "interop": INTEROP,
    "interop-zlib": f'[[codec]]\ntype = "compression"\nalgorithm = "zlib"\n{INTEROP}',
    "msgpack": '[converter]\nvalues = "binary/msgpack"\n',
}
OTHERS: Final[dict[str, PayloadCodec | None]] = {
    "plaintext": None,
    "sample": theirs.SampleCodec(),
    "temporalcodec": theirs.temporalcodec(),
}
# What replays them: everything is read, whatever is written.
READER: Final = (
    f'[[codec]]\ntype = "compression"\n{DICTIONARIES}[[codec]]\ntype = "padding"\n{SEALED}'
)
MIGRATE: Final = f'{READER}policy = "migrate"\n'
ENCODINGS: Final = {
    **dict.fromkeys(CHAINS, "binary/sealed-v1"),
    **dict.fromkeys(["interop", "interop-zlib", *OTHERS], "binary/encrypted"),
    "plaintext": "json/plain",
}


@dataclass(frozen=True)
class Recorded:
    """Histories as files in JSON, and the folder with the keyring that reads them."""

    folder: Path
    old_key: str

    def history(self, name: str) -> WorkflowHistory:
        text = (self.folder / f"{name}.json").read_text(encoding="utf-8")
        return WorkflowHistory.from_json(name, text)

    def config(self, text: str) -> Config:
        """Read a configuration anew, as a process that starts does."""
        return written(self.folder, f"replay-{uuid.uuid4()}", text)

    async def failure(self, name: str, text: str) -> BaseException | None:
        plugin = SealwirePlugin(self.config(text), namespace="default")
        replayer = Replayer(workflows=app.WORKFLOWS, plugins=[plugin])
        result = await replayer.replay_workflow(self.history(name), raise_on_replay_failure=False)
        return result.replay_failure


def written(folder: Path, name: str, text: str) -> Config:
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file)


@pytest.fixture(scope="module")
def recorded(temporal_server: str, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A history of each chain, made on a real server; afterwards the key was rotated."""
    folder = tmp_path_factory.mktemp("replay")
    return asyncio.run(record(temporal_server, folder))


async def record(server: str, folder: Path) -> Recorded:
    default = written(folder, "default", CHAINS["default"])
    LocalKeyWrapper(default.keyring.key_file).create()
    old_key = (await default.admin.create()).id
    await default.admin.import_interop(theirs.KEY_ID, theirs.KEY.encode())
    await make_dictionary(default, folder / "dictionaries.json")
    clients = {
        name: await Client.connect(server, plugins=[SealwirePlugin(written(folder, name, text))])
        for name, text in CHAINS.items()
    }
    for name, codec in OTHERS.items():
        converter = replace(DataConverter.default, payload_codec=codec)
        clients[name] = await Client.connect(server, data_converter=converter)
    await asyncio.gather(*(run(name, client, folder) for name, client in clients.items()))
    await default.admin.rotate(delay=0.0)
    return Recorded(folder, old_key)


async def make_dictionary(config: Config, path: Path) -> None:
    converter = CompositePayloadConverter()
    samples = [
        converter.to_payload({"number": number, "text": app.TEXT, "id": str(uuid.uuid4())})
        for number in range(300)
    ]
    admin = DictionaryAdmin(FileKeyringStore(path), config.loaded_keyring)
    await admin.add(train_dictionary(samples, 1024).content, delay=0.0)


async def run(name: str, client: Client, folder: Path) -> None:
    queue = f"replay-{uuid.uuid4()}"
    async with Worker(client, task_queue=queue, workflows=app.WORKFLOWS, activities=app.ACTIVITIES):
        handle: WorkflowHandle[Any, Any] = await client.start_workflow(
            app.Long.run, app.ORDER, id=queue, task_queue=queue, memo={"note": app.TEXT}
        )
        await handle.execute_update(app.Long.change, "x")  # pyright: ignore[reportUnknownMemberType]
        await handle.signal(app.Long.go_on, app.SIGNAL)
        assert app.RESULT == await handle.result()
    history = await handle.fetch_history()
    (folder / f"{name}.json").write_text(history.to_json(), encoding="utf-8")


def encodings(history: WorkflowHistory) -> set[str]:
    """The encodings of what a program wrote; the server and the SDK write for themselves, too."""
    own = ("binary/", "json/plain")
    found = {
        payload.metadata["encoding"].decode()
        for event in history.events
        for path, payload in find_payloads(event)
        if "indexed_fields" not in path and "details[data]" not in path
    }
    return {encoding for encoding in found if encoding.startswith(own)}


@pytest.mark.parametrize("name", [*CHAINS, *OTHERS])
async def test_every_history_replays(recorded: Recorded, name: str) -> None:
    """A process that starts after the rotation, with another chain, replays what others wrote."""
    assert {ENCODINGS[name]} == encodings(recorded.history(name))
    assert await recorded.failure(name, MIGRATE) is None


async def test_many_histories_replay_at_once(recorded: Recorded) -> None:
    """One replayer takes all histories of a fleet, whoever wrote them."""
    names = [*CHAINS, *OTHERS]

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for name in names:
            yield recorded.history(name)

    plugin = SealwirePlugin(recorded.config(MIGRATE), namespace="default")
    replayer = Replayer(workflows=app.WORKFLOWS, plugins=[plugin])
    results = await replayer.replay_workflows(histories(), raise_on_replay_failure=False)
    assert {} == results.replay_failures


async def test_a_wrong_value_would_be_noticed(recorded: Recorded) -> None:
    """The workflow acts on what it reads: another result of an activity leads it astray."""
    history = recorded.history("plaintext")
    for event in history.events:
        for payload in event.activity_task_completed_event_attributes.result.payloads:
            payload.data = payload.data.replace(b"7", b"9")
    plugin = SealwirePlugin(recorded.config(MIGRATE), namespace="default")
    replayer = Replayer(workflows=app.WORKFLOWS, plugins=[plugin])
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert "Nondeterminism" in str(result.replay_failure)


@pytest.mark.parametrize("name", [*CHAINS, *OTHERS])
async def test_a_strict_replayer_refuses_plaintext_alone(recorded: Recorded, name: str) -> None:
    """Sealed and interop histories replay under `strict`, and one in plaintext does not."""
    failure = await recorded.failure(name, READER)
    assert (name == "plaintext") is ("UnencryptedPayloadError" in str(failure))


async def test_a_history_of_another_namespace_is_refused(recorded: Recorded) -> None:
    """The replayer has no namespace of its own: the plugin is told which one it stands for."""
    plugin = SealwirePlugin(recorded.config(READER), namespace="other")
    replayer = Replayer(workflows=app.WORKFLOWS, plugins=[plugin])
    history = recorded.history("default")
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert "ContextMismatchError" in str(result.replay_failure)


async def test_a_withdrawn_key_fails_a_replay_until_it_is_back(recorded: Recorded) -> None:
    """A history needs its keys for as long as it is replayed."""
    lifecycle = KeyLifecycle(recorded.config("").admin)
    await lifecycle.disable(recorded.old_key, even_if_in_use=True)
    refused = await recorded.failure("uncompressed", READER)
    await lifecycle.enable(recorded.old_key)
    assert "KeyDisabledError" in str(refused)
    assert await recorded.failure("uncompressed", READER) is None
