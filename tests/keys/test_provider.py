from __future__ import annotations

import asyncio
import math
from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwire.errors import ConfigurationError, KeyNotFoundError
from sealwire.keys import (
    FileKeyringStore,
    Key,
    KeyProvider,
    KeyringAdmin,
    KeySet,
    KeyState,
    KeySuite,
    LocalKeyWrapper,
    StaticKeyProvider,
    WrappedKeyProvider,
)
from sealwire.testing.keys import KeyProviderConformance, ScriptedKeyProvider

ROOT = bytes(range(128, 160))
DAY = 86_400.0


class TestStaticKeyProvider(KeyProviderConformance):
    """The static provider keeps the contract."""

    def provider(self) -> KeyProvider:
        return StaticKeyProvider(Key.generate("a"), Key.generate("b"))


class TestScriptedKeyProvider(KeyProviderConformance):
    """The fake keeps the contract while nothing is scripted, so it can stand for a real one."""

    def provider(self) -> KeyProvider:
        return ScriptedKeyProvider(Key.generate("a"), Key.generate("b"))


class TestWrappedKeyProvider(KeyProviderConformance):
    """The provider of keyring documents keeps the contract."""

    @pytest.fixture(autouse=True)
    def _document(self, admin: KeyringAdmin) -> None:
        asyncio.run(admin.create())
        asyncio.run(admin.rotate(delay=0.0))
        self.store, self.wrapper = admin.store, admin.wrapper

    def provider(self) -> KeyProvider:
        return WrappedKeyProvider(self.store, self.wrapper)


# The state of a key at moments around its times, where `other` is a key that encrypts since 0.
AGES = {"long before": -DAY, "just before": -0.001, "at": 0.0, "just after": 0.001}
PLAIN = ("pending", "pending", "active", "active")
WITHDRAWN = ("disabled",) * 4
LIVES: list[tuple[str, Key, tuple[str, ...]]] = [
    ("plain", Key("k", ROOT, encrypt_from=DAY), PLAIN),
    ("disabled", Key("k", ROOT, encrypt_from=DAY, disabled=True), WITHDRAWN),
    (
        "destroy scheduled",
        Key("k", ROOT, destroyed_at=DAY),
        ("destroy-scheduled", "destroy-scheduled", "destroyed", "destroyed"),
    ),
    (
        "destroy scheduled and disabled",
        Key("k", ROOT, disabled=True, destroyed_at=DAY),
        ("destroy-scheduled", "destroy-scheduled", "destroyed", "destroyed"),
    ),
    ("erased early", Key("k", None, destroyed_at=DAY), ("destroyed",) * 4),
]


@pytest.mark.parametrize(
    ("key", "moment", "expected"),
    [
        pytest.param(key, DAY + offset, KeyState(state), id=f"{name}, {age}")
        for name, key, states in LIVES
        for (age, offset), state in zip(AGES.items(), states, strict=True)
    ],
)
def test_state_follows_from_the_key_and_the_clock(
    key: Key, moment: float, expected: KeyState
) -> None:
    """Each kind of key has the documented state before, at and after its moment."""
    other = Key("other", ROOT, encrypt_from=0.0)
    assert expected is KeySet((other, key)).state(key, moment)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (9.0, ["pending", "pending", "pending"]),
        (10.0, ["active", "pending", "pending"]),
        (20.0, ["decrypt-only", "active", "pending"]),
        (30.0, ["decrypt-only", "decrypt-only", "active"]),
        (math.inf, ["decrypt-only", "decrypt-only", "active"]),
    ],
)
def test_each_key_replaces_the_one_before(moment: float, expected: list[str]) -> None:
    """Of three keys at most one is active at any time: the newest whose time has come."""
    keys = tuple(Key(f"k{n}", ROOT, encrypt_from=10.0 * n) for n in (1, 2, 3))
    key_set = KeySet(keys)
    assert expected == [key_set.state(key, moment).value for key in keys]


def test_a_key_that_encrypts_at_once_replaces_a_pending_one() -> None:
    """A pending key that a newer one has overtaken never becomes active."""
    old, pending, immediate = Key("a", ROOT), Key("b", ROOT, encrypt_from=20.0), Key("c", ROOT)
    key_set = KeySet((old, pending, immediate))
    for now in (10.0, 20.0, math.inf):
        assert immediate is key_set.primary(KeySuite.SEALED, now)
        assert KeyState.DECRYPT_ONLY is key_set.state(pending, now)


