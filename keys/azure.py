"""A key-encryption key in Azure Key Vault or a Managed HSM; needs the extra `azure`.

What is wrapped is `version(32, ASCII) ‖ what the vault's wrapKey gave`:

- `version` is the version of the key in the vault, in lower-case hexadecimal. The vault does not
  find it by itself.
- wrapKey has no associated data. So what it is given is `binding(32) ‖ key`, where `binding` is
  SHA-256 of `"sealwire/azure-wrapper-v1" ‖ 00 ‖ tenant`, and `unwrap` compares it.

With RSA, everybody who has the public key can wrap. A wrapped key that opens is therefore no proof
that an administrator made it: see `AzureKeyVaultWrapper`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from sealwire.errors import ConfigurationError

from .azure_vault import NOT_OURS, SERVICE, ask, decoded, explained, no_answer
from .service import Patience, Question, require

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.keyvault.keys import KeyClient

_LABEL: Final = b"sealwire/azure-wrapper-v1\x00"
_BINDING: Final = 32  # bytes of SHA-256
_VERSION: Final = 32  # characters; Key Vault REST reference, "object identifiers"
_ALGORITHMS: Final = ("RSA-OAEP-256", "A256KW")  # RFC 7518, 4.3 and 4.4
_KEY_ID: Final = re.compile(r"(https://[a-z0-9.-]+(?::[0-9]{1,5})?)/keys/([0-9A-Za-z-]{1,127})")
_VERSION_FORM: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class AzureKeyVaultWrapper:
    """A key in Azure Key Vault, with the credentials that azure-identity finds by itself.

    With RSA, whoever can replace the keyring document and knows the public key can put a keyring
    of their own there: let only administrators write to the store. `DataKeys` refuses it, because
    payloads lie where others write. A Managed HSM with `A256KW` has no public key, and needs no
    such care.

    Args:
        key_id: `https://VAULT.vault.azure.net/keys/NAME`, without a version.
        algorithm: `RSA-OAEP-256` for an RSA key, `A256KW` for a 256-bit key in a Managed HSM.
        credential: Another credential than azure-identity's default one.
        timeout: Seconds for one call with its retries, at most 10.
        retries: How often to ask again when the vault is unreachable, throttles or fails.

    Raises:
        ConfigurationError: A parameter is wrong, or the packages are not installed.
    """

    key_id: str
    algorithm: str = "RSA-OAEP-256"
    credential: TokenCredential | None = field(default=None, repr=False, compare=False)
    timeout: float = 10.0
    retries: int = 2

    def __post_init__(self) -> None:
        require("azure", "azure.keyvault.keys", "azure.identity")
        if not _KEY_ID.fullmatch(self.key_id):
            raise ConfigurationError(
                "key_id must be https://VAULT.vault.azure.net/keys/NAME, in lower case up to the "
                "name and without a version"
            )
        if self.algorithm not in _ALGORITHMS:
            raise ConfigurationError(f"algorithm must be one of {', '.join(_ALGORITHMS)}")
        _ = self._patience

    @property
    def anyone_can_wrap(self) -> bool:
        """Whether the key is an RSA key; see `TellsWhoWraps`."""
        return self.algorithm.startswith("RSA")

    async def name(self) -> str:
        """Return `azure-key-vault:` and the key's id."""
        return f"azure-key-vault:{self.key_id}"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Wrap `key` with the newest version; needs `keys/read`, `keys/wrap/action`.

        Raises:
            ConfigurationError: The vault refuses; the message says what to change.
            KeyProviderUnavailableError: The vault does not answer, throttles or fails.
        """
        explain = partial(explained, "keys/read and keys/wrap/action")
        question = Question(self._wrap, explain, key, tenant)
        del key  # a traceback may show the variables
        return await self._patience.ask(question)

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Unwrap what `wrap` gave; needs `keys/unwrap/action`.

        Raises:
            ConfigurationError: It was wrapped by another key or for another tenant, or the vault
                refuses; the message says what to change.
            KeyProviderUnavailableError: The vault does not answer, throttles or fails.
        """
        question = Question(self._unwrap, partial(explained, "keys/unwrap/action"), wrapped, tenant)
        del wrapped
        return await self._patience.ask(question)

    @property
    def _patience(self) -> Patience:
        return Patience(SERVICE, self.timeout, self.retries)

    @property
    def _parts(self) -> tuple[str, str]:
        vault, _, name = self.key_id.rpartition("/keys/")
        return vault, name

    def _wrap(self, key: bytes, tenant: str) -> bytes:
        _, name = self._parts
        with ExitStack() as stack:
            client = self._client(stack)
            found = ask(client, "keys/read", "GET", f"/keys/{name}")
            version = found.key.kid.rpartition("/")[2]
            if not _VERSION_FORM.fullmatch(version):
                raise no_answer()
            wrapped = self._operate(client, version, "wrap", _binding(tenant) + key)
        return version.encode() + wrapped

    def _unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        version = wrapped[:_VERSION].decode("latin-1")
        if not _VERSION_FORM.fullmatch(version):  # it becomes part of a URL
            raise ConfigurationError(f"not for {SERVICE}: {NOT_OURS}")
        with ExitStack() as stack:
            opened = self._operate(self._client(stack), version, "unwrap", wrapped[_VERSION:])
        if not hmac.compare_digest(opened[:_BINDING], _binding(tenant)):
            raise ConfigurationError(f"it opens, but is not for this tenant: {NOT_OURS}")
        return opened[_BINDING:]

    def _operate(self, client: KeyClient, version: str, operation: str, data: bytes) -> bytes:
        # Not `CryptographyClient`: it reads the key first, which workers need not be allowed to,
        # and then wraps by itself, whatever the vault thinks of the key's state.
        _, name = self._parts
        body = {"alg": self.algorithm, "value": urlsafe_b64encode(data).decode().rstrip("=")}
        path = f"/keys/{name}/{version}/{operation}key"
        return decoded(ask(client, f"keys/{operation}/action", "POST", path, body).value)

    def _client(self, stack: ExitStack) -> KeyClient:
        # One for each call: to make one costs less than a millisecond, and connections that are
        # kept do not survive a fork. Our retries are the only ones.
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.keys import KeyClient

        limits = {
            "connection_timeout": self.timeout / 2,
            "read_timeout": self.timeout / 2,
            "retry_total": 0,
        }
        credential = self.credential
        if credential is None:
            credential = stack.enter_context(DefaultAzureCredential(**limits))
        vault, _ = self._parts
        client = KeyClient(vault, credential, permit_redirects=False, **limits)
        stack.callback(client.close)
        return client


def _binding(tenant: str) -> bytes:
    return hashlib.sha256(_LABEL + tenant.encode("utf-8", "surrogatepass")).digest()
