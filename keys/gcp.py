"""A key-encryption key in Google Cloud KMS; needs the extra `gcp`.

`wrap` is KMS's `Encrypt` and `unwrap` its `Decrypt`, with `"sealwire/gcp-wrapper-v1" ‖ 00 ‖ tenant`
as additional authenticated data. What is wrapped is KMS's ciphertext, unchanged. KMS finds the
version of the key by itself. A CRC32C goes with everything that is sent and received, as Google's
guide to data integrity asks: what was damaged on the way is asked for again, never used.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

from .service import Patience, Question, check_endpoint, hush, require

if TYPE_CHECKING:
    from google.cloud.kms_v1 import (
        DecryptRequest,
        DecryptResponse,
        EncryptRequest,
        EncryptResponse,
    )

_SERVICE: Final = "Google Cloud KMS"
# At the level DEBUG, its records hold what is sent and received.
_TALKATIVE: Final = "google.cloud.kms_v1.services.key_management_service.transports.grpc"
_LABEL: Final = b"sealwire/gcp-wrapper-v1\x00"
_NAME: Final = re.compile(
    r"projects/[a-z0-9.:-]+/locations/[a-z0-9-]+"
    r"/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}"
)
_FIXES: Final = {
    "FailedPrecondition": "the version of the key is disabled or destroyed, or the key is not one "
    "for encryption; `gcloud kms keys versions list` tells the state",
    "InvalidArgument": "the keyring was wrapped by another key or for another tenant, or was "
    "changed; name the key and the tenant that made it",
    "NotFound": "there is no such key; check its name and project",
    "PermissionDenied": "grant {permission} on this key to the service account, and see that the "
    "Cloud KMS API is enabled",
    "Unauthenticated": "the Google credentials are not valid or have expired; renew them",
}


class _Kms(Protocol):
    """What is used of Google's client, whose types are incomplete."""

    def encrypt(
        self, request: EncryptRequest, *, retry: None, timeout: float
    ) -> EncryptResponse: ...

    def decrypt(
        self, request: DecryptRequest, *, retry: None, timeout: float
    ) -> DecryptResponse: ...


