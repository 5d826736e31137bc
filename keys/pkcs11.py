"""A key-encryption key in a hardware security module, by way of PKCS#11; needs the extra `pkcs11`.

What is wrapped is `nonce(12, random) ‖ AES-GCM ciphertext ‖ tag(16)`, with
`"sealwire/pkcs11-v1" ‖ 00 ‖ tenant` as associated data (CKM_AES_GCM). The token computes it; the
nonce is drawn here, because the call has no way to return one that a token makes. A module in a
FIPS mode that insists on its own nonces cannot be used: wrapping fails there, or what it wrapped
does not unwrap, and then no keyring is written.

PKCS#11 belongs to a process: all its sessions with a token are logged in or none is, and after a
fork the child has to start the library again. So one call at a time opens a session, logs in, and
closes it, which logs out.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

from .files import read_private
from .secret import hidden
from .service import Patience, Question, require

_LABEL: Final = b"sealwire/pkcs11-v1\x00"
_NONCE: Final = 12  # bytes; NIST SP 800-38D, 8.2
_TAG: Final = 16  # bytes
_WAIT: Final = 8.0  # seconds for another call of this process to end
# Of each process: the lock of a parent may be held for ever in its child.
_LOCKS: Final[dict[int, threading.Lock]] = {}
_STARTED: Final[dict[str, int]] = {}  # by library: the process that started it
_CHECKSUM: Final = os.urandom(32)
_UNAVAILABLE: Final = (
    "DeviceError",
    "DeviceMemory",
    "DeviceRemoved",
    "FunctionFailed",
    "HostMemory",
    "SessionClosed",
    "SessionCount",
    "SessionHandleInvalid",
    "TokenNotPresent",
)


@dataclass(frozen=True)
class Pkcs11Wrapper:
    """An AES key of a token; it never leaves the token.

    Args:
        library: The module's library, such as `/usr/lib/softhsm/libsofthsm2.so`.
        token_label: The label of the token.
        key_label: The label of the key: AES, 256 bits, with CKA_ENCRYPT and CKA_DECRYPT.
        pin: The PIN of the token's user, or a function that returns it.
        pin_file: A private file with the PIN.

    Raises:
        ConfigurationError: A parameter is not possible, or python-pkcs11 is not installed.
    """

    library: Path
    token_label: str
    key_label: str
    pin: str | Callable[[], str] | None = field(default=None, repr=False)
    pin_file: Path | None = None
    _refused: set[bytes] = field(init=False, repr=False, compare=False, default_factory=set[bytes])

    def __post_init__(self) -> None:
        object.__setattr__(self, "pin", hidden(self.pin))
        require("pkcs11", "pkcs11")
        if (self.pin is None) == (self.pin_file is None):
            raise ConfigurationError("a token needs exactly one of pin and pin_file")
        for name, label, size in (
            ("token_label", self.token_label, 32),  # PKCS#11, CK_TOKEN_INFO
            ("key_label", self.key_label, 255),
        ):
            if not label.isprintable() or not 0 < len(label.encode()) <= size:
                raise ConfigurationError(f"{name} must be 1 to {size} bytes of printable text")

    async def name(self) -> str:
        """Return the key's PKCS#11 URI (RFC 7512) without the parts that may change."""
        token, key = (quote(label, safe="") for label in (self.token_label, self.key_label))
        return f"pkcs11:token={token};object={key};type=secret-key"

    async def wrap(self, key: bytes, tenant: str) -> bytes:
        """Let the token encrypt `key`; see the module's docstring for the bytes.

        Raises:
            ConfigurationError: The token, the key or the PIN is wrong, or the token refuses.
            KeyProviderUnavailableError: The token is absent or failed.
        """
        question = Question(self._encrypt, partial(self._explained, "encrypt"), key, tenant)
        del key  # a traceback may show the variables
        return await _PATIENCE.ask(question)

    async def unwrap(self, wrapped: bytes, tenant: str) -> bytes:
        """Let the token decrypt what `wrap` gave.

        Raises:
            ConfigurationError: It was wrapped by another key or for another tenant; or the token,
                the key or the PIN is wrong.
            KeyProviderUnavailableError: The token is absent or failed.
        """
        question = Question(self._decrypt, partial(self._explained, "decrypt"), wrapped, tenant)
        return await _PATIENCE.ask(question)

    def _encrypt(self, key: bytes, tenant: str) -> bytes:
        nonce = os.urandom(_NONCE)
        with self._key("encrypt") as encrypt:
            sealed = encrypt(key, **_gcm(nonce, tenant))
        if len(sealed) != len(key) + _TAG:
            raise ConfigurationError(f"{self._token} does not append the tag, as AES-GCM must")
        return nonce + sealed

    def _decrypt(self, wrapped: bytes, tenant: str) -> bytes:
        nonce, sealed = wrapped[:_NONCE], wrapped[_NONCE:]
        if len(sealed) < _TAG:
            raise self._not_ours()
        with self._key("decrypt") as decrypt:
            return decrypt(sealed, **_gcm(nonce, tenant))

    @contextmanager
    def _key(self, verb: str) -> Generator[Callable[..., bytes]]:
        """Yield what the key does: `encrypt` or `decrypt`."""
        pin, pkcs11 = self._pin(), import_module("pkcs11")
        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
            pkcs11.Attribute.LABEL: self.key_label,
        }
        with _one_at_a_time(), self._session(_library(self.library), pin) as session:
            # Not `get_key`: of two keys it leaves a search open in a session that is closed.
            found = list(session.get_objects(wanted))
            if len(found) != 1:
                raise self._not_one_key(len(found))
            operation = getattr(found[0], verb, None)
            if operation is None:
                raise self._unfit(verb)
            yield operation

    @contextmanager
    def _session(self, library: Any, pin: str) -> Generator[Any]:
        pkcs11 = import_module("pkcs11")
        token = library.get_token(token_label=self.token_label)
        digest = hmac.digest(_CHECKSUM, pin.encode(), "sha256")
        if digest in self._refused:
            raise self._wrong_pin("; it is not tried again, so that the token is not locked")
        try:
            session = token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # some other part of this program is
            session = token.open()
        except pkcs11.PinIncorrect:
            self._refused.add(digest)
            raise
        with session:
            yield session

    def _pin(self) -> str:
        if self.pin_file is None:
            return self.pin() if callable(self.pin) else ""
        try:
            return read_private(self.pin_file).decode("utf-8", "replace").strip()
        except FileNotFoundError:
            raise KeyProviderUnavailableError(
                f"the PIN file {self.pin_file} does not exist"
            ) from None

    def _explained(self, verb: str, err: Exception) -> SealwireError:
        kind = type(err).__name__
        if kind in _UNAVAILABLE:
            return KeyProviderUnavailableError(f"{self._token} does not work now ({kind})")
        match kind:
            case "NoSuchToken":
                return KeyProviderUnavailableError(
                    f"{self._token} is not there: see that {self.library} reaches it"
                )
            case "MultipleTokensReturned":
                return ConfigurationError(f"there is more than one of {self._token}")
            case "PinIncorrect" | "PinLenRange" | "PinInvalid":
                return self._wrong_pin("")
            case "PinLocked" | "PinExpired" | "UserPinNotInitialized":
                return ConfigurationError(f"the PIN of {self._token} cannot be used ({kind})")
            case (
                "KeyFunctionNotPermitted"
                | "KeyTypeInconsistent"
                | "MechanismInvalid"
                | "MechanismParamInvalid"
            ):
                return self._unfit(verb)
            # What a module says about a tag that does not match differs: SoftHSM says GeneralError.
            case "EncryptedDataInvalid" | "EncryptedDataLenRange" | "GeneralError" if (
                verb == "decrypt"
            ):
                return self._not_ours()
            case _:
                return ConfigurationError(f"{self._token} refuses to {verb} ({kind})")

    @property
    def _token(self) -> str:
        return f"the token {self.token_label!r}"

    def _not_one_key(self, count: int) -> ConfigurationError:
        return ConfigurationError(
            f"{self._token} has {count} secret keys {self.key_label!r} that this user may see, "
            "and must have one"
        )

    def _unfit(self, verb: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._token} does not {verb} with {self.key_label!r} and AES-GCM: it must be an AES "
            "key with CKA_ENCRYPT and CKA_DECRYPT, and the token must know CKM_AES_GCM"
        )

    def _wrong_pin(self, addition: str) -> ConfigurationError:
        return ConfigurationError(f"{self._token} does not accept the PIN{addition}")

    def _not_ours(self) -> ConfigurationError:
        return ConfigurationError(
            f"the key {self.key_label!r} of {self._token} does not open this keyring: it belongs "
            "to another key or to another tenant, or was changed"
        )


