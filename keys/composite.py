"""Keys of several providers as one: for a migration from one place to another."""

from __future__ import annotations

from dataclasses import dataclass

from sealwire.errors import ConfigurationError, KeyNotFoundError

from .key import Key
from .provider import KeyProvider, KeySet


@dataclass(frozen=True, init=False)
class CompositeKeyProvider:
    """The keys of all providers, those of the last one being the newest.

    So the last provider that has an active key of a suite encrypts with it, and all decrypt. A key
    that was copied from one provider to another may be in both; if one of them has withdrawn it,
    it is withdrawn.

    While one provider is down, the whole is: a keyring then goes on with what it has.

    Args:
        providers: From the oldest to the newest.

    Raises:
        ConfigurationError: There is no provider.
    """

    providers: tuple[KeyProvider, ...]

    def __init__(self, *providers: KeyProvider) -> None:
        if not providers:
            raise ConfigurationError("a composite key provider needs at least one provider")
        object.__setattr__(self, "providers", providers)

    async def snapshot(self, tenant: str) -> KeySet:
        """Return the keys of all providers.

        Raises:
            KeyProviderUnavailableError: One of them does not answer.
            ConfigurationError: Two have different keys with the same id.
        """
        sets = [await provider.snapshot(tenant) for provider in self.providers]
        keys: dict[str, Key] = {}
        for key in (key for found in sets for key in found.keys):
            other = keys.pop(key.id, key)  # the newer copy takes the newer place
            _check_same(other, key)
            # What was withdrawn in one place is withdrawn.
            keys[key.id] = key if other.readable or not key.readable else other
        # Each version only grows, and so does their sum.
        return KeySet(
            tuple(keys.values()),
            sum(found.version for found in sets),
            complete=all(found.complete for found in sets),
        )

    async def get(self, key_id: str, tenant: str) -> Key:
        """Return a key of the newest provider that has it.

        Raises:
            KeyNotFoundError: None has it.
            KeyProviderUnavailableError: One of them does not answer.
        """
        for provider in reversed(self.providers):
            try:
                return await provider.get(key_id, tenant)
            except KeyNotFoundError:
                continue
        raise KeyNotFoundError(f"no provider has the key {key_id!r}", key_id=key_id)

    async def aclose(self) -> None:
        """Close every provider, also when one of them fails to."""
        failure: Exception | None = None
        for provider in self.providers:
            try:
                await provider.aclose()
            except Exception as err:  # noqa: BLE001 - a provider may be anybody's
                failure = err
        if failure is not None:
            raise failure


def _check_same(one: Key, other: Key) -> None:
    # A destroyed key has no check value any more.
    differ = one.check_value != other.check_value and one.check_value and other.check_value
    if differ or one.suite is not other.suite:
        raise ConfigurationError(
            f"two providers have different keys with the id {one.id!r}; an id is never used twice",
            key_id=one.id,
        )
