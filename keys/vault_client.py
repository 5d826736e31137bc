"""How Vault and OpenBao are reached: address, login, and what their refusals mean.

Each call logs in anew and leaves no connection behind: a keyring asks every few minutes, from
another thread each time, and may have forked meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

from .files import read_private
from .secret import hidden
from .service import Patience, check_endpoint, require

# No part that begins with a dot, no percent signs: what stands in a policy is what is asked for.
_PATH: Final = re.compile(r"(?=.{1,400}\Z)[\w~-][\w.~-]*(/[\w~-][\w.~-]*)*", re.ASCII)


@dataclass(frozen=True)
class VaultAction:
    """What is asked of the server, to explain a refusal.

    Args:
        path: The path in the API, without `/v1/`.
        capability: What a policy must grant on it.
        reasons: What is wrong when these words stand in the server's refusal.
    """

    path: str
    capability: str
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class VaultAccess:
    """Where a Vault or OpenBao server is, and how to log in: in exactly one of four ways.

    Args:
        url: The address, without `/v1`; `https://`, except on this machine.
        token: A token, or a function that returns the present one.
        token_file: A private file with the token, such as an agent keeps; read for each call.
        role_id: The role id of an AppRole.
        secret_id_file: A private file with the secret id of that AppRole; None if it needs none.
        jwt_role: The role of a login with a signed token, as Kubernetes gives to each pod.
        jwt_file: The file with that signed token; read for each call.
        auth_mount: Where that login is mounted; None for `approle` or `kubernetes`.
        namespace: The namespace, where the server has some.
        ca_file: The authorities, PEM, that the server's certificate may come from, in place of the
            usual ones.
        client_certificate: PEM, to identify this client by.
        client_key: Its private key, PEM, not encrypted; None if it is in the same file.
        timeout: Seconds for one call with its retries, at most 10.
        retries: How often to ask again when the server is unreachable, sealed or busy.

    Raises:
        ConfigurationError: A parameter is not possible, or the package `hvac` is missing.
    """

    url: str = field(kw_only=False)
    token: str | Callable[[], str] | None = field(default=None, repr=False)
    token_file: Path | None = None
    role_id: str | None = None
    secret_id_file: Path | None = None
    jwt_role: str | None = None
    jwt_file: Path | None = None
    auth_mount: str | None = None
    namespace: str | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    timeout: float = 10.0
    retries: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", hidden(self.token))
        require("vault", "hvac")
        check_endpoint(self.url)
        if urlsplit(self.url).path.strip("/"):
            raise ConfigurationError("the url of Vault must have no path; fix: mount, namespace")
        ways = (self.token, self.token_file, self.role_id, self.jwt_role)
        if sum(way is not None for way in ways) != 1:
            raise ConfigurationError(
                "Vault needs exactly one of token, token_file, role_id and jwt_role to log in"
            )
        if (self.jwt_role is None) != (self.jwt_file is None):
            raise ConfigurationError("jwt_role and jwt_file belong together")
        check_paths(auth_mount=self.auth_mount, namespace=self.namespace)
        _ = self._patience()

    @contextmanager
    def logged_in(self) -> Generator[Any]:
        """Yield a client of hvac that has logged in; blocks, in this call and in each of its own.

        Raises:
            SealwireError: The login is refused, or there is no answer.
        """
        with import_module("requests").Session() as session:
            client = self._client(session)
            self.asked(self._login, lambda: self._log_in(client))
            yield client

    def asked(self, action: VaultAction, call: Callable[[], Any]) -> Any:
        """Return what `call` returns, or say why it cannot.

        Raises:
            SealwireError: What `call` raised, or what that means.
        """
        try:
            return call()
        except SealwireError:
            raise
        except Exception as err:  # noqa: BLE001 - whatever hvac and requests raise
            problem = self.explained(action, err)
        raise problem  # not above: an exception whose frames hold secrets would go with it

    def explained(self, action: VaultAction, err: Exception) -> SealwireError:
        """Say what an exception of hvac or requests means, without a word of the server's."""
        exceptions: Any = import_module("hvac.exceptions")
        transport: Any = import_module("requests.exceptions")
        match err:
            case exceptions.Forbidden() | exceptions.Unauthorized():
                return self._refused(action, _denied(action))
            case exceptions.InvalidRequest() | exceptions.InvalidPath():
                return self._refused(action, _reason(action, err))
            case exceptions.VaultDown():
                return self._unavailable("is sealed or not ready; an operator must unseal it")
            case exceptions.VaultError():
                return self._unavailable(f"cannot work now ({type(err).__name__})")
            case transport.SSLError():
                return ConfigurationError(
                    f"{self.url}: one side does not accept the other's certificate; "
                    "fix: ca_file, client_certificate"
                )
            case transport.ConnectionError() | transport.Timeout():
                return self._unavailable(f"does not answer ({type(err).__name__})")
            case transport.RequestException() | OSError():
                return ConfigurationError(
                    f"{self.url} cannot be asked ({type(err).__name__}): are the address and the "
                    "files of certificates right?"
                )
            case _:
                return ConfigurationError(
                    f"{self.url} does not answer as Vault does ({type(err).__name__}): is this "
                    "the API of the active server?"
                )

    def _patience(self, retries: int | None = None) -> Patience:
        return Patience(
            f"Vault at {self.url}", self.timeout, self.retries if retries is None else retries
        )

    def _client(self, session: Any) -> Any:
        session.trust_env = False  # no proxies, no .netrc
        session.verify = str(self.ca_file) if self.ca_file else True
        if self.client_certificate is not None:
            key = self.client_key or self.client_certificate
            session.cert = (str(self.client_certificate), str(key))
        return import_module("hvac").Client(
            self.url,
            token="",  # None would look into the environment and the home
            cert=(),
            session=session,
            namespace=self.namespace,
            timeout=self.timeout / (1 + self.retries),
            allow_redirects=False,  # the token would go with them
        )

    def _log_in(self, client: Any) -> None:
        if self.role_id is not None:
            secret = _secret(self.secret_id_file) if self.secret_id_file else None
            client.auth.approle.login(self.role_id, secret, mount_point=self._auth_mount)
        elif self.jwt_file is not None:
            jwt = _secret(self.jwt_file, Path.read_bytes)  # Kubernetes lets others read it
            client.auth.jwt.jwt_login(self.jwt_role, jwt, path=self._auth_mount)
        elif self.token_file is not None:
            client.token = _secret(self.token_file)
        elif callable(self.token):
            client.token = self.token()

    @property
    def _auth_mount(self) -> str:
        return self.auth_mount or ("kubernetes" if self.role_id is None else "approle")

    @property
    def _login(self) -> VaultAction:
        path = f"auth/{self._auth_mount}/login"
        wrong = "the role, or what proves it, is wrong, expired or used up"
        return VaultAction(path, "update", {"no handler for route": "nothing is there", "": wrong})

    def _refused(self, action: VaultAction, why: str) -> ConfigurationError:
        return ConfigurationError(f"Vault at {self.url} refuses {action.path}: {why}")

    def _unavailable(self, why: str) -> KeyProviderUnavailableError:
        return KeyProviderUnavailableError(f"Vault at {self.url} {why}")


