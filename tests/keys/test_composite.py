"""`CompositeKeyProvider`: several providers as one, for a migration."""

from __future__ import annotations

import pytest

from sealwire.codecs import EncryptionCodec
from sealwire.errors import (
    ConfigurationError,
    KeyDisabledError,
    KeyNotFoundError,
    KeyProviderUnavailableError,
)
from sealwire.keys import (
    CompositeKeyProvider,
    Key,
    KeyProvider,
    Keyring,
    KeySet,
    KeySuite,
    StaticKeyProvider,
)
from sealwire.payload import Payload
from sealwire.testing import KeyProviderConformance, ScriptedKeyProvider

PLAIN = Payload(data=b"plain")
OLD, NEW = Key.generate("old"), Key.generate("new")
SHARED = Key("shared", bytes(range(32)), suite=KeySuite.INTEROP)


class TestConformance(KeyProviderConformance):
    """It keeps the contract of a provider."""

    def provider(self) -> KeyProvider:
        return CompositeKeyProvider(StaticKeyProvider(OLD), StaticKeyProvider(SHARED, NEW))


async def test_a_migration_writes_with_the_new_place_and_reads_both() -> None:
    """What was sealed from the old place is read after the new one was added."""
    before = EncryptionCodec(Keyring(StaticKeyProvider(OLD)), "default")
    both = CompositeKeyProvider(StaticKeyProvider(OLD), StaticKeyProvider(NEW))
    codec = EncryptionCodec(Keyring(both), "default")

    sealed = await codec.encode([PLAIN])

    assert b"new" == sealed[0].metadata.get("encryption-key-id")
    assert [PLAIN, PLAIN] == await codec.decode([*await before.encode([PLAIN]), *sealed])


async def test_suites_may_come_from_different_places() -> None:
    """A place with keys for other SDKs does not stop the other from sealing, in either order."""
    for order in ((SHARED, NEW), (NEW, SHARED)):
        keyring = Keyring(CompositeKeyProvider(*map(StaticKeyProvider, order)))
        await keyring.ready()
        assert "new" == keyring.encryption_key().id
        assert "shared" == keyring.encryption_key(KeySuite.INTEROP).id


async def test_a_copied_key_is_listed_once_and_as_new() -> None:
    """A key in both places takes its place from the last one."""
    provider = CompositeKeyProvider(StaticKeyProvider(OLD, NEW), StaticKeyProvider(OLD))
    assert ["new", "old"] == [key.id for key in (await provider.snapshot("t")).keys]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("gone", [{"disabled": True}, {"destroyed_at": 1.0}])
async def test_a_key_withdrawn_in_one_place_is_withdrawn(
    gone: dict[str, float], first: bool
) -> None:
    """A copy that was forgotten elsewhere does not bring it back."""
    material = bytes(range(32))
    good = StaticKeyProvider(Key("a", material, suite=KeySuite.INTEROP))
    tombstone = None if "destroyed_at" in gone else material
    bad = StaticKeyProvider(Key("a", tombstone, suite=KeySuite.INTEROP, **gone))  # type: ignore[arg-type]
    provider = CompositeKeyProvider(
        *((bad, good) if first else (good, bad)), StaticKeyProvider(NEW)
    )

    (key,) = [key for key in (await provider.snapshot("t")).keys if key.id == "a"]

    assert not key.readable


async def test_one_id_for_two_keys_is_refused() -> None:
    """Nobody could tell what a payload was sealed with."""
    for other in (Key.generate("old"), Key("old", bytes(range(32)), suite=KeySuite.INTEROP)):
        provider = CompositeKeyProvider(StaticKeyProvider(OLD), StaticKeyProvider(other))
        with pytest.raises(ConfigurationError, match="different keys with the id 'old'"):
            await provider.snapshot("t")


async def test_one_place_that_is_down_leaves_the_keyring_with_what_it_has() -> None:
    """Half of the keys would look like a lost half."""
    scripted = ScriptedKeyProvider(OLD)
    keyring = Keyring(CompositeKeyProvider(scripted, StaticKeyProvider(NEW)))
    await keyring.ready()
    scripted.fault = KeyProviderUnavailableError("down")

    with pytest.raises(KeyProviderUnavailableError):
        await keyring.refresh()
    assert "old" == keyring.decryption_key("old").id


async def test_versions_add_up_and_one_incomplete_place_makes_the_whole_so() -> None:
    """So a rollback of any place is one of the whole, and `get` is asked for what is not listed."""

    class Place(StaticKeyProvider):
        async def snapshot(self, tenant: str) -> KeySet:
            return KeySet(self.keys, version=len(self.keys), complete=False)

    provider = CompositeKeyProvider(Place(OLD, SHARED), StaticKeyProvider(NEW))
    found = await provider.snapshot("t")
    assert (2, False) == (found.version, found.complete)
    assert "old" == (await provider.get("old", "t")).id
    with pytest.raises(KeyNotFoundError, match="no provider has"):
        await provider.get("none", "t")


async def test_every_place_is_closed() -> None:
    """Also those after one that fails to close."""
    closed: list[str] = []

    class Closing(StaticKeyProvider):
        async def aclose(self) -> None:
            closed.append(self.keys[0].id)
            if self.keys[0] is OLD:
                raise KeyDisabledError("cannot close")

    with pytest.raises(KeyDisabledError):
        await CompositeKeyProvider(Closing(OLD), Closing(NEW)).aclose()
    assert ["old", "new"] == closed


def test_there_is_at_least_one_place() -> None:
    """Nothing to compose is a mistake."""
    with pytest.raises(ConfigurationError, match="at least one"):
        CompositeKeyProvider()
