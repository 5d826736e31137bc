"""`sealwire dict`, run as a user runs it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import stat
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from sealwire.codecs import CompressionCodec, Dictionaries
from sealwire.config import CompressionOptions, load_config
from sealwire.payload import Payload, Payloads

CONFIG = """\
namespace = "shop"

[[codec]]
type = "compression"
dictionaries = "dictionaries.json"

[[codec]]
type = "encryption"
"""


def sealwire(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sealwire", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        timeout=120,
    )


def succeed(folder: Path, *arguments: str) -> str:
    run = sealwire(folder, *arguments)
    assert 0 == run.returncode, run.stderr
    assert "" == run.stderr
    return run.stdout


def succeed_json(folder: Path, *arguments: str) -> Any:
    return json.loads(succeed(folder, *arguments, "--json"))


def fail(folder: Path, *arguments: str) -> str:
    run = sealwire(folder, *arguments)
    assert 1 == run.returncode, run.stdout
    assert "Traceback" not in run.stderr
    return run.stderr


def order(numbers: random.Random) -> dict[str, Any]:
    return {
        "order_id": f"ord-{numbers.randrange(10**9):09d}",
        "customer": {
            "name": numbers.choice(("Ada Lovelace", "Grace Hopper", "Alan Turing")),
            "email": f"user{numbers.randrange(10**5)}@example.com",
            "city": numbers.choice(("Berlin", "Paris", "Lisbon")),
        },
        "items": [
            {"sku": f"SKU-{numbers.randrange(10**4):04d}", "quantity": 1 + n} for n in (0, 1)
        ],
        "currency": "EUR",
        "payment": {"method": "card", "status": "authorized"},
    }


def orders(count: int, seed: int = 1) -> list[dict[str, Any]]:
    numbers = random.Random(seed)  # noqa: S311 - the same in every run
    return [order(numbers) for _ in range(count)]


def write_documents(folder: Path, values: list[Any]) -> Path:
    folder.mkdir()
    for number, value in enumerate(values):
        (folder / f"{number:03}.json").write_text(json.dumps(value))
    return folder


def as_json(payload: Payload) -> Any:
    return MessageToDict(payload)


def history(payloads: list[Payload]) -> dict[str, Any]:
    """The events of an execution, in the form in which the temporal command prints them."""
    return {
        "events": [
            {
                "eventId": str(number + 1),
                "eventType": "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED",
                "activityTaskScheduledEventAttributes": {
                    "activityType": {"name": "charge"},
                    "input": {"payloads": [as_json(payload)]},
                },
            }
            for number, payload in enumerate(payloads)
        ]
    }


def encoded(folder: Path, values: list[Any]) -> list[Payload]:
    return load_config(folder / "sealwire.toml").data_converter().encode_sync(values)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a keyring, and a configuration that names a document of dictionaries."""
    (tmp_path / "sealwire.toml").write_text(CONFIG)
    succeed(tmp_path, "keys", "init")
    return tmp_path


def states(folder: Path) -> dict[int, str]:
    return {
        item["id"]: item["state"] for item in succeed_json(folder, "dict", "list")["dictionaries"]
    }


def test_a_dictionary_is_trained_on_documents(shop: Path) -> None:
    """Orders of a folder give a pending dictionary in a private file, and the savings."""
    write_documents(shop / "orders", orders(120))
    made = succeed_json(shop, "dict", "train", "orders")
    assert (96, 24, {}) == (made["trained_on"], made["held_out"], made["left_out"])
    size = made["bytes"]
    assert size["dictionary"] < 0.6 * size["zstd"] <= 0.6 * size["plain"]
    assert made["worthwhile"]
    assert {made["dictionary"]: "pending"} == states(shop)
    assert 0o600 == stat.S_IMODE((shop / "dictionaries.json").stat().st_mode)
    assert b"Lovelace" not in (shop / "dictionaries.json").read_bytes()


def test_immediate_must_be_asked_for(shop: Path) -> None:
    """With --immediate the dictionary is used at once, and the older one only read any more."""
    write_documents(shop / "orders", orders(60))
    first = succeed_json(shop, "dict", "train", "orders", "--immediate")["dictionary"]
    assert {first: "active"} == states(shop)
    (payload,) = encoded(shop, orders(1, seed=2))
    assert len(payload.data) < 250
    second = succeed_json(shop, "dict", "train", "orders", "--immediate")["dictionary"]
    assert {first: "read-only", second: "active"} == states(shop)
    converter = load_config(shop / "sealwire.toml").data_converter()
    assert orders(1, seed=2) == converter.decode_sync([payload])


def test_a_dry_run_adds_nothing(shop: Path) -> None:
    """--dry-run shows what would be saved, also without a document in the configuration."""
    write_documents(shop / "orders", orders(60))
    (shop / "sealwire.toml").write_text("")
    shown = succeed(shop, "dict", "train", "orders", "--dry-run")
    assert "--dry-run" in shown
    assert re.search(r"zstd with the dictionary .* \d+\.\d .* \d+%", shown)
    assert 80 >= max(len(line) for line in shown.splitlines())
    assert not (shop / "dictionaries.json").exists()


