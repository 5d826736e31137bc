"""HashiCorp Vault and OpenBao: a key-encryption key in transit, a keyring document in KV.

- Transit encrypts the document key under a key that never leaves the server, with
  `"sealwire/vault-transit-v1" ‖ 00 ‖ tenant` as `associated_data`. What is wrapped is the server's
  text, `vault:v<version of the key>:<base64>`.
- KV version 2 keeps the document as one secret for each tenant, `{"document": <base64>}`. Its
  version is the revision, compared by the server (`cas`).

Needs the extra `vault`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Final

from sealwire.errors import ConfigurationError

from .service import Question
from .store import StoredDocument
from .vault_client import VaultAccess, VaultAction, check_paths

_LABEL: Final = b"sealwire/vault-transit-v1\x00"
# https://openbao.org/docs/secrets/transit/: the types that take associated data.
_AEAD_TYPES: Final = ("aes256-gcm96", "aes128-gcm96", "chacha20-poly1305", "xchacha20-poly1305")
_OTHER: Final = "this was wrapped by another key or for another tenant, or was changed"
_REASONS: Final = {
    "too old": "this was wrapped by a version of the key below its min_decryption_version; lower "
    "that, wrap the keyring again, then raise it",
    "too new": "this was wrapped by a version that the key does not have; was an old one restored?",
    "encryption key not found": "there is no such key",
    "message authentication failed": _OTHER,
    "ciphertext": _OTHER,
}
_FIELD: Final = "document"
_REVISION: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_TENANT: Final = re.compile(r"(?=.{1,100}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)


@dataclass(frozen=True)
class VaultTransitWrapper(VaultAccess):
    """A key of the transit engine; workers may decrypt with it, administrators encrypt too.

    How the server is reached, and how to log in, are keyword arguments: see `VaultAccess`.

    Args:
        key: The name of the key.
        mount: Where the engine is mounted.
        label: Becomes a part of the name, to tell two servers apart on which everything else is
            named the same, such as those of two regions.
    """

    key: str
    mount: str = "transit"
    label: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_paths(key=self.key, mount=self.mount, label=self.label)
        if "/" in self.key:
            raise ConfigurationError("the name of a transit key has no '/'; fix: mount")

    async def name(self) -> str:
        """Return `vault-transit:`, label and namespace where there are any, mount and key.

        Not the address: a server that moves keeps its keys.
        """
        place = "/".join(filter(None, (self.namespace, self.mount, self.key)))
        return ":".join(filter(None, ("vault-transit", self.label, place)))

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Let the server encrypt `key`; needs `read` on the key and `update` on `encrypt`.

        Raises:
            ConfigurationError: The server refuses, or the key cannot bind a tenant.
            KeyProviderUnavailableError: The server does not answer, or is sealed.
        """
        explain = partial(self.explained, self._action("encrypt"))
        question = Question(self._encrypt, explain, key, tenant)
        del key  # a traceback may show the variables
        return await self._patience().ask(question)

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Let the server decrypt what `wrap` gave; needs `update` on `decrypt`.

        Raises:
            ConfigurationError: The server refuses: another key, another tenant, not permitted.
            KeyProviderUnavailableError: The server does not answer, or is sealed.
        """
        explain = partial(self.explained, self._action("decrypt"))
        question = Question(self._decrypt, explain, wrapped, tenant)
        del wrapped
        return await self._patience().ask(question)

    def _encrypt(self, key: bytes, tenant: str) -> bytes:
        with self.logged_in() as client:
            self._check_key(client)
            answer = client.secrets.transit.encrypt_data(
                self.key,
                plaintext=base64.b64encode(key).decode(),
                associated_data=_binding(tenant),
                mount_point=self.mount,
            )
        wrapped: str = answer["data"]["ciphertext"]
        return wrapped.encode("ascii")

    def _decrypt(self, wrapped: bytes, tenant: str) -> bytes:
        with self.logged_in() as client:
            answer = client.secrets.transit.decrypt_data(
                self.key,
                wrapped.decode("latin-1"),  # whatever stands in the document, the server refuses it
                associated_data=_binding(tenant),
                mount_point=self.mount,
            )
        return base64.b64decode(answer["data"]["plaintext"], validate=True)

    def _check_key(self, client: Any) -> None:
        # Else encrypting with a key whose name is misspelt would make that key.
        action = VaultAction(f"{self.mount}/keys/{self.key}", "read", {"": "there is no such key"})
        read = client.secrets.transit.read_key
        found = self.asked(action, lambda: read(self.key, mount_point=self.mount)["data"])
        if found["type"] not in _AEAD_TYPES or found["derived"]:
            raise ConfigurationError(
                f"the transit key {self.key!r} cannot bind a keyring to its tenant; it must have "
                f"one of the types {', '.join(_AEAD_TYPES)}, and not be derived"
            )

    def _action(self, verb: str) -> VaultAction:
        return VaultAction(f"{self.mount}/{verb}/{self.key}", "update", _REASONS)


@dataclass(frozen=True)
class VaultKeyringStore(VaultAccess):
    """Keyring documents as secrets of KV version 2.

    How the server is reached, and how to log in, are keyword arguments: see `VaultAccess`.

    Args:
        path: The folder of the documents; each tenant has a secret in it.
        mount: Where the engine is mounted.
    """

    path: str
    mount: str = "secret"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_paths(path=self.path, mount=self.mount)

    async def load(self, tenant: str) -> StoredDocument | None:
        """Read the newest version; see `KeyringStore`."""
        explain = partial(self.explained, self._action(tenant, "read"))
        found = await self._patience().ask(Question(self._read, explain, b"", tenant))
        revision, _, data = found.partition(b"\n")
        return StoredDocument(data, revision.decode()) if revision else None

    async def save(self, tenant: str, data: bytes, revision: str | None) -> None:
        """Write the version after `revision`; see `KeyringStore`.

        It is sent once: after a second time, the first could be taken for somebody else's.
        """
        if revision is not None and not _REVISION.fullmatch(revision):
            raise ConfigurationError(self._conflict(tenant))
        explain = partial(self.explained, self._action(tenant, "update" if revision else "create"))
        write = partial(self._write, int(revision or 0))  # 0: there must be none
        await self._patience(retries=0).ask(Question(write, explain, data, tenant))

    def _read(self, _: bytes, tenant: str) -> bytes:
        """Return the revision in a line and then the document; nothing where there is none."""
        exceptions: Any = import_module("hvac.exceptions")
        path = self._secret_path(tenant)
        with self.logged_in() as client:
            try:
                found = client.secrets.kv.v2.read_secret_version(
                    path, mount_point=self.mount, raise_on_deleted_version=False
                )["data"]
            except exceptions.InvalidPath as err:
                if err.errors == []:  # where nothing is mounted, the server has more to say
                    return b""
                raise
        return _packed(found, f"{self.mount}/{path}")

    def _write(self, revision: int, data: bytes, tenant: str) -> bytes:
        with self.logged_in() as client:
            answer = client.secrets.kv.v2.create_or_update_secret(
                self._secret_path(tenant),
                {_FIELD: base64.b64encode(data).decode()},
                cas=revision,
                mount_point=self.mount,
            )
        return str(answer["data"]["version"]).encode()

    def _action(self, tenant: str, capability: str) -> VaultAction:
        path = f"{self.mount}/data/{self._secret_path(tenant)}"
        return VaultAction(path, capability, {"check-and-set": self._conflict(tenant)})

    def _secret_path(self, tenant: str) -> str:
        if _TENANT.fullmatch(tenant):
            return f"{self.path}/{tenant}"
        digest = hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{self.path}/~{digest}"  # no tenant above begins with a tilde

    def _conflict(self, tenant: str) -> str:
        return (
            f"{self.mount}/{self._secret_path(tenant)} was changed by somebody else meanwhile; "
            "nothing was written: run the command again"
        )


def _binding(tenant: str) -> str:
    return base64.b64encode(_LABEL + tenant.encode("utf-8", "surrogatepass")).decode()


def _packed(found: dict[str, Any], path: str) -> bytes:
    if "metadata" not in found:
        raise ConfigurationError(f"{path} is not in a KV engine of version 2")
    if found["data"] is None:
        raise ConfigurationError(
            f"the newest version of {path} was deleted; `bao kv undelete` brings it back"
        )
    try:
        document = base64.b64decode(found["data"][_FIELD], validate=True)
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError(f"{path} is not a keyring of sealwire") from None
    return f"{found['metadata']['version']}\n".encode() + document