@dataclass(frozen=True)
class GcpKmsWrapper:
    """A symmetric key in Google Cloud KMS, with the application default credentials.

    Args:
        key_name: `projects/…/locations/…/keyRings/…/cryptoKeys/…`, without a version.
        endpoint: Another address than `https://cloudkms.googleapis.com`, such as that of a
            private endpoint. With `http://`, for an emulator on this machine, no credentials
            are sent.
        timeout: Seconds for one call with its retries, at most 10.
        retries: How often to ask again when KMS is unreachable, throttles or fails, or when an
            answer was damaged.

    Raises:
        ConfigurationError: A parameter is wrong, or google-cloud-kms is not installed.
    """

    key_name: str
    endpoint: str | None = None
    timeout: float = 10.0
    retries: int = 2

    def __post_init__(self) -> None:
        require("gcp", "google.cloud.kms_v1", "google_crc32c")
        if not _NAME.fullmatch(self.key_name):
            raise ConfigurationError(
                "key_name must be projects/…/locations/…/keyRings/…/cryptoKeys/…, without a version"
            )
        if self.endpoint is not None:
            check_endpoint(self.endpoint)
            if urlsplit(self.endpoint).path.strip("/"):
                raise ConfigurationError("the endpoint must have no path")
        _ = self._patience

    async def name(self) -> str:
        """Return `gcp-kms:` and the name of the key."""
        return f"gcp-kms:{self.key_name}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key`; needs the permission `cloudkms.cryptoKeyVersions.useToEncrypt`.

        Raises:
            ConfigurationError: KMS refuses; the message says what to change.
            KeyProviderUnavailableError: KMS does not answer, throttles or fails, or what it
                received or sent was damaged on the way.
        """
        explain = partial(_explained, "cloudkms.cryptoKeyVersions.useToEncrypt")
        question = Question(self._encrypt, explain, key, tenant)
        del key  # a traceback may show the variables
        return await self._patience.ask(question)

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Decrypt what `wrap` gave; needs `cloudkms.cryptoKeyVersions.useToDecrypt`.

        Raises:
            ConfigurationError: It was wrapped by another key or for another tenant, or KMS
                refuses; the message says what to change.
            KeyProviderUnavailableError: KMS does not answer, throttles or fails, or what it
                received or sent was damaged on the way.
        """
        explain = partial(_explained, "cloudkms.cryptoKeyVersions.useToDecrypt")
        question = Question(self._decrypt, explain, wrapped, tenant)
        del wrapped
        return await self._patience.ask(question)

    @property
    def _patience(self) -> Patience:
        return Patience(_SERVICE, self.timeout, self.retries)

    def _encrypt(self, key: bytes, tenant: str) -> bytes:
        from google.cloud.kms_v1 import EncryptRequest

        binding = _binding(tenant)
        request = EncryptRequest(
            name=self.key_name,
            plaintext=key,
            plaintext_crc32c=_crc32c(key),
            additional_authenticated_data=binding,
            additional_authenticated_data_crc32c=_crc32c(binding),
        )
        with self._client() as client:
            answer = client.encrypt(request, retry=None, timeout=self.timeout)
        received = (
            answer.verified_plaintext_crc32c
            and answer.verified_additional_authenticated_data_crc32c
        )
        _check(received, "what was sent to")
        _check(_is_crc32c(answer.ciphertext_crc32c, answer.ciphertext), "the answer of")
        return bytes(answer.ciphertext)

    def _decrypt(self, wrapped: bytes, tenant: str) -> bytes:
        from google.cloud.kms_v1 import DecryptRequest

        binding = _binding(tenant)
        request = DecryptRequest(
            name=self.key_name,
            ciphertext=wrapped,
            ciphertext_crc32c=_crc32c(wrapped),
            additional_authenticated_data=binding,
            additional_authenticated_data_crc32c=_crc32c(binding),
        )
        with self._client() as client:
            answer = client.decrypt(request, retry=None, timeout=self.timeout)
        _check(_is_crc32c(answer.plaintext_crc32c, answer.plaintext), "the answer of")
        return bytes(answer.plaintext)

    def _client(self) -> AbstractContextManager[_Kms]:
        hush(_TALKATIVE)
        # One for each call: to make one costs some milliseconds, and a channel that is kept does
        # not survive a fork.
        from google.cloud.kms_v1 import KeyManagementServiceClient

        if self.endpoint is None:
            return KeyManagementServiceClient()
        address = urlsplit(self.endpoint)
        if address.scheme == "https":
            return KeyManagementServiceClient(client_options={"api_endpoint": address.netloc})
        channel = import_module("grpc").insecure_channel(address.netloc)
        transport = KeyManagementServiceClient.get_transport_class("grpc")(channel=channel)
        return KeyManagementServiceClient(transport=transport)


def _binding(tenant: str) -> bytes:
    return _LABEL + tenant.encode("utf-8", "surrogatepass")


def _crc32c(data: bytes) -> int:
    value: int = import_module("google_crc32c").value(data)
    return value


def _is_crc32c(stated: object, data: bytes) -> bool:
    return stated == _crc32c(data)  # None where nothing was stated


def _check(intact: bool, what: str) -> None:
    if not intact:
        raise KeyProviderUnavailableError(
            f"{what} {_SERVICE} was damaged on the way (CRC32C); it was not used, try again"
        )


def _explained(permission: str, err: Exception) -> SealwireError:
    """Say what an exception of Google's client means, with its class and not its text."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    what = type(err).__name__
    passing = (api.ServerError, api.TooManyRequests, api.Aborted, api.Cancelled, api.RetryError)
    if isinstance(err, (*passing, auth.TransportError)):
        return KeyProviderUnavailableError(
            f"{_SERVICE} is not available at this moment: {what}; check that it can be reached "
            "from here"
        )
    if isinstance(err, auth.GoogleAuthError):
        if getattr(err, "retryable", False):
            return KeyProviderUnavailableError(
                f"the Google credentials cannot be had at this moment: {what}"
            )
        return ConfigurationError(
            f"there are no valid Google credentials ({what}); set up application default "
            "credentials, as for every Google client"
        )
    fix = _FIXES.get(what, "look the error up in the reference of Cloud KMS")
    return ConfigurationError(f"{_SERVICE} refuses: {what}; {fix.format(permission=permission)}")