# A call to a library cannot be given up, and a wrong PIN must not be sent again.
_PATIENCE: Final = Patience("the PKCS#11 library", 10.0, 0)


@contextmanager
def _one_at_a_time() -> Generator[None]:
    lock = _LOCKS.setdefault(os.getpid(), threading.Lock())
    if not lock.acquire(timeout=_WAIT):
        raise KeyProviderUnavailableError("another call to the PKCS#11 library does not end")
    try:
        yield
    finally:
        lock.release()


def _library(path: Path) -> Any:
    """Load the library, and start it again in a process that was forked; under the lock."""
    pkcs11, name = import_module("pkcs11"), str(path)
    try:
        library = pkcs11.lib(name)
    except pkcs11.PKCS11Error:
        problem = f"cannot load the PKCS#11 library {path}"
    else:
        if _STARTED.setdefault(name, os.getpid()) != os.getpid():
            with suppress(pkcs11.PKCS11Error):  # to some modules it never was started here
                library.finalize()
            library.initialize()
            _STARTED[name] = os.getpid()
        return library
    raise ConfigurationError(problem)


def _gcm(nonce: bytes, tenant: str) -> dict[str, Any]:
    pkcs11 = import_module("pkcs11")
    binding = _LABEL + tenant.encode("utf-8", "surrogatepass")
    return {
        "mechanism": pkcs11.Mechanism.AES_GCM,
        "mechanism_param": pkcs11.GCMParams(nonce, binding, _TAG * 8),
    }
