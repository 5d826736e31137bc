"""A key-encryption key in a token of SoftHSM."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pkcs11
import pytest

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError
from sealwire.keys import (
    FileKeyringStore,
    KeyringAdmin,
    KeyWrapper,
    LocalKeyWrapper,
    WrappedKeyProvider,
)
from sealwire.keys.pkcs11 import Pkcs11Wrapper
from sealwire.testing import KeyWrapperConformance

Leaks = Callable[..., list[str]]
PIN: Final = "user-pin-9310"
KEY: Final = bytes.fromhex("e3b4" * 16)
AES: Final = pkcs11.KeyType.AES


@pytest.fixture(scope="module")
def library(require_part: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, with a token of two keys that never leave it, and of some that do not fit."""
    found = require_part("softhsm")
    folder = tmp_path_factory.mktemp("softhsm")
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}\nlog.level = ERROR\n")
    # For good: the library reads it when it starts, once in a process.
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    for name in ("sealwire", "twin", "twin"):
        labelled = ("--label", name, "--pin", PIN)
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", *labelled, "--so-pin", "administrator"],
            check=True,
            capture_output=True,
        )
    token = pkcs11.lib(str(found)).get_token(token_label="sealwire")
    with token.open(rw=True, user_pin=PIN) as session:
        for label in ("orders", "other", "double", "double"):
            session.generate_key(AES, 256, label=label, store=True)
        mute = {pkcs11.Attribute.ENCRYPT: False, pkcs11.Attribute.DECRYPT: False}
        session.generate_key(AES, 256, label="mute", store=True, template=mute)
        session.generate_key(pkcs11.KeyType.DES3, label="des", store=True)
    return found


@pytest.fixture
def token_wrapper(library: Path) -> Pkcs11Wrapper:
    return Pkcs11Wrapper(library, "sealwire", "orders", pin=PIN)


class TestPkcs11Wrapper(KeyWrapperConformance):
    """The published contract: threads, event loops, cancelled calls, and both sides of a fork."""

    @pytest.fixture(autouse=True)
    def _library(self, library: Path) -> None:
        self.library = library

    def wrapper(self) -> KeyWrapper:
        return Pkcs11Wrapper(self.library, "sealwire", "orders", pin=PIN)

    def other(self) -> KeyWrapper:
        return Pkcs11Wrapper(self.library, "sealwire", "other", pin=PIN)

    def secrets(self) -> list[bytes]:
        return [PIN.encode()]


async def test_the_token_computes_aes_gcm(token_wrapper: Pkcs11Wrapper) -> None:
    """Nonce, ciphertext and tag, with label and tenant bound, as the documentation says."""
    wrapped = await token_wrapper.wrap(KEY, "shop")
    assert 12 + 32 + 16 == len(wrapped)
    assert wrapped[:12] != (await token_wrapper.wrap(KEY, "shop"))[:12]
    token = pkcs11.lib(str(token_wrapper.library)).get_token(token_label="sealwire")
    with token.open(user_pin=PIN) as session:
        key = session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label="orders")
        assert isinstance(key, pkcs11.DecryptMixin)
        binding = b"sealwire/pkcs11-v1\x00shop"
        parameters = pkcs11.GCMParams(wrapped[:12], binding, 128)
        found = key.decrypt(
            wrapped[12:], mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameters
        )
    assert KEY == found


async def test_the_name_is_a_uri(token_wrapper: Pkcs11Wrapper) -> None:
    """Characters that would end a part of it are encoded."""
    assert "pkcs11:token=sealwire;object=orders;type=secret-key" == await token_wrapper.name()
    odd = replace(token_wrapper, token_label="a;b=c/é", key_label="../x%00'")
    assert (
        "pkcs11:token=a%3Bb%3Dc%2F%C3%A9;object=..%2Fx%2500%27;type=secret-key" == await odd.name()
    )


async def test_it_opens_a_keyring(
    token_wrapper: Pkcs11Wrapper, store: FileKeyringStore, tmp_path: Path
) -> None:
    """Alone, or while another key-encryption key is lost."""
    spare = LocalKeyWrapper(tmp_path / "spare.key")
    spare.create()
    key = await KeyringAdmin(store, (spare, token_wrapper)).create()
    spare.path.unlink()
    for wrapper in (token_wrapper, (spare, token_wrapper)):
        found = await WrappedKeyProvider(store, wrapper).snapshot("default")
        assert [key.check_value] == [one.check_value for one in found.keys]


async def test_a_wrong_pin_is_tried_once(
    token_wrapper: Pkcs11Wrapper, tmp_path: Path, leaks: Leaks
) -> None:
    """A refresh every minute would lock the token; a new PIN in the file is tried."""
    file = tmp_path / "pin"
    file.touch(0o600)
    file.write_text("wrong-pin-4711\n")
    by_file = replace(token_wrapper, pin=None, pin_file=file)
    with pytest.raises(ConfigurationError, match=r"does not accept the PIN$") as caught:
        await by_file.wrap(KEY, "shop")
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), KEY, b"wrong-pin-4711")
    with pytest.raises(ConfigurationError, match="not tried again"):
        await by_file.wrap(KEY, "shop")
    file.write_text(PIN + "\n")
    assert KEY == await by_file.unwrap(await by_file.wrap(KEY, "shop"), "shop")
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        await by_file.wrap(KEY, "shop")
    file.unlink()
    with pytest.raises(KeyProviderUnavailableError, match="pin does not exist"):
        await by_file.wrap(KEY, "shop")


