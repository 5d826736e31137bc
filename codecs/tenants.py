"""Encryption with keys of each tenant, so that one tenant's keys can be destroyed alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, TypeAlias

from sealwire.errors import ConfigurationError
from sealwire.keys import Keyring, TenantKeyrings
from sealwire.payload import Payload

from .encryption import EncryptionCodec
from .forms import is_encrypted
from .interop import MessageCounter
from .policy import NAMESPACE, DecodeCounters, DecodePolicy
from .position import Position
from .protocol import REPLAY_NAMESPACE, CodecKind
from .tenancy import ANY, TENANT, Readership, TenantOf, unknown_tenant

_Place: TypeAlias = tuple[str | None, str | None]  # namespace and tenant


@dataclass(frozen=True)
class TenantEncryptionCodec:
    """An `EncryptionCodec` for each tenant: seal with the keys of the own one, read what states it.

    A sealed payload states its tenant in clear, authenticated, as the pair `tenant` of its context;
    with `tenant_of="namespace"` its namespace is the tenant. So use ids for tenants that tell
    nobody anything. What is in the interop format states no tenant, and is only read.

    Args:
        keyrings: The keys of all tenants.
        tenant_of: How the tenant follows from what the SDK tells: `"namespace"`, or a function of
            its serialization context, such as `WorkflowIdTenant`.
        tenant: The own tenant, until a context tells another; not with `"namespace"`.
        default_tenant: To whom payloads belong that state no tenant, and for whom is sealed where
            the context tells none; what is sealed for it states none. So the keyring that was
            there before there were tenants can go on. Not with `"namespace"`.
        accept_tenants: Whose payloads are read beside those of the own tenant; `"any"` for tools
            and codec servers, which have no context.
        namespace: See `EncryptionCodec`.
        policy: See `EncryptionCodec`.
        context: See `EncryptionCodec`.
        key_aliases: See `EncryptionCodec`.
        content_ids: See `EncryptionCodec`; they are equal for equal contents of one tenant.
        counters: See `EncryptionCodec`.

    Raises:
        ConfigurationError: The context is not possible, or the arguments contradict each other.
    """

    keyrings: TenantKeyrings
    tenant_of: TenantOf | Literal["namespace"] = "namespace"
    tenant: str | None = None
    default_tenant: str | None = None
    accept_tenants: Collection[str] | Literal["any"] = frozenset()
    namespace: str | None = None
    policy: DecodePolicy = field(default_factory=DecodePolicy)
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    key_aliases: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    content_ids: int | None = None
    counters: DecodeCounters = field(default_factory=DecodeCounters, repr=False, compare=False)
    _messages: MessageCounter = field(default_factory=MessageCounter, repr=False, compare=False)
    _codecs: dict[_Place, EncryptionCodec] = field(init=False, repr=False, compare=False)
    _clones: dict[_Place, Self] = field(init=False, repr=False, compare=False)
    _readership: Readership = field(init=False, repr=False, compare=False)

    kind: ClassVar[CodecKind] = CodecKind.ENCRYPT
    encodings: ClassVar[frozenset[bytes]] = EncryptionCodec.encodings

    def __post_init__(self) -> None:
        if self._by_namespace and (self.tenant, self.default_tenant) != (None, None):
            raise ConfigurationError(
                "the namespace is the tenant: give `namespace`, and neither `tenant` nor "
                "`default_tenant`"
            )
        if TENANT in self.context:
            raise ConfigurationError("give the tenant as `tenant`, not in `context`")
        if self.accept_tenants != ANY:
            if isinstance(self.accept_tenants, str):
                raise ConfigurationError('accept_tenants is a list of tenants, or "any"')
            object.__setattr__(self, "accept_tenants", frozenset(self.accept_tenants))
        object.__setattr__(self, "_readership", self._readers())
        self._share({}, {})
        # Refuses now what could not be sealed later.
        self._make(self._own or "x", self.keyrings.keyring(self.keyrings.provider, "x"))

    def with_context(self, context: Any) -> Self:
        """Return the codec for the tenant and the namespace of a serialization context.

        Raises:
            ConfigurationError: The codec is configured for another namespace.
        """
        namespace = getattr(context, "namespace", None)
        if namespace in (None, REPLAY_NAMESPACE):
            namespace = self.namespace
        elif self.namespace not in (None, namespace):
            raise ConfigurationError(
                f"this codec is configured for the namespace {self.namespace!r}, "
                f"and the client works in {namespace!r}"
            )
        tenant = None if self.tenant_of == NAMESPACE else self.tenant_of(context) or self.tenant
        if (namespace, tenant) == (self.namespace, self.tenant):
            return self
        clone = self._clones.get((namespace, tenant))
        if clone is None:
            clone = replace(self, namespace=namespace, tenant=tenant)
            clone._share(self._codecs, self._clones)
            self._remember(self._clones, (namespace, tenant), clone)
        return clone

    async def ready(self) -> None:
        """Load the keys of the own tenant, where it is known already.

        Raises:
            KeyLookupError: They cannot be loaded.
            ConfigurationError: What the provider gave cannot be used.
        """
        tenant = self._own
        if tenant is not None:
            await self.keyrings.ready(tenant)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each payload with the active key of the own tenant.

        Raises:
            KeyLookupError: There is no key to encrypt with.
            ContextMismatchError: The tenant or the namespace is not known.
        """
        if self._own is None:
            return self._untouched(payloads)
        return await (await self._codec(self._own, create=True)).encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt each payload with a key of its tenant, or refuse it.

        Raises:
            ContextMismatchError: It belongs to a tenant, or to a namespace, that is not accepted.
            SealwireError: See `EncryptionCodec.decode`.
        """
        decoded: list[Payload] = []
        for tenant, run in self._readership.runs(payloads):
            with Position(decoded):
                if tenant is None:
                    decoded += self._admit(run)
                else:
                    decoded += await (await self._codec(tenant)).decode(run)
        return decoded

    async def rewrap(
        self,
        payloads: Sequence[Payload],
        to: EncryptionCodec | TenantEncryptionCodec | None = None,
    ) -> list[Payload]:
        """Encrypt payloads anew, each for its own tenant if `to` does not say otherwise.

        Args:
            payloads: What this codec decodes.
            to: The codec that encrypts: see `EncryptionCodec.rewrap`.

        Raises:
            SealwireError: See `decode` and `encode`.
        """
        if isinstance(to, TenantEncryptionCodec):
            to = await to._codec(to._known, create=True)
        renewed: list[Payload] = []
        for tenant, run in self._readership.runs(payloads):
            with Position(renewed):
                if tenant is None:
                    renewed += await (to or self).encode(self._admit(run))
                else:
                    renewed += await (await self._codec(tenant)).rewrap(run, to)
        return renewed

    def encode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `encode`; blocks while keys are loaded."""
        if self._own is None:
            return self._untouched(payloads)
        return self._codec_sync(self._own, create=True).encode_sync(payloads)

    def decode_sync(self, payloads: Sequence[Payload]) -> list[Payload]:
        """See `decode`; blocks while keys are loaded."""
        decoded: list[Payload] = []
        for tenant, run in self._readership.runs(payloads):
            with Position(decoded):
                if tenant is None:
                    decoded += self._admit(run)
                else:
                    decoded += self._codec_sync(tenant).decode_sync(run)
        return decoded

    def rewrap_sync(
        self,
        payloads: Sequence[Payload],
        to: EncryptionCodec | TenantEncryptionCodec | None = None,
    ) -> list[Payload]:
        """See `rewrap`; blocks while keys are loaded."""
        if isinstance(to, TenantEncryptionCodec):
            to = to._codec_sync(to._known, create=True)
        renewed: list[Payload] = []
        for tenant, run in self._readership.runs(payloads):
            with Position(renewed):
                if tenant is None:
                    renewed += (to or self).encode_sync(self._admit(run))
                else:
                    renewed += self._codec_sync(tenant).rewrap_sync(run, to)
        return renewed

    @property
    def _by_namespace(self) -> bool:
        return self.tenant_of == NAMESPACE

    @property
    def _own(self) -> str | None:
        return self.namespace if self._by_namespace else self.tenant or self.default_tenant

    @property
    def _known(self) -> str:
        if self._own is None:
            raise unknown_tenant("to seal for")
        return self._own

    async def _codec(self, tenant: str, *, create: bool = False) -> EncryptionCodec:
        keyring = self.keyrings.get(tenant) or await self.keyrings.ready(tenant, create=create)
        return self._cached(tenant, keyring)

    def _codec_sync(self, tenant: str, *, create: bool = False) -> EncryptionCodec:
        keyring = self.keyrings.get(tenant) or self.keyrings.ready_sync(tenant, create=create)
        return self._cached(tenant, keyring)

    def _cached(self, tenant: str, keyring: Keyring) -> EncryptionCodec:
        codec = self._codecs.get((self.namespace, tenant))
        if codec is None or codec.keyring is not keyring:
            codec = self._make(tenant, keyring)
            self._remember(self._codecs, (self.namespace, tenant), codec)
        return codec

    def _make(self, tenant: str, keyring: Keyring) -> EncryptionCodec:
        states_it = not self._by_namespace and tenant != self.default_tenant
        return EncryptionCodec(
            keyring,
            tenant if self._by_namespace else self.namespace,
            self.policy,
            context={**self.context, TENANT: tenant} if states_it else self.context,
            key_aliases=self.key_aliases,
            content_ids=self.content_ids,
            counters=self.counters,
            _messages=self._messages,
        )

    def _share(self, codecs: dict[_Place, EncryptionCodec], clones: dict[_Place, Self]) -> None:
        object.__setattr__(self, "_codecs", codecs)
        object.__setattr__(self, "_clones", clones)

    def _remember(self, cache: dict[_Place, Any], place: _Place, item: object) -> None:
        # The names may be a stranger's choice, so their number is bounded.
        if len(cache) >= self.keyrings.limit:
            cache.clear()
        cache[place] = item

    def _readers(self) -> Readership:
        accepted = self.accept_tenants
        if self._by_namespace:
            if accepted != ANY:
                accepted = self.policy.accept_namespaces.union(accepted)
            return Readership(NAMESPACE, self.namespace, None, accepted)
        if accepted != ANY and self.tenant is None and self.default_tenant is not None:
            # Without a tenant in its context, a program works for the default one.
            accepted = frozenset({*accepted, self.default_tenant})
        return Readership(TENANT, self.tenant, self.default_tenant, accepted)

    def _admit(self, run: Sequence[Payload]) -> list[Payload]:
        admitted: list[Payload] = []
        with Position(admitted):
            for payload in run:
                admitted.append(self.policy.admit_plaintext(payload, self.counters))
        return admitted

    def _untouched(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return payloads that are encrypted already; there is no tenant to seal others for."""
        if all(map(is_encrypted, payloads)):
            return list(payloads)
        raise unknown_tenant("to seal for")
