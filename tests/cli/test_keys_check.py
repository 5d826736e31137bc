"""`sealwire keys check` on a real server: by the ages of runs, and by their payloads."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.common import RawValue

from sealwire.codecs import DictionaryAdmin, EncryptionCodec
from sealwire.config import Config, load_config
from sealwire.converter import CompositePayloadConverter
from sealwire.keys import FileKeyringStore, Keyring, KeyringAdmin, LocalKeyWrapper
from sealwire.testing.devserver import DevServer, free_port

pytestmark = pytest.mark.server

DAY: Final = 86_400.0
NAMESPACES: Final = tuple(f"checked-{number}" for number in range(20))
# A process that has not read the keyring for 0.2 seconds encrypts no more.
CONFIG: Final = """\
namespace = "{}"
[keyring]
refresh_interval = 0.1
encrypt_grace = 0.1
"""
JAVA_ID: Final = "test-key-test-key-test-key-test!"  # of its sample: the key itself


@pytest.fixture(scope="module")
def server() -> Generator[tuple[str, Iterator[str]]]:
    """The address of a server, and namespaces in which nothing has run yet."""
    with DevServer(NAMESPACES) as made:
        yield made.address, iter(NAMESPACES)


@pytest.fixture
async def client(server: tuple[str, Iterator[str]]) -> Client:
    """A client without a codec, in a namespace of the test's own."""
    address, namespaces = server
    return await Client.connect(address, namespace=next(namespaces))


def acting(config: Config, days_ago: float) -> KeyringAdmin:
    then = time.time() - days_ago * DAY
    return dataclasses.replace(config.admin, clock=lambda: then)


@pytest.fixture
async def config(client: Client, tmp_path: Path) -> Config:
    """A keyring with a key that was replaced 200 days ago, and the one that encrypts since."""
    (tmp_path / "sealwire.toml").write_text(CONFIG.format(client.namespace))
    made = load_config(tmp_path / "sealwire.toml")
    LocalKeyWrapper(made.keyring.key_file).create()
    await acting(made, 300).create()
    await acting(made, 200).rotate(delay=0.0)
    return made


async def ids(config: Config) -> list[str]:
    return [key.id for key in (await config.admin.keys()).keys]


async def sealed(config: Config, key_id: str) -> RawValue:
    """A value as it was sealed while this key was active."""
    (key,) = (key for key in (await config.admin.keys()).keys if key.id == key_id)
    keyring = Keyring(config.keyring.keyring().provider, clock=lambda: key.encrypt_from + 1)
    await keyring.ready()
    codec = EncryptionCodec(keyring, namespace=config.namespace)
    (payload,) = await codec.encode(CompositePayloadConverter().to_payloads(["MARKER"]))
    return RawValue(payload)


async def start(client: Client, value: RawValue, name: str, **options: Any) -> None:
    await client.start_workflow("Nobody", value, id=name, task_queue="nobody", **options)


async def schedule(client: Client, value: RawValue) -> None:
    action = ScheduleActionStartWorkflow("Nobody", value, id="later", task_queue="nobody")
    paused = Schedule(action=action, spec=ScheduleSpec(), state=ScheduleState(paused=True))
    await client.create_schedule("nightly", paused)


async def counted(client: Client, number: int) -> None:
    """Wait until the server's counts, which lag, have caught up."""
    while (await client.count_workflows("")).count != number:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.05)


async def retire(config: Config) -> None:
    """Replace the key that encrypts, and wait until no process encrypts with it any more."""
    await config.admin.rotate(delay=0.0)
    await asyncio.sleep(0.3)


def run(folder: Path, address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sealwire", "keys", "check", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "TEMPORAL_ADDRESS": address},
        timeout=120,
    )


async def check(
    client: Client, config: Config, *arguments: str
) -> subprocess.CompletedProcess[str]:
    address = client.service_client.config.target_host
    return await asyncio.to_thread(run, config.keyring.path.parent, address, *arguments)


async def document(client: Client, config: Config, *arguments: str) -> Any:
    """What `--json` prints, with the exit code in it."""
    done = await check(client, config, "--json", *arguments)
    assert "" == done.stderr
    return {"code": done.returncode, **json.loads(done.stdout)}


def key_in(document: Any, key_id: str) -> Any:
    (found,) = (one for one in document["keys"] if one["id"] == key_id)
    return found


async def test_a_server_without_runs_needs_no_old_key(client: Client, config: Config) -> None:
    """The key that encrypts is needed, the one before is not; the code is about those named."""
    ancient, active = await ids(config)
    found = await document(client, config, ancient)
    assert (0, "none") == (found["code"], key_in(found, ancient)["need"])
    assert ("seals", True) == (key_in(found, active)["need"], key_in(found, active)["needed"])
    assert 3 == (await document(client, config, ancient, active))["code"]
    assert 0 == (await document(client, config))["code"]


