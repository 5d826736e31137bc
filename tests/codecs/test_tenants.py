"""`TenantEncryptionCodec`: whose keys seal and open what, and whose payloads are read."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealwire.codecs import (
    CodecChain,
    CompressionCodec,
    DecodePolicy,
    EncryptionCodec,
    PayloadCodec,
    PolicyMode,
    TenantEncryptionCodec,
    WorkflowIdTenant,
)
from sealwire.errors import (
    ConfigurationError,
    ContextMismatchError,
    DecryptError,
    KeyDestroyedError,
    KeyProviderUnavailableError,
    KeyringNotFoundError,
    UnencryptedPayloadError,
)
from sealwire.keys import (
    FolderKeyringStore,
    Key,
    Keyring,
    KeyringAdmin,
    KeyringShredder,
    KeyringWrapper,
    KeySet,
    KeySuite,
    LocalKeyWrapper,
    StaticKeyProvider,
    TenantKeyrings,
    WrappedKeyProvider,
)
from sealwire.payload import ENCRYPTION_CONTEXT, Payload
from sealwire.testing import FakeClock, PayloadCodecConformance

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"the secret of the house"')
BY_ID = WorkflowIdTenant("([^/]+)/")
INTEROP = Key("shared", bytes(range(100, 132)), suite=KeySuite.INTEROP)


class Provider:
    """Has keys for each tenant of one letter, and counts who is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def snapshot(self, tenant: str) -> KeySet:
        self.asked.append(tenant)
        if len(tenant) != 1:
            raise KeyringNotFoundError(f"there is no keyring for {tenant!r}")
        # The same id for all: the bytes alone tell the tenants apart.
        return KeySet((INTEROP, Key("k", bytes([ord(tenant)]) + bytes(range(200, 231)))))

    async def get(self, key_id: str, tenant: str) -> Key:
        raise NotImplementedError

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Context:
    """What the SDK gives for a workflow."""

    namespace: str
    workflow_id: str


def codec_of(provider: Provider | None = None, **options: Any) -> TenantEncryptionCodec:
    options.setdefault("tenant_of", BY_ID)
    options.setdefault("namespace", "default")
    return TenantEncryptionCodec(TenantKeyrings(provider or Provider()), **options)


class TestByWorkflowId(PayloadCodecConformance):
    """The tenant of the workflow id, which the context tells."""

    def codec(self) -> PayloadCodec:
        return codec_of(tenant="a")

    def context(self) -> object:
        return Context("default", "b/1")


class TestByNamespace(PayloadCodecConformance):
    """The namespace as the tenant."""

    def codec(self) -> PayloadCodec:
        return codec_of(tenant_of="namespace", namespace="n")

    def context(self) -> object:
        return Context("n", "1")


class TestDefaultTenant(PayloadCodecConformance):
    """A tenant whose payloads state none."""

    def codec(self) -> PayloadCodec:
        return codec_of(default_tenant="d")


def other_tenants(codec: TenantEncryptionCodec) -> TenantEncryptionCodec:
    return codec.with_context(Context("default", "b/1"))


def test_each_tenant_reads_only_its_own() -> None:
    """Another tenant's payload is refused, whatever the namespace, and its keys are not asked."""
    provider = Provider()
    [sealed] = codec_of(tenant="a").encode_sync([PLAIN])
    with pytest.raises(ContextMismatchError, match=r"tenant 'a', .* is 'b'; .* accept_tenants"):
        codec_of(provider, tenant="b").decode_sync([sealed])
    assert [] == provider.asked


def test_who_is_accepted_is_read_beside_the_own() -> None:
    """A batch may hold payloads of several tenants, in any order."""
    codec = codec_of(tenant="a", accept_tenants={"b"})
    mixed = [
        *codec_of(tenant="a").encode_sync([PLAIN]),
        *codec_of(tenant="b").encode_sync([Payload(), PLAIN]),
        *codec_of(tenant="a").encode_sync([Payload(data=b"x")]),
    ]
    assert [PLAIN, Payload(), PLAIN, Payload(data=b"x")] == codec.decode_sync(mixed)
    assert codec.decode_sync(mixed) == asyncio.run(codec.decode(mixed))
    [foreign] = codec_of(tenant="c").encode_sync([PLAIN])
    with pytest.raises(ContextMismatchError) as caught:
        codec.decode_sync([*mixed, foreign])
    assert 4 == caught.value.index