def test_of_keys_with_the_same_time_the_last_is_primary() -> None:
    """The list goes from the oldest to the newest, so the last one wins a tie."""
    keys = (Key("a", ROOT), Key("b", ROOT))
    assert keys[1] is KeySet(keys).primary(KeySuite.SEALED, 0.0)


@pytest.mark.parametrize(
    "withdrawn",
    [
        Key("new", ROOT, encrypt_from=5.0, disabled=True),
        Key("new", ROOT, encrypt_from=5.0, destroyed_at=99.0),
        Key("new", None, encrypt_from=5.0, destroyed_at=1.0),
    ],
)
def test_a_withdrawn_key_hands_back_to_the_one_before(withdrawn: Key) -> None:
    """When the newest key is disabled or to be destroyed, the one before encrypts again."""
    old = Key("old", ROOT)
    key_set = KeySet((old, withdrawn))
    assert old is key_set.primary(KeySuite.SEALED, 10.0)
    assert KeyState.ACTIVE is key_set.state(old, 10.0)


def test_each_suite_has_a_primary_of_its_own() -> None:
    """A key never encrypts for the other suite, and a suite without keys has no primary."""
    sealed = Key("sealed", ROOT)
    interop = Key("interop", ROOT, suite=KeySuite.INTEROP, encrypt_from=9.0)
    both = KeySet((sealed, interop))
    assert sealed is both.primary(KeySuite.SEALED, 10.0)
    assert interop is both.primary(KeySuite.INTEROP, 10.0)
    assert both.primary(KeySuite.INTEROP, 8.0) is None
    assert KeySet((sealed,)).primary(KeySuite.INTEROP, 10.0) is None


KEYS = st.builds(
    Key,
    st.uuids().map(str),
    st.just(ROOT),
    suite=st.sampled_from(KeySuite),
    encrypt_from=st.integers(0, 20).map(float),
    disabled=st.booleans(),
    destroyed_at=st.none() | st.integers(0, 20).map(float),
)


@given(st.lists(KEYS, max_size=8).map(tuple), st.integers(0, 21).map(float))
def test_one_key_of_a_suite_is_active(keys: tuple[Key, ...], now: float) -> None:
    """Whatever the keys, exactly the primary of each suite is active, and it may encrypt."""
    key_set = KeySet(keys)
    for suite in KeySuite:
        active = [
            key for key in keys if key.suite is suite and key_set.state(key, now) is KeyState.ACTIVE
        ]
        primary = key_set.primary(suite, now)
        assert active == ([] if primary is None else [primary])
        assert all(key.readable and key.encrypt_from <= now for key in active)


@given(st.lists(KEYS, max_size=6).map(tuple))
def test_states_change_only_at_the_listed_moments(keys: tuple[Key, ...]) -> None:
    """Between two of the moments that `changes` lists, no state changes."""
    key_set = KeySet(keys)
    moments = sorted({-1.0, *key_set.changes(), 100.0})
    for start, end in pairwise(moments):
        inside = [start, start + (end - start) / 3, start + (end - start) * 0.99]
        assert 1 == len({tuple(key_set.state(key, now) for key in keys) for now in inside})


async def test_the_static_provider_gives_what_it_was_given() -> None:
    """It lists its keys in order, finds each by id, and names the id that it does not know."""
    keys = (Key("a", ROOT), Key("b", ROOT))
    provider = StaticKeyProvider(*keys)
    assert KeySet(keys) == await provider.snapshot("anybody")
    assert keys[1] is await provider.get("b", "anybody")
    with pytest.raises(KeyNotFoundError, match="no key 'c' in the static list") as caught:
        await provider.get("c", "anybody")
    assert "c" == caught.value.key_id


def test_the_static_provider_refuses_a_list_that_means_nothing() -> None:
    """It needs keys, and none of their ids twice."""
    with pytest.raises(ConfigurationError, match="at least one key"):
        StaticKeyProvider()
    with pytest.raises(ConfigurationError, match="two keys have the same id"):
        StaticKeyProvider(Key("a", ROOT), Key("a", ROOT))


def test_key_sets_and_providers_cannot_be_changed() -> None:
    """Both are values."""
    key = Key("a", ROOT)
    for value in (KeySet((key,)), StaticKeyProvider(key)):
        with pytest.raises(FrozenInstanceError):
            value.keys = ()  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]


def test_providers_are_recognized_by_their_methods(
    store: FileKeyringStore, wrapper: LocalKeyWrapper
) -> None:
    """Neither a store nor a wrapper is a provider, however similar."""
    assert isinstance(WrappedKeyProvider(store, wrapper), KeyProvider)
    assert not isinstance(store, KeyProvider)
    assert not isinstance(wrapper, KeyProvider)
