"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealwire.cli.demo import Row, verdict
from sealwire.config import load_config
from sealwire.payload import Payload


def sealwire(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sealwire", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", **environment},
        timeout=120,
    )


def succeed(folder: Path, *arguments: str) -> str:
    run = sealwire(folder, *arguments)
    assert 0 == run.returncode, run.stderr
    assert "" == run.stderr
    return run.stdout


def succeed_json(folder: Path, *arguments: str) -> Any:
    return json.loads(succeed(folder, *arguments, "--json"))


def test_init_makes_a_keyring_and_a_configuration(tmp_path: Path) -> None:
    """After `keys init` there are three files, the secret ones private, and one active key."""
    shown = succeed(tmp_path, "keys", "init", "--namespace", "payments")
    assert all(name in shown for name in ("sealwire.toml", "keyring.json", "keyring.key"))
    for name in ("keyring.json", "keyring.key"):
        assert 0o600 == stat.S_IMODE((tmp_path / name).stat().st_mode)
    assert 'namespace = "payments"' in (tmp_path / "sealwire.toml").read_text()
    (key,) = succeed_json(tmp_path, "keys", "list")["keys"]
    assert ("active", "sealed-v1") == (key["state"], key["suite"])


def test_init_never_overwrites(tmp_path: Path) -> None:
    """A second `keys init` fails, says what to do, and changes nothing."""
    succeed(tmp_path, "keys", "init")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run = sealwire(tmp_path, "keys", "init")
    assert 1 == run.returncode
    assert "" == run.stdout
    assert "keys rotate" in run.stderr
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before == {name: after[name] for name in before}


def test_init_keeps_a_configuration_that_is_there(tmp_path: Path) -> None:
    """With a configuration file, the keyring is made where the file says."""
    text = '[keyring]\npath = "secret/ring.json"\nkey_file = "secret/ring.key"\n'
    (tmp_path / "sealwire.toml").write_text(text)
    (tmp_path / "secret").mkdir()
    made = succeed_json(tmp_path, "keys", "init")
    assert text == (tmp_path / "sealwire.toml").read_text()
    assert (tmp_path / "secret" / "ring.json").exists()
    assert made["keyring"].endswith("secret/ring.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", 'add the line namespace = "payments" above its first table'),
        (
            'namespace = "billing"\n',
            "its namespace is 'billing'; change that to namespace = \"payments\"",
        ),
    ],
)
def test_init_does_not_pass_over_a_namespace(tmp_path: Path, text: str, told: str) -> None:
    """A configuration that is there is not changed: what to write is said, and nothing is made."""
    file = tmp_path / "sealwire.toml"
    file.write_text(text)
    run = sealwire(tmp_path, "keys", "init", "--namespace", "payments")
    assert (1, "") == (run.returncode, run.stdout)
    assert told in run.stderr
    assert [file] == list(tmp_path.iterdir())
    file.write_text('namespace = "payments"\n')
    succeed(tmp_path, "keys", "init", "--namespace", "payments")


@pytest.mark.parametrize("namespace", ["", " "])
def test_init_refuses_an_empty_namespace(tmp_path: Path, namespace: str) -> None:
    """Whoever passes a variable that is not set gets no configuration without a namespace."""
    run = sealwire(tmp_path, "keys", "init", "--namespace", namespace)
    assert (2, "") == (run.returncode, run.stdout)
    assert "a namespace is not empty" in run.stderr
    assert [] == list(tmp_path.iterdir())


def test_rotate_adds_a_key_that_waits(tmp_path: Path) -> None:
    """A new key is pending for an hour; with --immediate it is active, and the old one reads."""
    first = succeed_json(tmp_path, "keys", "init")["key"]
    second = succeed_json(tmp_path, "keys", "rotate")["key"]
    states = {key["id"]: key["state"] for key in succeed_json(tmp_path, "keys", "list")["keys"]}
    assert {first: "active", second: "pending"} == states
    third = succeed_json(tmp_path, "keys", "rotate", "--immediate")["key"]
    states = {key["id"]: key["state"] for key in succeed_json(tmp_path, "keys", "list")["keys"]}
    assert "active" == states[third]
    assert "decrypt-only" == states[first]