async def test_an_error_names_the_place_in_the_whole_batch() -> None:
    """However many tenants' payloads stand before it, in every way of calling."""
    codec = codec_of(tenant="a", accept_tenants={"b"})
    batch = [
        payload for tenant in "abb" for payload in codec_of(tenant=tenant).encode_sync([PLAIN])
    ]
    batch[2].data = batch[2].data[:-1] + bytes([batch[2].data[-1] ^ 1])
    for call in (codec.decode(batch), codec.rewrap(batch)):
        with pytest.raises(DecryptError) as caught:
            await call
        assert 2 == caught.value.index
    for blocking in (codec.decode_sync, codec.rewrap_sync):
        with pytest.raises(DecryptError) as blocked:
            blocking(batch)
        assert 2 == blocked.value.index


def test_a_keyring_that_was_dropped_is_not_used_again() -> None:
    """Who comes back gets the keys of now, also where several codecs share the keyrings."""
    provider = Provider()
    keyrings = TenantKeyrings(provider, limit=1)
    one, two = (
        TenantEncryptionCodec(keyrings, BY_ID, tenant, namespace="default") for tenant in "ab"
    )
    for codec in (one, two, one):
        codec.encode_sync([PLAIN])
    present = keyrings.get("a")
    assert present is not None
    assert ["a", "b", "a"] == provider.asked
    assert all(item.keyring is present for item in one._codecs.values())  # pyright: ignore[reportPrivateUsage]


def test_tools_read_every_tenant() -> None:
    """With "any", the payload alone tells, without any context."""
    codec = codec_of(accept_tenants="any")
    for tenant in "abc":
        assert [PLAIN] == codec.decode_sync(codec_of(tenant=tenant).encode_sync([PLAIN]))


def test_without_a_tenant_nothing_is_read() -> None:
    """The error names the setting."""
    [sealed] = codec_of(tenant="a").encode_sync([PLAIN])
    with pytest.raises(ContextMismatchError, match=r"decoder's is not known; .* accept_tenants"):
        codec_of().decode_sync([sealed])


async def test_without_a_tenant_nothing_is_sealed() -> None:
    """The error says what to do; what is sealed already passes."""
    codec = codec_of()
    with pytest.raises(ContextMismatchError, match=r"name the workflow .* or set default_tenant"):
        await codec.encode([PLAIN])
    sealed = codec_of(tenant="a").encode_sync([PLAIN])
    assert sealed == await codec.encode(sealed)
    assert [] == codec.encode_sync([])


def test_the_tenant_is_what_the_key_says() -> None:
    """A payload that is relabelled for another accepted tenant is not authentic."""
    reader = codec_of(accept_tenants="any")
    [sealed] = codec_of(tenant="a").encode_sync([PLAIN])
    context = sealed.metadata.get(ENCRYPTION_CONTEXT) or b""
    assert context.endswith(b"\x00\x00\x00\x06tenant\x00\x00\x00\x01a")
    forged = Payload(metadata=sealed.metadata, data=sealed.data)
    forged.metadata[ENCRYPTION_CONTEXT] = context[:-1] + b"b"
    with pytest.raises(DecryptError):
        reader.decode_sync([forged])


@pytest.mark.parametrize(
    "context",
    [b"", b"\x00", bytes(5000), b"\x00\x00\x00\x01\x00\x00\x00\x06tenant\x00\x00\x00\x01\xff"],
    ids=["empty", "short", "long", "no text"],
)
def test_a_context_that_nobody_wrote_is_a_forgery(context: bytes) -> None:
    """It is refused before any tenant is asked for."""
    provider = Provider()
    [sealed] = codec_of(tenant="a").encode_sync([PLAIN])
    sealed.metadata[ENCRYPTION_CONTEXT] = context
    with pytest.raises(DecryptError):
        codec_of(provider, accept_tenants="any").decode_sync([sealed])
    assert [] == provider.asked


