"""One request to Azure Key Vault, and what its answers and its client's exceptions mean."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

if TYPE_CHECKING:
    from azure.core.rest import HttpResponse
    from azure.keyvault.keys import KeyClient

SERVICE: Final = "Azure Key Vault"
_CODE: Final = re.compile(r"[A-Za-z]{1,60}")
# RFC 9110, 15.5 and RFC 6585: request timeout, too many requests. Besides, all from 500 on.
_WORTH_RETRYING: Final = frozenset({408, 429})
NOT_OURS: Final = (
    "the keyring was wrapped by another key or for another tenant, or was changed; name the key "
    "and the tenant that made it"
)
_DISABLED: Final = "the key is disabled or outside its dates; enable it, or extend its dates"
_FIXES: Final = {
    400: NOT_OURS,
    401: "the vault does not accept the token; check that the vault and the credentials belong to "
    "the same Azure tenant",
    403: "grant {permission} on this key to the identity, and see that the key is enabled and that "
    "the vault's firewall lets this machine in",
    404: "there is no such key, or the version that wrapped the keyring is gone; check the key's "
    "id, and recover a deleted key",
}


class _Error(msgspec.Struct, frozen=True):
    """Why the vault refuses; the inner code is the more precise one."""

    code: str = ""
    innererror: _Error | None = None


class _Key(msgspec.Struct, frozen=True):
    """A key, of which only the id is used."""

    kid: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What is used of the vault's answers."""

    value: str = ""
    key: _Key = _Key()
    error: _Error | None = None


def ask(
    client: KeyClient, permission: str, method: str, path: str, body: dict[str, str] | None = None
) -> Answer:
    """Send one request to the vault.

    Raises:
        ConfigurationError: The vault refuses, for want of `permission` or otherwise.
        KeyProviderUnavailableError: The vault throttles or fails.
    """
    from azure.core.rest import HttpRequest

    response = client.send_request(HttpRequest(method, path, json=body))
    if response.status_code != 200:
        raise _refusal(permission, response.status_code, _code(_parsed(response).error))
    return _parsed(response)


def _parsed(response: HttpResponse) -> Answer:
    try:
        return msgspec.json.decode(response.content, type=Answer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Answer()


def decoded(value: str) -> bytes:
    """Decode base64url without padding, as the vault writes bytes.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        data = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise no_answer()
    return data


def no_answer() -> ConfigurationError:
    """Return the error for an answer that no vault gives."""
    return ConfigurationError(
        f"this is no answer of {SERVICE}; check the address, and what stands between"
    )


def _refusal(permission: str, status: int, code: str) -> SealwireError:
    said = f"{status} {code}".rstrip()
    if status in _WORTH_RETRYING or status >= 500:
        return KeyProviderUnavailableError(f"{SERVICE} is not available at this moment: {said}")
    if status == 200:
        return no_answer()
    fix = _FIXES.get(status, "look the code up in the reference of Key Vault")
    if code in ("KeyDisabled", "KeyNotYetValid", "KeyExpired"):
        fix = _DISABLED
    return ConfigurationError(f"{SERVICE} refuses: {said}; {fix.format(permission=permission)}")


def _code(error: _Error | None) -> str:
    """Return the innermost code of an error that looks like one."""
    code = ""
    while error is not None:
        code = error.code if _CODE.fullmatch(error.code) else code
        error = error.innererror
    return code


def explained(permission: str, err: Exception) -> SealwireError:
    """Say what an exception of Azure's client means, with its class and not its text."""
    from azure.core import exceptions as azure

    what = type(err).__name__
    causes = list(_causes(err))
    if any(type(cause).__name__ == "SSLError" for cause in causes):
        return ConfigurationError(
            f"there is no trustworthy connection to {SERVICE} ({what}); check the address, and "
            "that its certificate is trusted here"
        )
    unanswered = (azure.ServiceRequestError, azure.ServiceResponseError)
    if any(isinstance(cause, unanswered) for cause in causes):
        return KeyProviderUnavailableError(
            f"{SERVICE} or the source of the credentials cannot be reached ({what}); check the "
            "network and the address"
        )
    if isinstance(err, azure.DecodeError):  # a page of something else that stands between
        return _refusal(permission, err.status_code or 200, "")
    if isinstance(err, azure.ClientAuthenticationError):
        return ConfigurationError(
            f"there are no valid Azure credentials ({what}); set them up as azure-identity expects"
        )
    return ConfigurationError(
        f"the client of {SERVICE} fails with {what}; check the address, the credentials and "
        f"{permission}"
    )


def _causes(err: BaseException | None) -> Iterator[BaseException]:
    while err is not None:
        yield err
        # Azure's errors keep what they wrap in an attribute.
        err = getattr(err, "inner_exception", None) or err.__cause__ or err.__context__
