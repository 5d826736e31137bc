"""Data keys for payloads that carry their own key, wrapped by key-encryption keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, NoReturn

from sealwire.errors import (
    ConfigurationError,
    DecryptError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
    SealwireError,
)

from .data_key import MAX_WRAPS, DataKey, bound_to, pack_wraps, unpack_wraps
from .opened_keys import OpenedKey, OpenedKeys
from .present_key import PresentKey, WrappedKey
from .questions import Question, Questions
from .refresher import detached, wait, wait_sync
from .wrapper import KeyWrapper, TellsWhoWraps
from .wrappers import OneOrMore, Wrappers

_PATIENCE: Final = 0.5  # seconds to wait for an answer while an old one may still be used
_PAUSE: Final = 0.05  # seconds to wait for others, when too many questions are being asked
_TURNS: Final = 100  # how often; 5 seconds in all
_SHOWN: Final = 100  # characters of a name that a stranger chose


class DataKeys:
    """The data keys of one process: one to write with, and a cache of those that it reads with.

    `use` and `opened` neither wait nor do I/O. `ready` and `find` may ask the wrappers.

    Args:
        wrapper: The key-encryption keys: each wraps the keys that are written with, any one opens
            those that are read with. Nobody else is ever asked, whatever a payload names.
        tenant: Whose data keys; the wrappers bind them to it.
        read_only: Never make a key, for a process that must not, or need not, wrap.
        lifetime: Seconds after which the key to write with is replaced, and after which the wrap
            of one to read with is opened again, so that a withdrawn key-encryption key shows.
        encrypt_grace: For how many seconds beyond its lifetime to go on encrypting with a key
            while no new one can be wrapped.
        decrypt_grace: For how many seconds after its wrap was opened to go on decrypting with a
            key while no wrapper answers; at least the lifetime.
        max_messages: How many payloads a key seals before it is replaced early.
        max_cached: How many keys to read with are kept.
        clock: Returns the seconds since 1970; a test may pass a fake one.

    Raises:
        ConfigurationError: There is no wrapper, there are too many, one wraps with a public key, or
            a number is out of range.
    """

    def __init__(
        self,
        wrapper: OneOrMore,
        *,
        tenant: str = "default",
        read_only: bool = False,
        lifetime: float = 3600.0,
        encrypt_grace: float = 3600.0,
        decrypt_grace: float = 24 * 3600.0,
        max_messages: int = 2**20,
        max_cached: int = 1000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not lifetime > 0 or not encrypt_grace >= 0:  # NaN is neither
            raise ConfigurationError("lifetime must be positive, encrypt_grace not negative")
        if not decrypt_grace >= lifetime:
            raise ConfigurationError("decrypt_grace must not be under the lifetime")
        if max_messages < 1 or max_cached < 1:
            raise ConfigurationError("max_messages and max_cached must be 1 or more")
        wrappers = (wrapper,) if isinstance(wrapper, KeyWrapper) else tuple(wrapper)
        if len(wrappers) > MAX_WRAPS:
            raise ConfigurationError(f"a payload carries its key for at most {MAX_WRAPS} wrappers")
        if any(isinstance(item, TellsWhoWraps) and item.anyone_can_wrap for item in wrappers):
            raise ConfigurationError(
                "a wrapper has a public key: whoever knows it could seal payloads that are read "
                "here; take a symmetric key-encryption key, or a keyring"
            )
        self.tenant = tenant
        self.read_only = read_only
        self.wrappers = wrappers
        self._wrappers = Wrappers(wrappers)
        self._opened = OpenedKeys(lifetime, decrypt_grace, max_cached, clock)
        self._present = PresentKey(
            self._make, _explained, lifetime, encrypt_grace, max_messages, clock
        )
        self._questions = Questions(self._open, _explained, clock)

    def __repr__(self) -> str:
        return f"DataKeys(tenant={self.tenant!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("data keys cannot be copied or pickled: give the wrappers instead")

    def use(self) -> WrappedKey:
        """Return the key to seal one payload with.

        Raises:
            KeyNotFoundError: These keys are for reading only.
            KeyProviderUnavailableError: There is no key yet, or it is too old to go on with.
        """
        self._check_writable()
        return self._present.use()

    def opened(self, wraps: bytes) -> OpenedKey | None:
        """Return the data key in these wraps, or None when `find` has to ask for it."""
        return self._opened.get(wraps)

    def prove(self, opened: OpenedKey) -> None:
        """Note that an authentic payload was read with a key."""
        if not opened.proven:
            opened.proven = True
            self._questions.give_back()

    @property
    def is_ready(self) -> bool:
        """Whether `ready` would return at once."""
        return self.read_only or self._present.is_ready

    async def ready(self) -> None:
        """Make a key to write with, unless there is a good one.

        Raises:
            SealwireError: There is none yet, and none could be wrapped.
        """
        if not self.is_ready:
            await wait(*self._present.start())
            self._present.check()

    def ready_sync(self) -> None:
        """Like `ready`, and blocks the calling thread."""
        if not self.is_ready:
            wait_sync(*self._present.start())
            self._present.check()

    async def find(self, wanted: Sequence[bytes]) -> OpenedKey:
        """Open wraps, each once however many callers want it.

        Args:
            wanted: The wraps; not empty.

        Returns:
            The key of the first. The others come as they may.

        Raises:
            DecryptError: The first does not open.
            KeyNotFoundError: It is wrapped by none of our key-encryption keys.
            KeyProviderUnavailableError: They do not answer, or too many unknown wraps came.
        """
        for _ in range(_TURNS):
            mine, run = self._ask(wanted)
            if run is not None:
                await wait(run, self._patience(wanted[0], mine))
            if mine or run is None:
                return self._answer(wanted[0], mine)
        return self._answer(wanted[0], None)

    def find_sync(self, wanted: Sequence[bytes]) -> OpenedKey:
        """Like `find`, and blocks the calling thread."""
        for _ in range(_TURNS):
            mine, run = self._ask(wanted)
            if run is not None:
                wait_sync(run, self._patience(wanted[0], mine))
            if mine or run is None:
                return self._answer(wanted[0], mine)
        return self._answer(wanted[0], None)

    def _ask(self, wanted: Sequence[bytes]) -> tuple[Question | None, Future[None] | None]:
        """Ask for all; return the question for the first, and what to wait for."""
        first, *_ = [self._question(wraps) for wraps in wanted]
        if first is not None:
            return first, first.run
        # Too many are being asked for: an answer that is of use makes room.
        return None, self._questions.room() if self._is_needed(wanted[0]) else None

    def _question(self, wraps: bytes) -> Question | None:
        return self._questions.start(
            wraps, lambda: self._is_needed(wraps), free=self._opened.is_proven(wraps)
        )

    def _is_needed(self, wraps: bytes) -> bool:
        return self._opened.get(wraps) is None and not self._questions.is_refused(wraps)

    def _patience(self, wraps: bytes, mine: Question | None) -> float | None:
        if mine is None:
            return _PAUSE
        return _PATIENCE if self._opened.outlives_outage(wraps) else None

    def _answer(self, wraps: bytes, question: Question | None) -> OpenedKey:
        opened = self._opened.get(wraps)
        if opened is not None:
            return opened
        if self._questions.is_refused(wraps):
            raise self._refusal(wraps)
        opened = self._opened.prolong(wraps)
        if opened is not None:
            return opened
        if question is not None and question.asker.failure is not None:
            raise detached(question.asker.failure)
        raise KeyProviderUnavailableError(
            "too many payloads with unknown wrapped keys came at once: try again later"
        )

    def _refusal(self, wraps: bytes) -> SealwireError:
        names = [wrap.wrapper for wrap in unpack_wraps(wraps) or ()]
        if self._wrappers.known_names.isdisjoint(names):
            shown = ", ".join(name[:_SHOWN] for name in names)
            return KeyNotFoundError(
                f"the payload's key is wrapped by none of our key-encryption keys, but by {shown}; "
                "if that one is yours, add a wrapper for it"
            )
        return DecryptError(encoding="binary/enveloped-v1")

    def _check_writable(self) -> None:
        if self.read_only:
            raise KeyNotFoundError("these data keys are for reading only: nothing is encrypted")

    async def _make(self) -> WrappedKey:
        wraps, key = await self._wrappers.new(bound_to(self.tenant), DataKey)
        made = WrappedKey(key, pack_wraps(wraps))
        self._opened.put(made.wraps, key, proven=True)
        return made

    async def _open(self, wraps: bytes) -> None:
        wrapped_by = unpack_wraps(wraps) or ()
        try:
            key = await self._wrappers.unwrap(
                wrapped_by, bound_to(self.tenant), DataKey, "a data key"
            )
        except SealwireError as err:
            if not isinstance(err, KeyProviderUnavailableError):
                self._opened.drop(wraps)
            raise
        self._opened.put(wraps, key)


def _explained(failure: BaseException) -> SealwireError:
    if isinstance(failure, SealwireError):
        return detached(failure)
    # Only the kind of a foreign error is told: its text may hold credentials.
    return KeyProviderUnavailableError(
        f"the key-encryption keys cannot be used: {type(failure).__name__}"
    )