def test_invented_tenants_are_not_asked_for_without_end() -> None:
    """A thousand payloads of a thousand invented tenants make twenty calls."""
    provider = Provider()
    keyrings = TenantKeyrings(provider, clock=FakeClock())
    codec = TenantEncryptionCodec(keyrings, BY_ID, accept_tenants="any", namespace="default")
    for number in range(1000):
        forged = sealed_for(f"invented-{number}")
        with pytest.raises(KeyProviderUnavailableError):
            codec.decode_sync([forged])
    assert 20 == len(provider.asked)


def sealed_for(tenant: str) -> Payload:
    keyring = Keyring(StaticKeyProvider(Key("k", bytes(range(200, 232)))))
    maker = EncryptionCodec(keyring, "default", context={"tenant": tenant})
    return maker.encode_sync([PLAIN])[0]


@pytest.mark.parametrize("tenant", ["../../etc/passwd", "/etc/passwd", "..", "x" * 3000, "a\x00b"])
def test_a_hostile_name_reaches_no_other_file(
    tmp_path: Path, tenant: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a payload calls its tenant, there is no keyring of it, and nothing is made."""
    key = LocalKeyWrapper(tmp_path / "key")
    provider = WrappedKeyProvider(FolderKeyringStore(tmp_path / "keyrings"), key)
    codec = TenantEncryptionCodec(
        TenantKeyrings(provider), BY_ID, accept_tenants="any", namespace="default"
    )
    with pytest.raises((KeyringNotFoundError, ConfigurationError)) as caught:
        codec.decode_sync([sealed_for(tenant)])
    assert len(str(caught.value)) < 500
    assert [] == list(tmp_path.iterdir())
    assert "" == capfd.readouterr().err


# The context that the SDK gives


def test_a_context_tells_the_tenant() -> None:
    """Workflows and their activities have the workflow's id; a schedule has its beginning."""
    codec = codec_of(namespace=None)
    workflow = codec.with_context(Context("default", "a/order-7"))
    activity = codec.with_context(
        SimpleNamespace(namespace="default", workflow_id="a/order-7", activity_id=None)
    )
    schedule = codec.with_context(Context("default", "a/nightly"))
    started = codec.with_context(Context("default", "a/nightly-2026-11-28T00:00:00Z"))
    assert workflow is activity is schedule is started
    assert [PLAIN] == codec_of(tenant="a").decode_sync(workflow.encode_sync([PLAIN]))


@pytest.mark.parametrize(
    "context",
    [
        SimpleNamespace(namespace="default"),
        SimpleNamespace(namespace="default", workflow_id=None),
        SimpleNamespace(endpoint="e", service="s", operation="o"),
        Context("default", "without-a-tenant"),
        Context("ReplayNamespace", ""),
        None,
    ],
)
def test_a_context_without_a_tenant_changes_nothing(context: object) -> None:
    """Codec servers, standalone activities, Nexus operations and lists of memos have none."""
    codec = codec_of()
    assert codec is codec.with_context(context)


def test_any_function_may_tell_the_tenant() -> None:
    """Whatever it finds in the context."""

    def by_queue(context: Any) -> str | None:
        return getattr(context, "task_queue", None)

    codec = codec_of(tenant_of=by_queue)
    bound = codec.with_context(SimpleNamespace(namespace="default", task_queue="a"))
    assert [PLAIN] == codec_of(tenant="a").decode_sync(bound.encode_sync([PLAIN]))


def test_another_clients_namespace_is_a_mistake() -> None:
    """It is refused as `EncryptionCodec` refuses it."""
    with pytest.raises(ConfigurationError, match="configured for the namespace 'default'"):
        codec_of().with_context(Context("other", "a/1"))


def test_namespaces_stay_apart_within_a_tenant() -> None:
    """The same tenant's payload of another namespace is refused once it is authentic."""
    codec = codec_of(namespace=None)
    here, there = (codec.with_context(Context(name, "a/1")) for name in ("here", "there"))
    with pytest.raises(ContextMismatchError, match="sealed for the namespace 'here'"):
        there.decode_sync(here.encode_sync([PLAIN]))


def test_invented_tenants_do_not_fill_memory() -> None:
    """Codecs for contexts are kept up to the limit of keyrings."""
    codec = TenantEncryptionCodec(TenantKeyrings(Provider(), limit=10), BY_ID)
    for number in range(100):
        codec.with_context(Context("default", f"t{number}/1"))
    assert len(codec._clones) <= 10  # pyright: ignore[reportPrivateUsage]


def test_a_pattern_has_one_group() -> None:
    """Anything else is refused at start-up."""
    assert "c-42" == WorkflowIdTenant("(?:order|refund)-(c-[0-9]+)")(Context("n", "order-c-42-7"))
    assert WorkflowIdTenant("(c-[0-9]+)")(Context("n", "order-c-42")) is None
    for pattern, told in (("c-", "has 0 groups"), ("(a)(b)", "has 2 groups"), ("(", "not a reg")):
        with pytest.raises(ConfigurationError, match=told):
            WorkflowIdTenant(pattern)


# A keyring for each namespace


def test_a_namespace_may_be_the_tenant() -> None:
    """The stored namespace is enough: nothing else stands in the payload."""
    codec = codec_of(tenant_of="namespace", namespace=None)
    bound = codec.with_context(Context("n", "1"))
    [sealed] = bound.encode_sync([PLAIN])
    key = Key("k", b"n" + bytes(range(200, 231)))
    plain = EncryptionCodec(Keyring(StaticKeyProvider(key)), "n")
    assert [PLAIN] == plain.decode_sync([sealed])
    assert [PLAIN] == bound.decode_sync(plain.encode_sync([PLAIN]))
    with pytest.raises(ContextMismatchError, match="accept_tenants"):
        codec.with_context(Context("m", "1")).decode_sync([sealed])


@pytest.mark.parametrize(
    "accepting",
    [{"accept_tenants": ["n"]}, {"policy": DecodePolicy(accept_namespaces=frozenset("n"))}],
)
def test_an_accepted_namespace_is_read_with_its_own_keys(accepting: dict[str, Any]) -> None:
    """Either setting will do."""
    [sealed] = codec_of(tenant_of="namespace", namespace="n").encode_sync([PLAIN])
    reader = codec_of(tenant_of="namespace", namespace="m", **accepting)
    assert [PLAIN] == reader.decode_sync([sealed])


# Payloads of the time before there were tenants


def test_the_keyring_of_before_goes_on_as_the_default_tenant() -> None:
    """Its payloads state no tenant, before and afterwards, so both readers read both."""
    before = EncryptionCodec(
        Keyring(StaticKeyProvider(Key("k", b"d" + bytes(range(200, 231))))), "default"
    )
    after = codec_of(default_tenant="d")
    assert [PLAIN] == after.decode_sync(before.encode_sync([PLAIN]))
    assert [PLAIN] == before.decode_sync(after.encode_sync([PLAIN]))


def test_payloads_of_before_are_read_where_they_are_accepted() -> None:
    """In the context of a tenant, the default one is somebody else."""
    old = codec_of(default_tenant="d").encode_sync([PLAIN])
    strict = codec_of(default_tenant="d", tenant="a")
    with pytest.raises(ContextMismatchError, match=r"tenant 'd'.* accept_tenants"):
        strict.decode_sync(old)
    loose = codec_of(default_tenant="d", tenant="a", accept_tenants=["d"])
    assert [PLAIN] == loose.decode_sync(old)


def test_a_payload_that_states_no_tenant_is_refused_without_a_default() -> None:
    """The message is that of every missing pair."""
    keyring = Keyring(StaticKeyProvider(Key("k", b"a" + bytes(range(200, 231)))))
    sealed = EncryptionCodec(keyring, "default").encode_sync([PLAIN])
    with pytest.raises(ContextMismatchError, match="names no tenant"):
        codec_of(tenant="a").decode_sync(sealed)


def test_interop_payloads_are_read_and_not_written() -> None:
    """They state no tenant: the default one's keys open them, or the own ones."""
    writer = EncryptionCodec(Keyring(StaticKeyProvider(INTEROP)), format="interop")
    sealed = writer.encode_sync([PLAIN])
    assert [PLAIN] == codec_of(tenant="a").decode_sync(sealed)
    assert [PLAIN] == codec_of(default_tenant="d").decode_sync(sealed)
    with pytest.raises(ContextMismatchError, match="tenant to read for is not known"):
        codec_of(accept_tenants="any").decode_sync(sealed)


def test_plaintext_is_a_matter_of_the_policy_alone() -> None:
    """No tenant is needed to refuse it, or to let it pass and count it."""
    with pytest.raises(UnencryptedPayloadError) as caught:
        codec_of().decode_sync([PLAIN])
    assert 0 == caught.value.index
    migrating = codec_of(policy=DecodePolicy(PolicyMode.MIGRATE))
    bound = migrating.with_context(Context("default", "a/1"))
    assert [PLAIN, PLAIN] == bound.decode_sync([PLAIN, *bound.encode_sync([PLAIN])])
    assert {"json/plain": 1} == migrating.counters.plaintext
    marked = Payload(metadata={"encoding": b"json/plain", "encryption-x": b""})
    with pytest.raises(DecryptError) as forged:
        codec_of(policy=DecodePolicy(PolicyMode.OPEN)).decode_sync([PLAIN, marked])
    assert 1 == forged.value.index


def test_contradictions_are_refused() -> None:
    """When the codec is built, and not at the first payload."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({"tenant_of": "namespace", "tenant": "a"}, "namespace is the tenant"),
        ({"tenant_of": "namespace", "default_tenant": "a"}, "namespace is the tenant"),
        ({"context": {"tenant": "a"}}, "give the tenant as `tenant`"),
        ({"accept_tenants": "every"}, 'a list of tenants, or "any"'),
        ({"context": {"x": "y" * 5000}}, "at most 16 pairs"),
        ({"tenant": "x" * 5000}, "at most 16 pairs"),
    ]
    for options, told in cases:
        with pytest.raises(ConfigurationError, match=told):
            codec_of(**options)


def test_a_codec_shows_its_configuration_alone() -> None:
    """Two of the same are equal; neither keys nor caches are in its `repr`."""
    keyrings = TenantKeyrings(Provider())
    one, two = (TenantEncryptionCodec(keyrings, BY_ID, "a") for _ in range(2))
    assert one == two
    assert "Key(" not in repr(one)


# Re-encrypting


async def test_payloads_are_rewrapped_each_for_its_tenant() -> None:
    """What is current is left; another codec may be the target, of one tenant or of several."""
    sealed = [
        *codec_of(tenant="a", context={"old": "1"}).encode_sync([PLAIN]),
        *codec_of(tenant="b").encode_sync([PLAIN]),
    ]
    tool = codec_of(accept_tenants="any")
    renewed = await tool.rewrap(sealed)
    assert renewed[1] is sealed[1]
    for tenant, outer in zip("ab", renewed, strict=True):
        assert [PLAIN] == codec_of(tenant=tenant).decode_sync([outer])
    moved = tool.rewrap_sync(sealed, codec_of(tenant="c"))
    assert [PLAIN, PLAIN] == codec_of(tenant="c").decode_sync(moved)
    with pytest.raises(ContextMismatchError, match="tenant to seal for"):
        await tool.rewrap(sealed, codec_of())


async def test_plaintext_is_rewrapped_for_the_target() -> None:
    """Where the policy lets it in, and a tenant is known."""
    migrating = DecodePolicy(PolicyMode.MIGRATE)
    [outer] = await codec_of(tenant="a", policy=migrating).rewrap([PLAIN])
    [other] = codec_of(policy=migrating).rewrap_sync([PLAIN], codec_of(tenant="b"))
    assert [PLAIN] == codec_of(tenant="a").decode_sync([outer])
    assert [PLAIN] == codec_of(tenant="b").decode_sync([other])
    with pytest.raises(ContextMismatchError) as caught:
        await codec_of(policy=migrating).rewrap([PLAIN])
    assert 0 == caught.value.index


# Crypto-shredding


@dataclass(frozen=True)
class House:
    """Real keyrings in a folder, which one keyring opens, as a client and an administrator."""

    folder: Path

    def admin(self, tenant: str) -> KeyringAdmin:
        return KeyringAdmin(self._store, self._wrapper, tenant)

    async def init(self) -> None:
        self._local.create()
        await KeyringAdmin(self._store, self._local, "root").create()

    def codec(self, **options: Any) -> TenantEncryptionCodec:
        provider = WrappedKeyProvider(self._store, self._wrapper)
        keyrings = TenantKeyrings(
            provider, reserved=frozenset({"root"}), on_missing=self.admin("").create_for
        )
        return TenantEncryptionCodec(keyrings, BY_ID, namespace="default", **options)

    @property
    def _local(self) -> LocalKeyWrapper:
        return LocalKeyWrapper(self.folder / "root.key")

    @property
    def _store(self) -> FolderKeyringStore:
        return FolderKeyringStore(self.folder / "keyrings")

    @property
    def _wrapper(self) -> KeyringWrapper:
        return KeyringWrapper(Keyring(WrappedKeyProvider(self._store, self._local), tenant="root"))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    owners=st.lists(st.sampled_from("abcd"), min_size=1, max_size=12),
    forgotten=st.sampled_from("abcd"),
    rotations=st.integers(0, 2),
)
def test_exactly_the_payloads_of_who_is_forgotten_are_lost(
    tmp_path: Path, owners: list[str], forgotten: str, rotations: int
) -> None:
    """Whoever is shredded, under however many keys, all other payloads stay readable."""
    house = House(tmp_path / os.urandom(4).hex())
    house.folder.mkdir()

    async def run() -> None:
        await house.init()
        writer = house.codec()
        sealed: list[tuple[str, Payload]] = []
        for owner in owners:
            bound = writer.with_context(Context("default", f"{owner}/1"))
            sealed += [(owner, outer) for outer in await bound.encode([PLAIN])]
        await house.admin("").create_for(forgotten)
        for _ in range(rotations):
            await house.admin(forgotten).rotate(delay=0.0)
        await KeyringShredder(house.admin(forgotten)).shred(immediately=True)
        reader = house.codec(accept_tenants="any")
        for owner, outer in sealed:
            if owner == forgotten:
                with pytest.raises(KeyDestroyedError):
                    await reader.decode([outer])
            else:
                assert [PLAIN] == await reader.decode([outer])
        with pytest.raises(KeyDestroyedError, match=f"all keys of '{forgotten}' were destroyed"):
            await house.codec(tenant=forgotten).encode([PLAIN])

    asyncio.run(run())


async def test_a_chain_with_tenants_compresses(tmp_path: Path) -> None:
    """The codec takes the place of an `EncryptionCodec`, with its kind."""
    text = Payload(metadata={"encoding": b"json/plain"}, data=b"[" + b"1, " * 1000 + b"1]")
    chain = CodecChain(CompressionCodec(), codec_of()).with_context(Context("default", "a/1"))
    [sealed] = await chain.encode([text])
    assert len(sealed.data) < len(text.data) / 10
    assert [text] == await chain.decode([sealed])
    with pytest.raises(ConfigurationError, match="encrypt twice"):
        CodecChain(codec_of(), codec_of())