def test_rotate_if_older_than_is_idempotent(tmp_path: Path) -> None:
    """A cron job that rotates keys older than 90 days does nothing to a young one."""
    first = succeed_json(tmp_path, "keys", "init")["key"]
    result = succeed_json(tmp_path, "keys", "rotate", "--if-older-than", "90d")
    assert (first, False) == (result["key"], result["rotated"])
    assert "nothing to do" in succeed(tmp_path, "keys", "rotate", "--if-older-than", "90d")
    result = succeed_json(tmp_path, "keys", "rotate", "--if-older-than", "0s")
    assert result["rotated"]


def test_tables_fit_80_columns(tmp_path: Path) -> None:
    """No line of a table is longer than 80 characters, and no key id is broken."""
    key = succeed_json(tmp_path, "keys", "init")["key"]
    succeed(tmp_path, "keys", "rotate", "--immediate")
    withdraw = ("keys", "schedule-destruction", key, "--even-if-in-use")
    for shown in (succeed(tmp_path, *withdraw), succeed(tmp_path, "keys", "list")):
        assert 80 >= max(len(line) for line in shown.splitlines())
        assert key in shown
        assert "destroy-scheduled" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("keys", "list"), 1, "sealwire keys init"),
        (("keys", "rotate", "--if-older-than", "soon"), 1, "sealwire keys init"),
        (("keys", "list", "--config", "other.toml"), 1, "there is no other.toml"),
        (("keys", "nothing"), 2, "No such command"),
        (("serve", "--port", "many"), 2, "--port"),
    ],
)
def test_an_error_goes_to_stderr(
    tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    """What went wrong and what to do next is on stderr, without a traceback; stdout is empty."""
    run = sealwire(tmp_path, *arguments)
    assert (code, "") == (run.returncode, run.stdout)
    assert told in run.stderr
    assert "Traceback" not in run.stderr


def test_a_wrong_duration_is_refused(tmp_path: Path) -> None:
    """A duration without a unit is refused with an example."""
    succeed(tmp_path, "keys", "init")
    run = sealwire(tmp_path, "keys", "rotate", "--if-older-than", "90")
    assert 2 == run.returncode
    assert "90d" in run.stderr


def test_serve_asks_for_a_token(tmp_path: Path) -> None:
    """Without a token, `serve` names the three ways out and does not start."""
    succeed(tmp_path, "keys", "init")
    run = sealwire(tmp_path, "serve", "--port", "0", SEALWIRE_TOKEN="")
    assert 1 == run.returncode
    assert all(word in run.stderr for word in ("token_file", "SEALWIRE_TOKEN", "--no-auth"))


def test_serve_without_a_token_stays_on_this_machine(tmp_path: Path) -> None:
    """`--no-auth` on an address that others reach is refused."""
    succeed(tmp_path, "keys", "init")
    run = sealwire(tmp_path, "serve", "--no-auth", "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert 1 == run.returncode
    assert "127.0.0.1" in run.stderr


def test_serve_logs_each_request(tmp_path: Path) -> None:
    """Route, status and time of a request are a line on stderr; who reads payloads is recorded."""
    succeed(tmp_path, "keys", "init")
    command = [sys.executable, "-m", "sealwire", "serve", "--no-auth", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            [url] = re.findall(r"http://127\.0\.0\.1:\d+", server.stderr.readline())[:1]
            urllib.request.urlopen(f"{url}/healthz", timeout=30).close()  # noqa: S310 - to 127.0.0.1
            logged = server.stderr.readline()
        finally:
            server.terminate()
    assert re.search(r"sealwire\.server GET /?healthz .* status=200 ms=", logged), logged


def test_help_lists_the_commands_in_the_order_of_use(tmp_path: Path) -> None:
    """A new user finds `init` first, and nothing that withdraws keys before `rotate`."""
    listed = re.findall(r"^│ ([a-z][a-z-]+) ", succeed(tmp_path, "keys", "--help"), re.MULTILINE)
    assert ["init", "list", "rotate", "promote"] == listed[:4]


def test_the_demo_shows_both_sides() -> None:
    """`sealwire demo` ends by itself with 0, having shown two keys, ciphertext and clear values."""
    run = sealwire(Path(__file__).parent, "demo")
    assert 0 == run.returncode, run.stdout + run.stderr
    assert "Ada Lovelace" in run.stdout.replace("\n", " ")
    keys = set(re.findall(r"key (\d{4}-\d\d-\d\d-[0-9a-f]{8})", run.stdout))
    assert 2 == len(keys)
    assert re.search(r"demo finished in \d+\.\d s", run.stdout)
    assert "sealwire demo --keep" in run.stderr
    assert "workflows/payment-1" not in run.stdout, "nobody answers there any more"
    assert 80 >= max(len(line) for line in run.stdout.splitlines())


def test_a_demo_that_is_kept_can_be_looked_at() -> None:
    """With `--keep`, the address that it shows answers, until it is interrupted."""
    command = [sys.executable, "-m", "sealwire", "demo", "--keep"]
    environment = {**os.environ, "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=PIPE, stderr=DEVNULL, text=True, env=environment) as run:
        try:
            assert run.stdout is not None
            lines = (re.search(r"http://\S+/workflows/payment-1", line) for line in run.stdout)
            url = next(found.group() for found in lines if found)
            with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own
                assert 200 == answer.status
        finally:
            run.send_signal(signal.SIGINT)
    assert 0 == run.returncode


def test_what_the_demo_needs_is_named() -> None:
    """Where a package is missing, the extra for the whole demo is named, and no part of it."""
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['sealwire', 'demo'];"
        "from sealwire.__main__ import main; sys.exit(main())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 1 == run.returncode
    assert "pip install 'sealwire[demo]'" in run.stderr.replace("\n", " ")


def test_the_demo_fails_when_something_leaks(capsys: pytest.CaptureFixture[str]) -> None:
    """A secret in what the server stores, or a payload that is not sealed, gives exit code 1."""
    sealed = [
        Row(
            "input",
            Payload(metadata={"encoding": b"binary/sealed-v1", "encryption-key-id": key}),
            1,
        )
        for key in (b"old", b"new")
    ]
    plain = Row("memo", Payload(metadata={"encoding": b"json/plain"}), 1)
    assert 0 == verdict(sealed, set(), 1.0)
    assert 1 == verdict(sealed, {"Ada"}, 1.0)
    assert 1 == verdict([*sealed, plain], set(), 1.0)
    assert 1 == verdict(sealed[:1], set(), 1.0)
    assert 3 == capsys.readouterr().err.count("FAILED")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf8", "test-key-test-key-test-key-test!\n"),
        ("base64", "dGVzdC1rZXktdGVzdC1rZXktdGVzdC1rZXktdGVzdCE="),
        ("hex", b"test-key-test-key-test-key-test!".hex()),
    ],
)
def test_an_interop_key_is_imported(tmp_path: Path, encoding: str, text: str) -> None:
    """With an imported key and format = "interop", the samples' format is written and read."""
    succeed(tmp_path, "keys", "init")
    (tmp_path / "old.key").write_text(text)
    (tmp_path / "old.key").chmod(0o600)
    arguments = ("keys", "import", "test", "--encoding", encoding, "--file", "old.key")
    assert {"key": "test", "suite": "interop"} == succeed_json(tmp_path, *arguments)
    (tmp_path / "sealwire.toml").write_text('[[codec]]\ntype = "encryption"\nformat = "interop"\n')
    converter = load_config(tmp_path / "sealwire.toml").data_converter("default")
    (payload,) = converter.encode_sync(["x"])
    assert b"test" == payload.metadata["encryption-key-id"]
    cipher = AESGCM(b"test-key-test-key-test-key-test!")
    inner = Payload.FromString(cipher.decrypt(payload.data[:12], payload.data[12:], None))
    assert b'"x"' == inner.data
    assert ["x"] == converter.decode_sync([payload])
    states = [key["state"] for key in succeed_json(tmp_path, "keys", "list")["keys"]]
    assert ["active", "active"] == states  # one for each format


@pytest.mark.parametrize(
    ("arguments", "text", "told"),
    [
        (("a",), "too short", "not valid base64"),
        (("a", "--encoding", "hex"), "zz", "not valid hex"),
        (("a", "--encoding", "utf8"), "short", "16, 24 or 32"),
        (("a b", "--encoding", "utf8"), "0" * 32, "a key id is"),
        (("a", "--file", "none.key"), "", "there is no none.key"),
    ],
)
def test_a_wrong_key_is_not_imported(
    tmp_path: Path, arguments: tuple[str, ...], text: str, told: str
) -> None:
    """A key that is written otherwise, or has a wrong size, is refused and not shown."""
    succeed(tmp_path, "keys", "init")
    command = [sys.executable, "-m", "sealwire", "keys", "import", *arguments]
    run = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (1, "") == (run.returncode, run.stdout)
    assert told in run.stderr
    assert not text or text not in run.stderr
    assert 1 == len(succeed_json(tmp_path, "keys", "list")["keys"])
