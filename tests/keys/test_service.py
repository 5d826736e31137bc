"""What the wrappers of key services share: patience, and addresses that keys may be sent to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError
from sealwire.keys.service import Patience, Question, check_endpoint, spelled

Leaks = Callable[..., list[str]]
KEY = bytes.fromhex("8d7c6b5a49382716" * 4)


def explain(err: Exception) -> SealwireError:
    return ConfigurationError(f"fails with {type(err).__name__}")


async def error_of(ask: Callable[[bytes, str], bytes]) -> SealwireError:
    """The error of asking so for a key, three times at most."""
    question = Question(ask, explain, KEY, "shop")
    try:
        await Patience("the service", 5.0, 2).ask(question)
    except SealwireError as err:
        return err
    raise AssertionError("it did not fail")


async def test_only_an_outage_is_tried_again() -> None:
    """A refusal is final, however many retries there are; an outage has all of them."""
    calls: list[str] = []

    def unavailable(key: bytes, tenant: str) -> bytes:
        calls.append(tenant)
        raise KeyProviderUnavailableError("down")

    def refused(key: bytes, tenant: str) -> bytes:
        calls.append(tenant)
        raise ConfigurationError("never")

    assert "down" == str(await error_of(unavailable))
    assert ["shop"] * 3 == calls
    assert "never" == str(await error_of(refused))
    assert ["shop"] * 4 == calls


async def test_an_error_shows_nothing_of_the_call(leaks: Leaks) -> None:
    """Neither our own error nor a foreign one leads to the frames in which the key was."""

    def own(key: bytes, tenant: str) -> bytes:
        raise ConfigurationError("never")

    def foreign(key: bytes, tenant: str) -> bytes:
        raise ZeroDivisionError(key.hex())

    error = await error_of(foreign)
    assert "fails with ZeroDivisionError" == str(error)
    for shown in (error, await error_of(own), repr(Question(own, explain, KEY, "shop"))):
        assert [] == leaks(shown, KEY)


@pytest.mark.parametrize("retries", [0, 1])
async def test_the_event_loop_goes_on_while_a_client_blocks(retries: int) -> None:
    """A call that waits for the loop itself comes back: it is in a thread of its own."""
    loop = asyncio.get_running_loop()

    def ask(key: bytes, tenant: str) -> bytes:
        return asyncio.run_coroutine_threadsafe(asyncio.sleep(0, key), loop).result(5.0)

    question = Question(ask, explain, KEY, "shop")
    assert KEY == await Patience("the service", 5.0, retries).ask(question)


@pytest.mark.parametrize(
    "url",
    [
        "https://kms.example.com",
        "https://kms.example.com:8443/path",
        "http://127.0.0.1:5000",
        "http://localhost:5000/",
        "http://[::1]:5000",
    ],
)
def test_tls_and_this_machine_are_accepted(url: str) -> None:
    """Keys go over TLS, or do not leave the machine."""
    check_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "kms.example.com",
        "https://",
        "https://kms.example.com:port",
        "https://[::1",
        "ftp://127.0.0.1",
        "https://kms.example.com\n",
        "https://kms.example.com\x00",
        "https://kms.example.com /",
        "http://kms.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "https://user:secret@kms.example.com",
        "https://kms.example.com/?key=secret",
        "https://kms.example.com/#secret",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """The message says what is wrong, and does not repeat what may be a secret."""
    with pytest.raises(ConfigurationError, match="the endpoint must") as caught:
        check_endpoint(url)
    assert "secret" not in str(caught.value)


def test_a_tenant_is_spelled_so_that_no_two_are_alike() -> None:
    """Plain names stay as they are; all others are percent-encoded, `%` too."""
    tenants = ["shop", "a/b:c@d.e_f-g~h", "a b", "a%20b", "é", "e\u0301", "\ud800", "x\x00", "X"]
    spellings = [spelled(tenant) for tenant in tenants]
    assert tenants[:2] == spellings[:2]
    assert len(set(spellings)) == len(tenants)
    assert all(text.isascii() and text.isprintable() for text in spellings)
