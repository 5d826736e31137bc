"""Several key-encryption keys for one key: two regions, or one for emergencies.

Each of them wraps the key, so any one of them opens the document, or the payload, that it is for.
They are asked in the order in which they are given, the nearest first.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Self, TypeAlias, TypeVar

from sealwire.errors import ConfigurationError, KeyProviderUnavailableError, SealwireError

from .document import Document, DocumentKey, Wrapping
from .wrapper import LOCAL_PREFIX, KeyWrapper, LocalKeyWrapper

T = TypeVar("T")
OneOrMore: TypeAlias = KeyWrapper | Sequence[KeyWrapper]

_SIZE: Final = 32  # bytes of a key that is drawn here
_log = logging.getLogger("sealwire.keys")


class Wrappers:
    """Who can open a key, in the order in which they are asked; remembers their names.

    Args:
        wrappers: One at least.

    Raises:
        ConfigurationError: There is none.
    """

    def __init__(self, wrappers: Sequence[KeyWrapper]) -> None:
        if not wrappers:
            raise ConfigurationError("there is no wrapper: nobody could open the keyring")
        self._wrappers = tuple(wrappers)
        self._names: dict[int, str] = {}  # by position: asking for a name may cost a call

    @classmethod
    def of(cls, wrapper: OneOrMore) -> Self:
        """Take one or several."""
        return cls(wrapper if isinstance(wrapper, Sequence) else (wrapper,))

    @property
    def known_names(self) -> frozenset[str]:
        """The names of the key-encryption keys, as far as they were asked for."""
        return frozenset(self._names.values())

    async def open(self, document: Document, what: str = "the keyring") -> DocumentKey:
        """Unwrap the document key with the first wrapper that can; see `unwrap`."""
        whose = f"{what} of {document.tenant!r}"
        return await self.unwrap(document.wrapped_by, document.tenant, DocumentKey, whose)

    async def unwrap(
        self, wrapped_by: Sequence[Wrapping], tenant: str, make: Callable[[bytes], T], what: str
    ) -> T:
        """Unwrap a key with the first wrapper that can.

        Args:
            wrapped_by: The key, wrapped once by each of its key-encryption keys.
            tenant: What it is bound to.
            make: Makes something of the bytes that shows them to nobody.
            what: What is opened by it, for messages.

        Raises:
            ConfigurationError: No wrapper can, and trying later will not help.
            KeyProviderUnavailableError: No wrapper can, and at least one did not answer.
        """
        failures: list[SealwireError] = []
        for position in range(len(self._wrappers)):
            tried = await self._try(position, wrapped_by, tenant, make, what)
            if not isinstance(tried, SealwireError):
                if failures:
                    _log.warning(
                        "%s was opened by the wrapper %d of %d: %s",
                        what,
                        position + 1,
                        len(self._wrappers),
                        _listed(failures),
                    )
                return tried
            failures.append(tried)
        raise _combined(what, failures)

    async def new_key(self, tenant: str) -> tuple[tuple[Wrapping, ...], DocumentKey]:
        """Make a document key; see `new`."""
        return await self.new(tenant, DocumentKey)

    async def new(self, tenant: str, make: Callable[[bytes], T]) -> tuple[tuple[Wrapping, ...], T]:
        """Draw a key and wrap it with each wrapper; what was wrapped is unwrapped again.

        Args:
            tenant: What it is bound to.
            make: Makes something of the bytes that shows them to nobody.

        Raises:
            ConfigurationError: A wrapper does not give back what it wrapped, or two are the same.
            KeyProviderUnavailableError: A wrapper does not answer.
        """
        names = [await self._name(position) for position in range(len(self._wrappers))]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(f"two of the wrappers are the same: {name}")
        secret = secrets.token_bytes(_SIZE)
        outcomes = [await _wrap(wrapper, secret, tenant) for wrapper in self._wrappers]
        made = make(secret)
        del secret  # a traceback may show the variables
        wrappings: list[Wrapping] = []
        for name, outcome in zip(names, outcomes, strict=True):
            if isinstance(outcome, SealwireError):
                raise outcome
            wrappings.append(Wrapping(name, outcome))
        return tuple(wrappings), made

    async def _try(
        self,
        position: int,
        wrapped_by: Sequence[Wrapping],
        tenant: str,
        make: Callable[[bytes], T],
        what: str,
    ) -> T | SealwireError:
        try:
            name = await self._name(position)
            found = _under(wrapped_by, name)
            if found is None:  # another file may have been put in the place of a key file
                self._names.pop(position, None)
                name = await self._name(position)
                found = _under(wrapped_by, name)
            if found is None:
                return _foreign(what, wrapped_by, name, self._wrappers[position])
            return make(await self._wrappers[position].unwrap(found.key, tenant))
        except Exception as err:  # noqa: BLE001 - whatever somebody else's wrapper raises
            return _safe(err, self._wrappers[position])

    async def _name(self, position: int) -> str:
        name = self._names.get(position)
        if name is None:
            name = self._names[position] = await self._wrappers[position].name()
        return name


async def _wrap(wrapper: KeyWrapper, secret: bytes, tenant: str) -> bytes | SealwireError:
    # Raises nothing itself: a traceback may show the variables.
    try:
        wrapped = await wrapper.wrap(secret, tenant)
        if hmac.compare_digest(await wrapper.unwrap(wrapped, tenant), secret):
            return wrapped
    except Exception as err:  # noqa: BLE001 - whatever somebody else's wrapper raises
        return _safe(err, wrapper)
    return ConfigurationError("the wrapper does not give back what it wrapped")


def _under(wrapped_by: Sequence[Wrapping], name: str) -> Wrapping | None:
    return next((item for item in wrapped_by if item.wrapper == name), None)


def _foreign(
    what: str, wrapped_by: Sequence[Wrapping], name: str, wrapper: KeyWrapper
) -> ConfigurationError:
    names = [wrapping.wrapper for wrapping in wrapped_by]
    a_key_file_opens = any(known.startswith(LOCAL_PREFIX) for known in names)
    if isinstance(wrapper, LocalKeyWrapper) and a_key_file_opens:
        fix = (
            f"{wrapper.path} belongs to another keyring or bundle: restore the right one from "
            "your backup"
        )
    else:
        fix = (
            "the configuration names another key-encryption key: check [[keyring.wrapper]], "
            "or key_file"
        )
    known = ", ".join(names) or "nothing"
    return ConfigurationError(f"{what} is wrapped by {known}, not by {name}; {fix}")


def _combined(what: str, failures: list[SealwireError]) -> SealwireError:
    if len(failures) == 1:
        return failures[0]
    later = any(isinstance(err, KeyProviderUnavailableError) for err in failures)
    kind = KeyProviderUnavailableError if later else ConfigurationError
    return kind(f"none of {len(failures)} wrappers opens {what}: {_listed(failures)}")


def _listed(failures: list[SealwireError]) -> str:
    return "; ".join(f"({number}) {err}" for number, err in enumerate(failures, 1))


def _safe(err: Exception, wrapper: KeyWrapper) -> SealwireError:
    if not isinstance(err, SealwireError):
        # Only the kind of a foreign error is told: its text may hold credentials.
        return KeyProviderUnavailableError(f"{type(wrapper).__name__} raised {type(err).__name__}")
    # The frames that it passed hold the key in clear.
    err.__cause__ = err.__context__ = None
    return err.with_traceback(None)