def test_training_tells_what_comes_next(shop: Path) -> None:
    """The table fits 80 columns, and below it stand the id, the time, and who must have it."""
    write_documents(shop / "orders", orders(60))
    shown = succeed(shop, "dict", "train", "orders", "--size", "4096")
    table, _, told = shown.partition("dictionary ")
    assert 80 >= max(len(line) for line in table.splitlines())
    (found,) = states(shop)
    assert re.search(rf"dictionary {found}, \d+ bytes.* from \d{{4}}-\d\d-\d\dT", shown)
    assert "every process that reads must have the document" in told


def test_it_is_trained_on_a_sealed_history(shop: Path) -> None:
    """Payloads of a history are opened with the keyring; what is not sealed is left out."""
    succeed(shop, "dict", "init")
    sealed = encoded(shop, orders(80))
    planted = Payload(metadata={"encoding": b"json/plain"}, data=b'{"planted": true}')
    exported = history([*sealed, planted])
    exported["events"][0]["searchAttributes"] = {"indexedFields": {"City": as_json(planted)}}
    (shop / "history.json").write_text(json.dumps(exported))
    (shop / "two.json").write_text(json.dumps([history(sealed[:3]), history(sealed[3:6])]))
    made = succeed_json(shop, "dict", "train", "history.json", "two.json")
    assert 80 == made["trained_on"] + made["held_out"]
    assert {"UnencryptedPayloadError": 1} == made["left_out"]
    run = sealwire(shop, "dict", "train", "history.json", "--dry-run")
    assert 0 == run.returncode
    assert "1 were left out (UnencryptedPayloadError 1)" in run.stderr


def test_what_a_dictionary_compressed_trains_the_next_one(shop: Path) -> None:
    """A history that needs the present dictionaries is read with them."""
    write_documents(shop / "orders", orders(60))
    succeed(shop, "dict", "train", "orders", "--immediate")
    (shop / "history.json").write_text(json.dumps(history(encoded(shop, orders(60, seed=5)))))
    made = succeed_json(shop, "dict", "train", "history.json", "--dry-run")
    assert (60, {}) == (made["trained_on"] + made["held_out"], made["left_out"])


def test_a_folder_may_hold_payloads_of_every_form(shop: Path) -> None:
    """Serialized payloads, JSON ones, lists of them, and histories: sealed or not."""
    plain = [
        Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())
        for value in orders(50, seed=3)
    ]
    succeed(shop, "dict", "init")
    sealed = encoded(shop, orders(10, seed=4))
    folder = write_documents(shop / "mixed", [as_json(payload) for payload in plain[:20]])
    (folder / "many.json").write_text(
        json.dumps({"payloads": [as_json(item) for item in plain[20:40]]})
    )
    assert 20 == len(Payloads(payloads=plain[20:40]).payloads)
    for number, payload in enumerate([*plain[40:], *sealed[:5]]):
        (folder / f"{number}.bin").write_bytes(payload.SerializeToString())
    (folder / "history.json").write_text(json.dumps(history(sealed[5:])))
    (folder / ".hidden").write_text("no payload")
    made = succeed_json(shop, "dict", "train", "mixed", "--dry-run")
    assert (60, {}) == (made["trained_on"] + made["held_out"], made["left_out"])


def test_a_value_that_looks_like_a_payload_in_part_is_a_value(shop: Path) -> None:
    """A document with `metadata` of its own is trained on as the document that it is."""
    values = [
        {"metadata": {"encoding": "utf-8", "author": value["order_id"]}, "body": value}
        for value in orders(60)
    ]
    write_documents(shop / "documents", values)
    made = succeed_json(shop, "dict", "train", "documents", "--dry-run")
    assert made["bytes"]["plain"] > 200
    assert 60 == made["trained_on"] + made["held_out"]


def test_payloads_of_another_namespace_are_left_out_and_told(shop: Path) -> None:
    """When nothing can be opened, the error gives the first reason beside the number needed."""
    succeed(shop, "dict", "init")
    (shop / "history.json").write_text(json.dumps(history(encoded(shop, orders(60)))))
    (shop / "sealwire.toml").write_text(CONFIG.replace('namespace = "shop"\n', ""))
    told = fail(shop, "dict", "train", "history.json")
    assert "0 different payloads are too few" in told
    assert "60 were left out (ContextMismatchError 60)" in told
    assert "'shop'" in told
    arguments = ("dict", "train", "history.json", "--namespace", "shop", "--dry-run")
    assert {} == succeed_json(shop, *arguments)["left_out"]