async def test_a_pin_can_come_from_a_function(token_wrapper: Pkcs11Wrapper) -> None:
    """It is asked for each call."""
    asked: list[str] = []

    def pin() -> str:
        asked.append(PIN)
        return PIN

    calling = replace(token_wrapper, pin=pin)
    assert KEY == await calling.unwrap(await calling.wrap(KEY, "shop"), "shop")
    assert 2 == len(asked)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"token_label": "absent"}, KeyProviderUnavailableError, "the token 'absent' is not there"),
        ({"token_label": "twin"}, ConfigurationError, "more than one of the token 'twin'"),
        ({"key_label": "absent"}, ConfigurationError, "has 0 secret keys 'absent'"),
        ({"key_label": "double"}, ConfigurationError, "has 2 secret keys 'double'"),
        ({"key_label": "mute"}, ConfigurationError, "CKA_ENCRYPT and CKA_DECRYPT"),
        ({"key_label": "des"}, ConfigurationError, "with 'des' and AES-GCM"),
        ({"library": Path("/nowhere/lib.so")}, ConfigurationError, "cannot load the PKCS#11"),
        ({"library": Path(__file__)}, ConfigurationError, "cannot load the PKCS#11"),
    ],
)
async def test_what_does_not_fit_is_told(
    changed: dict[str, Any],
    error: type[Exception],
    message: str,
    token_wrapper: Pkcs11Wrapper,
    leaks: Leaks,
) -> None:
    """Token, key and library each have their message, without key or PIN."""
    with pytest.raises(error, match=message) as caught:
        await replace(token_wrapper, **changed).wrap(KEY, "shop")
    assert not leaks(caught.value.with_traceback(caught.tb.tb_next), KEY, PIN.encode())
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pin": None}, "exactly one of pin and pin_file"),
        ({"pin_file": Path("x")}, "exactly one of pin and pin_file"),
        ({"token_label": ""}, "token_label must be 1 to 32 bytes"),
        ({"token_label": "x" * 33}, "token_label must be 1 to 32 bytes"),
        ({"key_label": "a\x00"}, "key_label must be 1 to 255 bytes of printable"),
        ({"key_label": "a\n"}, "key_label must be 1 to 255 bytes of printable"),
    ],
)
def test_parameters_that_cannot_be_are_refused(parameters: dict[str, Any], message: str) -> None:
    """When the wrapper is made."""
    good: dict[str, Any] = {"token_label": "sealwire", "key_label": "orders", "pin": PIN}
    with pytest.raises(ConfigurationError, match=message):
        Pkcs11Wrapper(Path("/usr/lib/x.so"), **{**good, **parameters})


def test_the_package_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where python-pkcs11 is missing, the message says what to install."""
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sealwire\[pkcs11\]'"):
        Pkcs11Wrapper(Path("/usr/lib/x.so"), "sealwire", "orders", pin=PIN)


async def test_another_part_of_the_program_may_use_the_token(
    token_wrapper: Pkcs11Wrapper,
) -> None:
    """Its session makes the login fail, and is still logged in afterwards."""
    token = pkcs11.lib(str(token_wrapper.library)).get_token(token_label="sealwire")
    with token.open(user_pin=PIN) as session:
        assert KEY == await token_wrapper.unwrap(await token_wrapper.wrap(KEY, "shop"), "shop")
        assert session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label="orders")


async def test_a_call_that_does_not_end_is_told(
    token_wrapper: Pkcs11Wrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for another call's library gives up in time."""
    monkeypatch.setattr("sealwire.keys.pkcs11._WAIT", 0.01)
    held = threading.Lock()
    monkeypatch.setattr("sealwire.keys.pkcs11._LOCKS", {os.getpid(): held})
    with held, pytest.raises(KeyProviderUnavailableError, match="another call"):
        await token_wrapper.wrap(KEY, "shop")


def test_a_lock_that_a_parent_holds_does_not_stop_its_child(
    token_wrapper: Pkcs11Wrapper, tmp_path: Path
) -> None:
    """A fork in the middle of a call leaves the child with a lock of its own."""
    program = f"""
import asyncio, os, sys
from pathlib import Path
from sealwire.keys import pkcs11
library = Path({str(token_wrapper.library)!r})
wrapper = pkcs11.Pkcs11Wrapper(library, "sealwire", "orders", pin={PIN!r})
wrapped = asyncio.run(wrapper.wrap(b"k" * 32, "shop"))
pkcs11._LOCKS[os.getpid()].acquire()
child = os.fork()
if child == 0:
    try:
        os._exit(0 if asyncio.run(wrapper.unwrap(wrapped, "shop")) == b"k" * 32 else 1)
    finally:
        os._exit(2)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], timeout=60, check=False, cwd=tmp_path
    )
    assert 0 == run.returncode
