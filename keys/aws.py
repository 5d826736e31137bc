"""A key-encryption key in AWS KMS; needs the extra `aws`.

`wrap` is KMS's `Encrypt` and `unwrap` its `Decrypt`, with the key's ARN and the encryption context
`{"sealwire-keyring-tenant": tenant}`, where the tenant is percent-encoded. What is wrapped is KMS's
ciphertext, unchanged. KMS finds the version of the key's material by itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

from .service import Patience, Question, check_endpoint, hush, require, spelled

_SERVICE: Final = "AWS KMS"
_CONTEXT: Final = "sealwire-keyring-tenant"
# KMS API reference, Encrypt: a context has at most 8,192 characters; some are for its name.
_MAX_TENANT: Final = 8000
_ARN: Final = re.compile(r"arn:(aws[a-z-]*):kms:([a-z0-9-]+):([0-9]{12}):key/([A-Za-z0-9-]+)")
_MULTI_REGION: Final = "mrk-"  # KMS developer guide: all ids of multi-Region keys begin so
# KMS and STS answer these with 400, like faults of the caller; all other outages have 5xx.
_WORTH_RETRYING: Final = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
)
_NOT_OURS: Final = (
    "the keyring was wrapped by another key or for another tenant, or was changed; name the key "
    "and the tenant that made it"
)
# At the level DEBUG, the first logs requests with the key to wrap, the second answers with the key.
_TALKATIVE: Final = ("botocore.endpoint", "botocore.parsers")
_CREDENTIALS: Final = "the AWS credentials are not valid or have expired; renew them"
_FIXES: Final = {
    "AccessDeniedException": "allow {permission} for these credentials on this key, in their IAM "
    "policy or in the key's policy, and for this tenant where there is a condition",
    "DisabledException": "the key is disabled; `aws kms enable-key` enables it",
    "ExpiredTokenException": _CREDENTIALS,
    "IncompleteSignatureException": _CREDENTIALS,
    "IncorrectKeyException": _NOT_OURS,
    "InvalidCiphertextException": _NOT_OURS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidKeyUsageException": "the key must be a symmetric one for ENCRYPT_DECRYPT",
    "InvalidSignatureException": _CREDENTIALS,
    "KMSInvalidStateException": "the key is about to be deleted, has no material, or its key store "
    "is not connected; `aws kms describe-key` tells its state, and `aws kms cancel-key-deletion` "
    "keeps it",
    "NotFoundException": "there is no such key; check the ARN",
    "UnrecognizedClientException": _CREDENTIALS,
}


class _Kms(Protocol):
    """What is used of boto3's client, which has no types of its own."""

    def encrypt(self, **parameters: object) -> dict[str, Any]: ...

    def decrypt(self, **parameters: object) -> dict[str, Any]: ...


