"""The section `[keyring.tenants]` of `sealwire.toml`: a keyring for each tenant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sealwire.codecs import TenantEncryptionCodec, TenantOf, WorkflowIdTenant
from sealwire.errors import ConfigurationError
from sealwire.keys import TenantKeyrings
from sealwire.options import EncryptionOptions

if TYPE_CHECKING:
    from sealwire.config import Config


@dataclass(frozen=True)
class TenantOptions:
    """The section `[keyring.tenants]`; see `TenantEncryptionCodec` and `TenantKeyrings`.

    Args:
        by: What tells the tenant: the namespace, or the workflow id.
        pattern: For `"workflow-id"`, a regular expression with one group; see `WorkflowIdTenant`.
        default_tenant: See `TenantEncryptionCodec`.
        accept_tenants: See `TenantEncryptionCodec`.
        wrapped_by: The tenant whose keyring opens those of all others; see `KeyringWrapper`.
        create_missing: Whether a keyring is made when something is first encrypted for a tenant;
            for programs that may write where the keyrings are.
        limit: See `TenantKeyrings`.

    Raises:
        ConfigurationError: The pattern is missing, or is not possible.
    """

    by: Literal["namespace", "workflow-id"]
    pattern: str | None = None
    default_tenant: str | None = None
    accept_tenants: frozenset[str] | Literal["any"] = frozenset()
    wrapped_by: str | None = None
    create_missing: bool = False
    limit: int = 1000

    def __post_init__(self) -> None:
        if (self.by == "workflow-id") != (self.pattern is not None):
            raise ConfigurationError('by = "workflow-id" needs a pattern, and nothing else has one')
        if self.by == "namespace" and self.default_tenant is not None:
            raise ConfigurationError('with by = "namespace" there is no default_tenant')
        if self.limit < 1:
            raise ConfigurationError("the limit of keyrings must be positive")
        _ = self.tenant_of  # refuses a pattern that cannot be one

    @property
    def tenant_of(self) -> TenantOf | Literal["namespace"]:
        """How the tenant follows from what the SDK tells."""
        return "namespace" if self.pattern is None else WorkflowIdTenant(self.pattern)

    def codec(
        self, encryption: EncryptionOptions, keyrings: TenantKeyrings, namespace: str | None
    ) -> TenantEncryptionCodec:
        """Build the codec.

        Raises:
            ConfigurationError: It cannot be one for several tenants.
        """
        plain = encryption.codec(keyrings.keyring(keyrings.provider, "default"), namespace)
        if plain.format != "sealed-v1":
            raise ConfigurationError(
                f'format = "{plain.format}" states no tenant: with [keyring.tenants] it can only '
                "be read"
            )
        policy = plain.policy
        if self.by == "namespace" and self.accept_tenants != "any":
            policy = replace(
                policy, accept_namespaces=policy.accept_namespaces | self.accept_tenants
            )
        return TenantEncryptionCodec(
            keyrings,
            self.tenant_of,
            default_tenant=self.default_tenant,
            accept_tenants=self.accept_tenants,
            namespace=namespace,
            policy=policy,
            context=plain.context,
            key_aliases=plain.key_aliases,
            content_ids=plain.content_ids,
            counters=plain.counters,
        )


def serving(config: Config) -> Config:
    """Return the configuration as the codec server has it: it may read more tenants."""
    tenants, accepted = config.keyring.tenants, config.server.accept_tenants
    if tenants is None or not accepted:
        return config
    return replace(
        config,
        keyring=replace(config.keyring, tenants=replace(tenants, accept_tenants=accepted)),
    )