def test_what_saves_nothing_is_not_added(shop: Path) -> None:
    """Where the numbers are poor they are shown, the exit code is 1, and nothing is written."""
    numbers = random.Random(7)  # noqa: S311 - the same in every run
    folder = write_documents(shop / "noise", [])
    for number in range(60):
        payload = Payload(metadata={"encoding": b"binary/plain"}, data=numbers.randbytes(300))
        (folder / f"{number}.bin").write_bytes(payload.SerializeToString())
    run = sealwire(shop, "dict", "train", "noise", "--json")
    assert 1 == run.returncode
    assert (False, None) == (
        json.loads(run.stdout)["worthwhile"],
        json.loads(run.stdout)["dictionary"],
    )
    assert "too little in common" in run.stderr
    assert not (shop / "dictionaries.json").exists()


def test_retire_leaves_the_one_before(shop: Path) -> None:
    """A retired dictionary writes no more, and what it wrote is still read."""
    write_documents(shop / "orders", orders(60))
    first, second = (
        succeed_json(shop, "dict", "train", "orders", "--immediate")["dictionary"] for _ in "ab"
    )
    stored = encoded(shop, orders(5))
    assert {"retired": second, "writer": first} == succeed_json(shop, "dict", "retire", str(second))
    assert {first: "active", second: "retired"} == states(shop)
    assert orders(5) == load_config(shop / "sealwire.toml").data_converter().decode_sync(stored)
    assert "without a dictionary" in succeed(shop, "dict", "retire", str(first))


def test_reseal_follows_the_keys(shop: Path) -> None:
    """After a rotation, `reseal` moves every dictionary to the new key, once."""
    write_documents(shop / "orders", orders(60))
    succeed(shop, "dict", "train", "orders", "--immediate")
    assert "nothing to do" in succeed(shop, "dict", "reseal")
    key = succeed_json(shop, "keys", "rotate", "--immediate")["key"]
    assert {"resealed": 1, "key": key} == succeed_json(shop, "dict", "reseal")
    assert {"resealed": 0, "key": key} == succeed_json(shop, "dict", "reseal")
    shown = succeed(shop, "dict", "list")
    assert key in shown
    assert 80 >= max(len(line) for line in shown.splitlines())


def test_init_makes_readers_ready(shop: Path) -> None:
    """After `init` there is a document that changes nothing, and `train` adds to it."""
    assert "there is no dictionaries.json; `sealwire dict init`" in fail(shop, "dict", "list")
    assert "dictionaries.json is made" in succeed(shop, "dict", "init")
    assert {} == states(shop)
    assert "already" in fail(shop, "dict", "init")
    values = orders(2)
    assert values == load_config(shop / "sealwire.toml").data_converter().decode_sync(
        encoded(shop, values)
    )
    write_documents(shop / "orders", orders(60))
    succeed(shop, "dict", "train", "orders")
    assert 1 == len(states(shop))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "none.json"), "cannot read none.json: No such file"),
        (("train", "empty"), "there are no files in the folder empty"),
        (("train", "sealwire.toml"), "there is no payload in sealwire.toml"),
        (("train", "few"), "3 different payloads are too few to train on: at least 50"),
        (("train", "few", "--size", "10"), "256 to 1048576 bytes, not 10"),
        (("train", "strange"), "there is no payload in strange/0.bin"),
        (("retire", "1000001"), "there is no dictionary 1000001; `sealwire dict list`"),
    ],
)
def test_an_error_names_the_next_step(shop: Path, arguments: tuple[str, ...], told: str) -> None:
    """Each goes to stderr in one line, with what was expected."""
    (shop / "empty").mkdir()
    write_documents(shop / "few", orders(3))
    (shop / "strange").mkdir()
    (shop / "strange" / "0.bin").write_bytes(b"\xff\xfe\xfd")
    assert told in fail(shop, "dict", *arguments)


@pytest.mark.parametrize(
    "command", [("init",), ("train", "x"), ("list",), ("retire", "1"), ("reseal",)]
)
def test_without_a_document_in_the_configuration_it_says_where(
    shop: Path, command: tuple[str, ...]
) -> None:
    """Every command names the line that the configuration lacks."""
    (shop / "sealwire.toml").write_text("")
    assert 'add dictionaries = "dictionaries.json"' in fail(shop, "dict", *command)


def test_all_chains_of_a_configuration_share_their_dictionaries(shop: Path) -> None:
    """`load_keys` loads the dictionaries, once for every chain that is built afterwards."""
    succeed(shop, "dict", "init")
    config = load_config(shop / "sealwire.toml")
    asyncio.run(config.load_keys())
    one, other = (config.codec("shop").codecs[0] for _ in "ab")
    assert isinstance(one, CompressionCodec)
    assert isinstance(one.dictionaries, Dictionaries)
    assert one.dictionaries.is_ready
    assert one is other


def test_the_configuration_has_every_option_of_the_codec() -> None:
    """What can be said in code about compression can be said in the file."""
    names = {item.name for item in fields(CompressionCodec) if item.init}
    assert names == {item.name for item in fields(CompressionOptions) if item.init}


def test_a_worker_without_its_document_does_not_start(shop: Path) -> None:
    """What the configuration names and nobody made is a fault at the start."""
    run = sealwire(shop, "serve", "--no-auth", "--port", "0")
    assert 1 == run.returncode
    assert "`sealwire dict init`" in run.stderr
