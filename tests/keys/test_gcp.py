"""The Google wrapper: the real client against a gRPC server that keeps keys as Cloud KMS does."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.cloud.kms_v1 import DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError
from sealwire.keys import FileKeyringStore, Keyring, KeyringAdmin, KeyWrapper, WrappedKeyProvider
from sealwire.keys.gcp import GcpKmsWrapper
from sealwire.testing import KeyWrapperConformance
from sealwire.testing.clock import FakeClock

Leaks = Callable[..., list[str]]
KEY: Final = bytes.fromhex("8d7c6b5a49382716" * 4)
WRAPPED: Final = bytes.fromhex("c0ffee0ddba11dad" * 9)
RING: Final = "projects/shop-1/locations/europe-west3/keyRings/sealwire/cryptoKeys"
NAME: Final = f"{RING}/orders"
crc32c: Callable[[bytes], int] = import_module("google_crc32c").value


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


class RefusedError(Exception):
    """What the server says instead of an answer."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Kms:
    """Some keys, made when they are first used, and what is wrong with the service.

    Args:
        faults: The next refusals, in turn.
        damage: The names of fields of the answer whose value is changed on the way.
        damage_request: The name of a field of the request that is changed on the way.
        calls: The requests, in order.
        hold: Holds each call until it is set.
    """

    faults: list[grpc.StatusCode] = field(default_factory=list[grpc.StatusCode])
    damage: tuple[str, ...] = ()
    damage_request: str = ""
    calls: list[EncryptRequest | DecryptRequest] = field(
        default_factory=list[EncryptRequest | DecryptRequest]
    )
    keys: dict[str, AESGCM] = field(default_factory=dict[str, AESGCM])
    hold: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hold.set()

    def encrypt(self, request: EncryptRequest) -> EncryptResponse:
        key, binding = self._receive(request, "plaintext")
        nonce = os.urandom(12)
        ciphertext = nonce + key.encrypt(nonce, request.plaintext, binding)
        answer = {
            "name": f"{request.name}/cryptoKeyVersions/1",
            "ciphertext": ciphertext,
            "ciphertext_crc32c": crc32c(ciphertext),
            "verified_plaintext_crc32c": True,
            "verified_additional_authenticated_data_crc32c": True,
        }
        return EncryptResponse(**self._damaged(answer))

    def decrypt(self, request: DecryptRequest) -> DecryptResponse:
        key, binding = self._receive(request, "ciphertext")
        try:
            plaintext = key.decrypt(request.ciphertext[:12], request.ciphertext[12:], binding)
        except (InvalidTag, ValueError):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT) from None
        answer = {"plaintext": plaintext, "plaintext_crc32c": crc32c(plaintext)}
        return DecryptResponse(**self._damaged(answer))

    def _receive(self, request: Any, name: str) -> tuple[AESGCM, bytes]:
        """Check a request as Cloud KMS does, the checksums among others."""
        self.calls.append(request)
        self.hold.wait()
        if self.faults:
            raise RefusedError(self.faults.pop(0))
        if self.damage_request:
            damaged = flipped(getattr(request, self.damage_request))
            setattr(request, self.damage_request, damaged)
        for part in (name, "additional_authenticated_data"):
            if crc32c(getattr(request, part)) != getattr(request, f"{part}_crc32c"):
                raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT)
        key = self.keys.setdefault(request.name, AESGCM(os.urandom(32)))
        return key, request.additional_authenticated_data

    def _damaged(self, answer: dict[str, Any]) -> dict[str, Any]:
        for name in self.damage:
            value = answer[name]
            answer[name] = flipped(value) if isinstance(value, bytes) else value ^ 1
        return answer


