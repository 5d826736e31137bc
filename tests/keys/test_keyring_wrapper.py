"""Keyring documents that a key of another keyring opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sealwire.errors import ConfigurationError, KeyDestroyedError, KeyDisabledError
from sealwire.keys import (
    FolderKeyringStore,
    Key,
    KeyLifecycle,
    Keyring,
    KeyringAdmin,
    KeyringWrapper,
    KeySuite,
    KeyWrapper,
    LocalKeyWrapper,
    StaticKeyProvider,
    WrappedKeyProvider,
)
from sealwire.testing import FakeClock, KeyWrapperConformance, ScriptedKeyProvider

ROOT = bytes(range(150, 182))
OTHER = bytes(range(210, 242))
DOCUMENT_KEY = bytes(range(200, 232))


class TestKeyringWrapper(KeyWrapperConformance):
    """A keyring with a key of each suite."""

    def wrapper(self) -> KeyWrapper:
        interop = Key("i", bytes(range(32)), suite=KeySuite.INTEROP)
        return KeyringWrapper(Keyring(StaticKeyProvider(interop, Key("k", ROOT)), tenant="root"))

    def other(self) -> KeyWrapper:
        return KeyringWrapper(Keyring(StaticKeyProvider(Key("k", OTHER)), tenant="other"))

    def secrets(self) -> list[bytes]:
        return [ROOT]


def wrapper_of(*keys: Key) -> KeyringWrapper:
    return KeyringWrapper(Keyring(StaticKeyProvider(*keys), tenant="root"))


async def test_what_was_wrapped_names_the_key() -> None:
    """The id of the key that wrapped stands before what it wrapped."""
    wrapped = await wrapper_of(Key("the-key", ROOT)).wrap(DOCUMENT_KEY, "shop")
    assert wrapped.startswith(b"\x07the-key")


async def test_another_key_of_the_same_name_opens_nothing() -> None:
    """Neither other bytes under the same id, nor the same bytes under another id, will do."""
    wrapped = await wrapper_of(Key("a", ROOT)).wrap(DOCUMENT_KEY, "shop")
    with pytest.raises(ConfigurationError, match="'a' of the keyring 'root' does not open"):
        await wrapper_of(Key("a", OTHER)).unwrap(wrapped, "shop")
    renamed = wrapped.replace(b"\x01a", b"\x01b", 1)
    with pytest.raises(ConfigurationError, match="'b' of the keyring 'root' does not open"):
        await wrapper_of(Key("b", ROOT)).unwrap(renamed, "shop")


async def test_a_key_that_the_keyring_lacks_is_named() -> None:
    """The error says which keyring lacks which key, and whose document it should have opened."""
    wrapped = await wrapper_of(Key("a", ROOT)).wrap(DOCUMENT_KEY, "shop")
    with pytest.raises(
        ConfigurationError, match="'root', which opens that of 'shop': the key 'a' is not in"
    ):
        await wrapper_of(Key("b", OTHER)).unwrap(wrapped, "shop")


@pytest.mark.parametrize(
    ("withdrawn", "error"),
    [
        (Key("a", ROOT, disabled=True), KeyDisabledError),
        (Key("a", None, destroyed_at=0.0), KeyDestroyedError),
    ],
)
async def test_a_withdrawn_key_opens_nothing(withdrawn: Key, error: type[Exception]) -> None:
    """The error is that of the key's state, and names both keyrings."""
    wrapped = await wrapper_of(Key("a", ROOT)).wrap(DOCUMENT_KEY, "shop")
    with pytest.raises(error, match="the keyring 'root', which opens that of 'shop'"):
        await wrapper_of(withdrawn, Key("b", OTHER)).unwrap(wrapped, "shop")


async def test_a_key_of_another_suite_does_not_wrap() -> None:
    """A key for search attributes or for other SDKs does not open documents."""
    wrapped = await wrapper_of(Key("a", ROOT)).wrap(DOCUMENT_KEY, "shop")
    index = wrapper_of(Key("a", ROOT, suite=KeySuite.INDEX), Key("b", OTHER))
    with pytest.raises(ConfigurationError, match="'a' is not for wrapping"):
        await index.unwrap(wrapped, "shop")


async def test_a_thousand_keyrings_take_one_look_at_the_first() -> None:
    """The keys that wrap are asked for once, however many documents they open."""
    provider = ScriptedKeyProvider(Key("a", ROOT))
    wrapper = KeyringWrapper(Keyring(provider, tenant="root"))
    for number in range(1000):
        tenant = f"shop-{number}"
        wrapped = await wrapper.wrap(DOCUMENT_KEY, tenant)
        assert DOCUMENT_KEY == await wrapper.unwrap(wrapped, tenant)
    assert 1 == provider.calls


async def test_documents_stay_readable_while_the_wrapping_keys_rotate(
    tmp_path: Path, wrapper: LocalKeyWrapper, clock: FakeClock
) -> None:
    """After a rotation the old key still opens; `rewrap` frees the document from it."""
    store = FolderKeyringStore(tmp_path / "keyrings")
    root = KeyringAdmin(store, wrapper, "root", clock)
    old = await root.create()
    reader = KeyringWrapper(Keyring(WrappedKeyProvider(store, wrapper), tenant="root", clock=clock))
    shop = KeyringAdmin(store, reader, "shop", clock)
    made = await shop.create()
    await root.rotate(delay=0.0)
    fresh = KeyringWrapper(Keyring(WrappedKeyProvider(store, wrapper), tenant="root", clock=clock))
    shop = replace(shop, wrapper=fresh)
    assert [made.id] == [key.id for key in (await shop.keys()).keys]

    await shop.rewrap(fresh)
    await KeyLifecycle(root).disable(old.id, even_if_in_use=True)
    last = KeyringWrapper(Keyring(WrappedKeyProvider(store, wrapper), tenant="root", clock=clock))
    assert [made.id] == [key.id for key in (await replace(shop, wrapper=last).keys()).keys]