async def test_runs_of_its_time_may_need_a_key(client: Client, config: Config) -> None:
    """An open run that began before the key was replaced, and a closed one that is kept."""
    ancient, before = await ids(config)
    begun = time.time()
    for name in ("open", "closed"):
        await start(client, await sealed(config, before), name)
    await client.get_workflow_handle("closed").terminate()
    await retire(config)
    await counted(client, 2)
    found = await document(client, config, before)
    one = key_in(found, before)
    assert (3, "possible", True) == (found["code"], one["need"], one["needed"])
    assert (1, 1, None) == (one["runs_open"], one["runs_closed"], one["free_at"])
    assert "none" == key_in(found, ancient)["need"]
    (kept,) = found["namespaces"]
    assert (1, 1, DAY) == (kept["runs_open"], kept["runs_closed"], kept["retention"])
    oldest = time.strptime(kept["oldest_open"], "%Y-%m-%dT%H:%M:%SZ")
    assert abs(begun - time.mktime(oldest) + time.timezone) < 3

    await client.get_workflow_handle("open").terminate()
    while (await client.count_workflows("CloseTime IS NULL")).count:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.05)
    closed = key_in(await document(client, config, before), before)
    assert (0, 2) == (closed["runs_open"], closed["runs_closed"])
    free = time.mktime(time.strptime(closed["free_at"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert abs(time.time() + DAY - free) < 60, "a day after the last run can have ended"


async def test_a_scan_counts_payloads_and_proves_absence(client: Client, config: Config) -> None:
    """Of two keys with runs of their time, the one that is in a payload is needed."""
    _, used = await ids(config)
    await start(client, await sealed(config, used), "one")
    await retire(config)
    unused = (await ids(config))[-1]
    await retire(config)
    await counted(client, 1)
    by_time = await document(client, config, used, unused)
    assert ["possible"] * 2 == [key_in(by_time, key_id)["need"] for key_id in (used, unused)]
    assert not by_time["proof"]
    found = await document(client, config, unused, "--scan")
    assert (0, True, 1) == (found["code"], found["proof"], found["read"])
    assert "none" == key_in(found, unused)["need"]
    assert ("found", 1) == (key_in(found, used)["need"], key_in(found, used)["payloads"])
    assert 3 == (await document(client, config, used, "--scan"))["code"]


async def test_what_a_run_inherited_is_seen_by_a_scan(client: Client, config: Config) -> None:
    """A run that began long after the key was replaced may still hold a payload of it."""
    ancient, _ = await ids(config)
    await start(client, await sealed(config, ancient), "cron", cron_schedule="0 3 * * *")
    await counted(client, 1)
    assert 0 == (await document(client, config, ancient))["code"]
    told = await check(client, config, ancient)
    assert "cron, retry or continue-as-new run" in " ".join(told.stderr.split())
    found = await document(client, config, ancient, "--scan")
    assert (3, "found") == (found["code"], key_in(found, ancient)["need"])


async def test_the_arguments_of_schedules_are_read(client: Client, config: Config) -> None:
    """Also without a scan of histories, for they are older than every run that they start."""
    ancient, _ = await ids(config)
    await schedule(client, await sealed(config, ancient))
    while not [one async for one in await client.list_schedules()]:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.05)
    found = await document(client, config, ancient)
    assert (3, "found", 1) == (
        found["code"],
        key_in(found, ancient)["need"],
        key_in(found, ancient)["payloads"],
    )


async def test_dictionaries_need_the_key_that_seals_them(client: Client, config: Config) -> None:
    """Until they are sealed with the present one."""
    _, used = await ids(config)
    file = config.keyring.path.with_name("sealwire.toml")
    chain = '[[codec]]\ntype = "compression"\ndictionaries = "dictionaries.json"\n'
    file.write_text(f'{file.read_text()}{chain}[[codec]]\ntype = "encryption"\n')
    store = FileKeyringStore(file.with_name("dictionaries.json"))
    dictionaries = DictionaryAdmin(store, config.loaded_keyring)
    await dictionaries.create()
    samples: list[Any] = [
        b'{"order": "%d", "name": "%d"}' % (n, n * 7919 % 9999) for n in range(2000)
    ]
    trained = zstandard.train_dictionary(4096, samples, dict_id=40_000)
    await dictionaries.add(trained.as_bytes(), delay=0.0)
    await retire(config)
    found = key_in(await document(client, config, used), used)
    assert ("found", 1, 0) == (found["need"], found["dictionaries"], found["payloads"])
    told = await check(client, config)
    assert "yes: 1 dictionary" in " ".join(told.stdout.replace("│", " ").split())
    await config.loaded_keyring.refresh()
    await dictionaries.reseal()
    assert "none" == key_in(await document(client, config, used), used)["need"]


async def test_a_scan_with_a_limit_proves_nothing(client: Client, config: Config) -> None:
    """What was not read is counted, and a key of that time stays possible."""
    _, used = await ids(config)
    await retire(config)
    unused = (await ids(config))[-1]
    for name in ("one", "two"):
        await start(client, await sealed(config, used), name)
    await retire(config)
    await counted(client, 2)
    found = await document(client, config, unused, "--scan", "--limit", "1")
    assert (3, False, 1, 1) == (found["code"], found["proof"], found["read"], found["unread"])
    assert "possible" == key_in(found, unused)["need"]


async def test_tables_fit_a_terminal_and_hide_what_may_be_a_key(
    client: Client, config: Config
) -> None:
    """80 columns; of an id that may be the key itself, only the beginning is shown."""
    _, used = await ids(config)
    value = await sealed(config, used)
    value.payload.metadata["encryption-key-id"] = JAVA_ID.encode()
    await start(client, value, "java")
    await counted(client, 1)
    done = await check(client, config, used, "--scan")
    assert 3 == done.returncode
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "yes: it may encrypt" in " ".join(done.stdout.split())
    assert "payloads that name a key which this keyring lacks: 1" in done.stderr
    assert JAVA_ID not in done.stdout + done.stderr
    place = f"one in the workflow java of {client.namespace}"
    assert f"  'test' and 28 more characters: 1 payload, {place}\n" in done.stderr


async def test_keys_that_the_keyring_lacks_are_named(client: Client, config: Config) -> None:
    """With the number of payloads, and a workflow or schedule that has one."""
    _, used = await ids(config)
    value = await sealed(config, used)
    value.payload.metadata["encryption-key-id"] = b"2020-01-01-lost"
    await start(client, value, "first")
    await start(client, value, "second")
    value.payload.metadata["encryption-key-id"] = b"2020-01-01-later"
    await schedule(client, value)
    await counted(client, 2)
    while not [one async for one in await client.list_schedules()]:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.05)
    found = await document(client, config, "--scan")
    assert (3, 2) == (found["unknown_keys"], found["unknown_key_ids"])
    lost, later = found["unknown"]
    assert ("2020-01-01-lost", 2) == (lost["id"], lost["payloads"])
    assert lost["example"]["namespace"] == client.namespace
    assert lost["example"]["workflow"] in ("first", "second")
    assert {"namespace": client.namespace, "schedule": "nightly"} == later["example"]
    told = (await check(client, config, "--scan")).stderr
    assert "2020-01-01-lost: 2 payloads, one in the workflow" in told
    assert f"1 payload, one in the schedule nightly of {client.namespace}" in told


async def test_several_namespaces_are_added_up(client: Client, config: Config) -> None:
    """A key is needed if one of the namespaces needs it."""
    _, used = await ids(config)
    await start(client, await sealed(config, used), "one")
    await retire(config)
    await counted(client, 1)
    names = (NAMESPACES[-1], client.namespace)
    options = [item for name in names for item in ("--namespace", name)]
    found = await document(client, config, used, *options)
    assert (3, list(names)) == (found["code"], [item["namespace"] for item in found["namespaces"]])
    assert 0 == (await document(client, config, used, *options[:2]))["code"]


async def test_without_another_namespace_it_is_that_of_temporals_tools(
    client: Client, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration's comes before it, and what the command line names before both."""
    monkeypatch.setenv("TEMPORAL_NAMESPACE", NAMESPACES[-1])
    other = NAMESPACES[-2]

    async def asked(*arguments: str) -> list[str]:
        found = await document(client, config, *arguments)
        return [item["namespace"] for item in found["namespaces"]]

    assert [client.namespace] == await asked()
    assert [other] == await asked("--namespace", other)
    file = config.keyring.path.with_name("sealwire.toml")
    file.write_text(file.read_text().partition("\n")[2])
    assert [NAMESPACES[-1]] == await asked()
    assert [other] == await asked("--namespace", other)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nobody",), "no key 'nobody': `sealwire keys list`"),
        (("--namespace", "nowhere"), "Namespace nowhere is not found; check --namespace"),
        (("--address", "127.0.0.1:{closed}"), "name another one with --address"),
        (("--profile", "nobody"), "has no profile 'nobody': add it to temporal.toml, or name"),
        (("--config", "none.toml"), "`sealwire keys init` makes one"),
    ],
)
async def test_a_question_that_cannot_be_asked_names_the_next_step(
    client: Client, config: Config, arguments: tuple[str, ...], told: str
) -> None:
    """The message is on stderr, and the exit code is 1: neither needed nor free."""
    done = await check(client, config, *(word.format(closed=free_port()) for word in arguments))
    assert (1, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr
    assert told in " ".join(done.stderr.split())