def handler(kms: Kms) -> grpc.GenericRpcHandler:
    def serve(method: Callable[[Any], Any], request: Any, response: Any) -> Any:
        def answer(asked: Any, context: grpc.ServicerContext) -> Any:
            try:
                return method(asked)
            except RefusedError as err:
                context.abort(err.code, KEY.hex())

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=request.deserialize,
            response_serializer=response.serialize,
        )

    return grpc.method_handlers_generic_handler(
        "google.cloud.kms.v1.KeyManagementService",
        {
            "Encrypt": serve(kms.encrypt, EncryptRequest, EncryptResponse),
            "Decrypt": serve(kms.decrypt, DecryptRequest, DecryptResponse),
        },
    )


@pytest.fixture
def kms() -> Kms:
    return Kms()


@pytest.fixture
def wrapper(kms: Kms) -> Generator[GcpKmsWrapper]:
    """A wrapper that asks this service, once."""
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handler(kms),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield GcpKmsWrapper(NAME, endpoint=f"http://127.0.0.1:{port}", retries=0)
    kms.hold.set()
    server.stop(None).wait()


async def failure(call: Awaitable[bytes]) -> SealwireError:
    """The error of a call, with the frames from the call on."""
    try:
        await call
    except SealwireError as err:
        return err
    raise AssertionError("it did not fail")


class TestGcpKmsWrapper(KeyWrapperConformance):
    """The published contract."""

    @pytest.fixture(autouse=True)
    def _kms(self, wrapper: GcpKmsWrapper) -> None:
        self.made = wrapper

    def wrapper(self) -> KeyWrapper:
        return replace(self.made)

    def other(self) -> KeyWrapper:
        return replace(self.made, key_name=f"{RING}/payments")


async def test_a_keyring_is_made_rotated_and_read(
    kms: Kms, wrapper: GcpKmsWrapper, store: FileKeyringStore, clock: FakeClock
) -> None:
    """An administrator's changes are read by workers; when KMS is down, the cached keys go on."""
    admin = KeyringAdmin(store, wrapper, clock=clock)
    first = await admin.create()
    second = (await admin.rotate(delay=0.0)).key
    keyring = Keyring(WrappedKeyProvider(store, wrapper), clock=clock)
    await keyring.ready()
    assert second.id == keyring.encryption_key().id
    assert first.content_key == keyring.decryption_key(first.id).content_key

    kms.faults = [grpc.StatusCode.UNAVAILABLE] * 2
    with pytest.raises(KeyProviderUnavailableError, match="Google Cloud KMS"):
        await keyring.refresh()
    assert second.id == keyring.encryption_key().id
    with pytest.raises(KeyProviderUnavailableError, match="Google Cloud KMS"):
        await Keyring(WrappedKeyProvider(store, wrapper), clock=clock).ready()