def check_paths(**paths: str | None) -> None:
    """Refuse what would be another path once it is part of a URL.

    Raises:
        ConfigurationError: There are other characters than letters, digits and `-._~/`, an empty
            part or one that begins with a dot.
    """
    for name, value in paths.items():
        if value is not None and not _PATH.fullmatch(value):
            raise ConfigurationError(
                f"{name} must be at most 400 letters, digits, '-', '_', '.' and '~', in parts "
                f"separated by '/', and is {value[:80]!r}"
            )


def _secret(path: Path, read: Callable[[Path], bytes] = read_private) -> str:
    try:
        return read(path).decode("ascii", "replace").strip()
    except FileNotFoundError:
        raise KeyProviderUnavailableError(f"the file {path} does not exist") from None


def _denied(action: VaultAction) -> str:
    return (
        "the token has expired or was revoked, or its policy lacks "
        f'path "{action.path}" {{ capabilities = ["{action.capability}"] }}'
    )


def _reason(action: VaultAction, err: Exception) -> str:
    # The server's words are compared and not shown: they may repeat what was sent.
    said = " ".join(getattr(err, "errors", None) or ())
    for words, reason in action.reasons.items():
        if words in said:
            return reason
    if "no handler for route" in said:
        return "nothing is mounted there"
    return f"the request is not accepted ({type(err).__name__})"