@dataclass(frozen=True)
class AwsKmsWrapper:
    """A symmetric key in AWS KMS, with the credentials that boto3 finds by itself.

    Args:
        key_id: The key's ARN, `arn:aws:kms:REGION:ACCOUNT:key/ID`. Not an alias, which can be
            moved to another key.
        region: Where to ask for a multi-Region key; that of the ARN unless given.
        endpoint_url: Another address than the region's, such as that of a VPC endpoint.
        timeout: Seconds for one call with its retries, at most 10.
        retries: How often to ask again when KMS is unreachable, throttles or fails.

    Raises:
        ConfigurationError: A parameter is wrong, or boto3 is not installed.
    """

    key_id: str
    region: str | None = None
    endpoint_url: str | None = None
    timeout: float = 10.0
    retries: int = 2
    # By process: a client may be shared by threads, and its connections not across a fork.
    _clients: dict[int, _Kms] = field(
        default_factory=dict[int, _Kms], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        require("aws", "boto3")
        _, region, _, key = _parts(self.key_id)
        if self.region not in (None, region) and not key.startswith(_MULTI_REGION):
            raise ConfigurationError(
                f"the key is in {region} and only there: leave out the region, or use a "
                "multi-Region key"
            )
        if self.endpoint_url is not None:
            check_endpoint(self.endpoint_url)
        _ = self._patience, self._arn

    async def name(self) -> str:
        """Return `aws-kms:` and the ARN; that of a multi-Region key without the region."""
        partition, region, account, key = _parts(self.key_id)
        region = "" if key.startswith(_MULTI_REGION) else region
        return f"aws-kms:arn:{partition}:kms:{region}:{account}:key/{key}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Encrypt `key`; needs the permission `kms:Encrypt`.

        Raises:
            ConfigurationError: KMS refuses; the message says what to change.
            KeyProviderUnavailableError: KMS does not answer, throttles or fails.
        """
        question = Question(self._encrypt, partial(_explained, "kms:Encrypt"), key, tenant)
        del key  # a traceback may show the variables
        return await self._patience.ask(question)

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Decrypt what `wrap` gave; needs the permission `kms:Decrypt`.

        Raises:
            ConfigurationError: It was wrapped by another key or for another tenant, or KMS
                refuses; the message says what to change.
            KeyProviderUnavailableError: KMS does not answer, throttles or fails.
        """
        question = Question(self._decrypt, partial(_explained, "kms:Decrypt"), wrapped, tenant)
        del wrapped
        return await self._patience.ask(question)

    @property
    def _patience(self) -> Patience:
        return Patience(_SERVICE, self.timeout, self.retries)

    @property
    def _arn(self) -> str:
        partition, region, account, key = _parts(self.key_id)
        arn = f"arn:{partition}:kms:{self.region or region}:{account}:key/{key}"
        _parts(arn)  # the region is data, too
        return arn

    def _encrypt(self, key: bytes, tenant: str) -> bytes:
        answer = self._client().encrypt(
            KeyId=self._arn, Plaintext=key, EncryptionContext=_context(tenant)
        )
        return bytes(answer["CiphertextBlob"])

    def _decrypt(self, wrapped: bytes, tenant: str) -> bytes:
        answer = self._client().decrypt(
            KeyId=self._arn, CiphertextBlob=wrapped, EncryptionContext=_context(tenant)
        )
        return bytes(answer["Plaintext"])

    def _client(self) -> _Kms:
        process = os.getpid()
        client = self._clients.get(process)
        if client is None:
            client = self._clients[process] = self._new_client()  # of two at once, one stays
        return client

    def _new_client(self) -> _Kms:
        hush(*_TALKATIVE)
        # A session of its own: boto3's default one must not be shared by threads. Our retries
        # are the only ones, and half the time is left for them.
        options = import_module("botocore.config").Config(
            connect_timeout=self.timeout / 2,
            read_timeout=self.timeout / 2,
            retries={"total_max_attempts": 1},
        )
        session = import_module("boto3.session").Session()
        region = _parts(self._arn)[1]
        client: _Kms = session.client(
            "kms", region_name=region, endpoint_url=self.endpoint_url, config=options
        )
        return client


def _parts(arn: str) -> tuple[str, ...]:
    found = _ARN.fullmatch(arn)
    if found is None:
        raise ConfigurationError(
            "key_id must be the ARN of a key, arn:aws:kms:REGION:ACCOUNT:key/ID, and no alias; "
            "`aws kms describe-key` tells it"
        )
    return found.groups()


def _context(tenant: str) -> dict[str, str]:
    value = spelled(tenant)
    if not 0 < len(value) <= _MAX_TENANT:
        raise ConfigurationError(
            f"a tenant's name must have 1 to {_MAX_TENANT} characters, percent-encoded, "
            f"to use {_SERVICE}"
        )
    return {_CONTEXT: value}


def _explained(permission: str, err: Exception) -> SealwireError:
    """Say what an exception of boto3 means, with its code and not its text."""
    errors = import_module("botocore.exceptions")
    if isinstance(err, errors.ClientError):
        return _refusal(permission, getattr(err, "response", {}))
    what = type(err).__name__
    if isinstance(err, errors.SSLError):
        return ConfigurationError(
            f"there is no trustworthy connection to {_SERVICE} ({what}); check the endpoint, and "
            "that its certificate is trusted here"
        )
    silence = (errors.HTTPClientError, errors.ConnectionError, errors.MetadataRetrievalError)
    if isinstance(err, silence):
        return KeyProviderUnavailableError(
            f"{_SERVICE} or the source of the credentials cannot be reached ({what}); check the "
            "network, the region and the endpoint"
        )
    if isinstance(err, (errors.NoCredentialsError, errors.PartialCredentialsError)):
        return ConfigurationError(
            f"boto3 finds no complete AWS credentials ({what}); set them as for every AWS SDK"
        )
    return ConfigurationError(
        f"the client of {_SERVICE} fails with {what}; check the key, the region and the AWS "
        "configuration"
    )


def _refusal(permission: str, response: dict[str, Any]) -> SealwireError:
    code = str(response.get("Error", {}).get("Code", ""))[:80]
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500 or code in _WORTH_RETRYING:
        return KeyProviderUnavailableError(f"{_SERVICE} is not available at this moment: {code}")
    fix = _FIXES.get(code, "look the code up in the reference of the KMS API")
    return ConfigurationError(f"{_SERVICE} refuses: {code}; {fix.format(permission=permission)}")