async def test_the_keyring_of_another_tenant_is_refused(
    wrapper: GcpKmsWrapper, store: FileKeyringStore
) -> None:
    """A document that is relabelled for another tenant does not open with the same key."""
    await KeyringAdmin(store, wrapper, "shop").create()
    text = store.path.read_text(encoding="utf-8")
    store.path.write_text(text.replace('"tenant": "shop"', '"tenant": "bank"'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="for another tenant"):
        await WrappedKeyProvider(store, wrapper).snapshot("bank")


async def test_the_tenant_is_the_associated_data(kms: Kms, wrapper: GcpKmsWrapper) -> None:
    """Both calls name the key, and bind the tenant with a label, with a checksum of each part."""
    wrapped = await wrapper.wrap(KEY, "shöp")
    assert KEY == await wrapper.unwrap(wrapped, "shöp")
    assert [NAME, NAME] == [call.name for call in kms.calls]
    bindings = [call.additional_authenticated_data for call in kms.calls]
    assert [b"sealwire/gcp-wrapper-v1\x00sh\xc3\xb6p"] * 2 == bindings


async def test_what_is_logged_for_debugging_holds_no_key(
    wrapper: GcpKmsWrapper,
    leaks: Leaks,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither what is sent nor what is received, where all of Google's logging is turned on."""
    monkeypatch.setattr(logging.getLogger("google"), "propagate", True)
    caplog.set_level(logging.DEBUG, "google")
    assert KEY == await wrapper.unwrap(await wrapper.wrap(KEY, "shop"), "shop")
    logged = repr([vars(record) for record in caplog.records])
    assert "Created client" in logged
    assert [] == leaks(logged, KEY)


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ("ciphertext", "the answer of"),
        ("ciphertext_crc32c", "the answer of"),
        ("verified_plaintext_crc32c", "what was sent to"),
        ("verified_additional_authenticated_data_crc32c", "what was sent to"),
    ],
)
async def test_damage_on_the_way_is_noticed_when_wrapping(
    damaged: str, message: str, kms: Kms, wrapper: GcpKmsWrapper, leaks: Leaks
) -> None:
    """A flipped bit, or a checksum that the service did not see, makes the answer unusable."""
    kms.damage = (damaged,)
    error = await failure(wrapper.wrap(KEY, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert f"{message} Google Cloud KMS was damaged on the way" in str(error)
    assert [] == leaks(error, KEY)


@pytest.mark.parametrize("damaged", ["plaintext", "plaintext_crc32c"])
async def test_damage_on_the_way_is_noticed_when_unwrapping(
    damaged: str, kms: Kms, wrapper: GcpKmsWrapper, leaks: Leaks
) -> None:
    """A key with a flipped bit is not used, and not shown either."""
    wrapped = await wrapper.wrap(KEY, "shop")
    kms.damage = (damaged,)
    error = await failure(wrapper.unwrap(wrapped, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert "the answer of Google Cloud KMS was damaged" in str(error)
    assert [] == leaks(error, KEY, wrapped)


@pytest.mark.parametrize("part", ["plaintext", "additional_authenticated_data"])
async def test_damage_on_the_way_there_is_noticed(
    part: str, kms: Kms, wrapper: GcpKmsWrapper
) -> None:
    """A checksum goes with each part, so the service refuses what is not as it was sent."""
    kms.damage_request = part
    assert "refuses: InvalidArgument" in str(await failure(wrapper.wrap(KEY, "shop")))


CODES: Final = grpc.StatusCode
REFUSALS: Final = {
    CODES.FAILED_PRECONDITION: "FailedPrecondition; the version of the key is disabled",
    CODES.INVALID_ARGUMENT: "InvalidArgument; the keyring was wrapped by another key",
    CODES.NOT_FOUND: "NotFound; there is no such key",
    CODES.PERMISSION_DENIED: "PermissionDenied; grant cloudkms.cryptoKeyVersions.useToDecrypt",
    CODES.UNAUTHENTICATED: "Unauthenticated; the Google credentials",
    CODES.OUT_OF_RANGE: "OutOfRange; look the error up",
}


@pytest.mark.parametrize("code", REFUSALS, ids=str)
async def test_a_refusal_names_its_fix(
    code: grpc.StatusCode, kms: Kms, wrapper: GcpKmsWrapper, leaks: Leaks
) -> None:
    """What trying again does not change is an error of the set-up, with the class and the fix."""
    kms.faults = [code]
    error = await failure(replace(wrapper, retries=2).unwrap(WRAPPED, "shop"))
    assert isinstance(error, ConfigurationError)
    assert f"Google Cloud KMS refuses: {REFUSALS[code]}" in str(error)
    assert 1 == len(kms.calls)
    assert [] == leaks(error, KEY, WRAPPED)


async def test_the_permission_is_that_of_the_call(kms: Kms, wrapper: GcpKmsWrapper) -> None:
    """Whoever may not wrap is told of `useToEncrypt`."""
    kms.faults = [CODES.PERMISSION_DENIED]
    assert "grant cloudkms.cryptoKeyVersions.useToEncrypt" in str(
        await failure(wrapper.wrap(KEY, "shop"))
    )


@pytest.mark.parametrize(
    "code",
    [
        CODES.ABORTED,
        CODES.CANCELLED,
        CODES.DATA_LOSS,
        CODES.DEADLINE_EXCEEDED,
        CODES.INTERNAL,
        CODES.RESOURCE_EXHAUSTED,
        CODES.UNAVAILABLE,
        CODES.UNKNOWN,
    ],
    ids=str,
)
async def test_an_outage_can_be_retried(
    code: grpc.StatusCode, kms: Kms, wrapper: GcpKmsWrapper, leaks: Leaks
) -> None:
    """What may pass is told as an outage, after as many tries as were asked for."""
    kms.faults = [code] * 3
    error = await failure(replace(wrapper, retries=1).wrap(KEY, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert "Google Cloud KMS is not available at this moment" in str(error)
    assert 2 == len(kms.calls)
    assert [] == leaks(error, KEY)


async def test_a_short_outage_is_not_noticed(kms: Kms, wrapper: GcpKmsWrapper) -> None:
    """After a throttled and a failed try, the third one has the answer."""
    kms.faults = [CODES.RESOURCE_EXHAUSTED, CODES.UNAVAILABLE]
    await replace(wrapper, retries=2).wrap(KEY, "shop")
    assert 3 == len(kms.calls)


async def test_a_service_that_is_not_there_is_an_outage(leaks: Leaks) -> None:
    """Where nothing listens, the message says what to check."""
    wrapper = GcpKmsWrapper(NAME, endpoint="http://127.0.0.1:1", retries=0)
    for call in (wrapper.wrap(KEY, "shop"), wrapper.unwrap(WRAPPED, "shop")):
        error = await failure(call)
        assert isinstance(error, KeyProviderUnavailableError)
        assert "ServiceUnavailable; check that it can be reached" in str(error)
        assert [] == leaks(error, KEY, WRAPPED)


async def test_a_service_that_hangs_is_given_up(
    kms: Kms, wrapper: GcpKmsWrapper, leaks: Leaks
) -> None:
    """The timeout holds for all tries together, and nothing of the call is shown."""
    kms.hold.clear()
    error = await failure(replace(wrapper, timeout=0.2, retries=10).wrap(KEY, "shop"))
    assert isinstance(error, KeyProviderUnavailableError)
    assert [] == leaks(error, KEY)


async def test_missing_credentials_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there are no application default credentials, the message says so."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    for endpoint in (None, "https://kms.example.com"):
        error = await failure(GcpKmsWrapper(NAME, endpoint).wrap(KEY, "shop"))
        assert isinstance(error, ConfigurationError)
        assert "no valid Google credentials (DefaultCredentialsError)" in str(error)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "orders",
        f"{NAME}/cryptoKeyVersions/1",
        f"{NAME}/../payments",
        f"{NAME}\n",
        f"{NAME}\x00",
        f"{NAME}'",
        f"/{NAME}",
        f"{RING}/..",
        f"{RING}/{'x' * 64}",
    ],
)
def test_only_the_name_of_a_key_is_accepted(name: str) -> None:
    """A version would not outlive a rotation, and anything else is no key."""
    with pytest.raises(ConfigurationError, match="key_name must be projects/"):
        GcpKmsWrapper(name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"endpoint": "http://kms.example.com"}, "must begin with https://"),
        ({"endpoint": "kms.example.com"}, "must be a URL"),
        ({"endpoint": "https://kms.example.com/v1"}, "no path"),
        ({"timeout": 0.0}, "above 0"),
        ({"retries": 11}, "from 0 to 10"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    """A parameter out of its range is refused when the wrapper is made."""
    with pytest.raises(ConfigurationError, match=message):
        GcpKmsWrapper(NAME, **wrong)


@pytest.mark.parametrize("module", ["google.cloud.kms_v1", "google_crc32c"])
def test_a_missing_package_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Google's client, the message has the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sealwire\[gcp\]'"):
        GcpKmsWrapper(NAME)


async def test_it_is_named_and_shown_by_its_key(wrapper: GcpKmsWrapper) -> None:
    """The name is that of the key without a version; the text has no more than the parameters."""
    assert f"gcp-kms:{NAME}" == await wrapper.name()
    shown = f"GcpKmsWrapper(key_name='{NAME}', endpoint=None, timeout=10.0, retries=2)"
    assert shown == repr(GcpKmsWrapper(NAME))
