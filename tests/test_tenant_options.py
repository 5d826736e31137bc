"""The section `[keyring.tenants]`: a keyring for each tenant, from the configuration file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from sealwire.codecs import DecodePolicy, TenantEncryptionCodec, WorkflowIdTenant
from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError, ContextMismatchError, KeyringNotFoundError
from sealwire.keys import FolderKeyringStore, KeyringWrapper, LocalKeyWrapper
from sealwire.payload import Payload
from sealwire.tenant_options import serving

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"plain"')
STORE = '[keyring.store]\ntype = "folder"\npath = "keyrings"\n'
BY_ID = STORE + '[keyring.tenants]\nby = "workflow-id"\npattern = "([^/]+)/"\n'
BY_NAMESPACE = STORE + '[keyring.tenants]\nby = "namespace"\n'


def load(folder: Path, text: str) -> Config:
    file = folder / "sealwire.toml"
    file.write_text(text)
    return load_config(file)


async def made(folder: Path, text: str, *tenants: str) -> Config:
    """A configuration with keyrings of these tenants."""
    config = load(folder, text)
    wrapper = LocalKeyWrapper(config.keyring.key_file)
    if not wrapper.path.exists():
        wrapper.create()
    for tenant in tenants:
        await config.admin_of(tenant).create()
    return config


def context(workflow_id: str, namespace: str = "default") -> SimpleNamespace:
    return SimpleNamespace(namespace=namespace, workflow_id=workflow_id)


def tenant_codec(config: Config) -> TenantEncryptionCodec:
    [codec] = [
        item for item in config.codec("default").codecs if isinstance(item, TenantEncryptionCodec)
    ]
    return codec


def test_all_keys_of_the_section_reach_the_codec(tmp_path: Path) -> None:
    """The store is the folder beside the file, and the policy that of the `[[codec]]`."""
    text = (
        f'{BY_ID}default_tenant = "old"\naccept_tenants = ["x"]\nwrapped_by = "root"\n'
        "create_missing = true\nlimit = 7\n"
        '[[codec]]\ntype = "encryption"\ncontext = {team = "t"}\naccept_namespaces = ["n"]\n'
    )
    codec = tenant_codec(load(tmp_path, text))
    assert WorkflowIdTenant("([^/]+)/") == codec.tenant_of
    assert ("old", frozenset("x"), "default") == (
        codec.default_tenant,
        codec.accept_tenants,
        codec.namespace,
    )
    assert (DecodePolicy(accept_namespaces=frozenset("n")), {"team": "t"}) == (
        codec.policy,
        codec.context,
    )
    keyrings = codec.keyrings
    assert (7, frozenset({"root"})) == (keyrings.limit, keyrings.reserved)
    assert keyrings.on_missing is not None


async def test_one_keyring_opens_all_others(tmp_path: Path) -> None:
    """The key file opens `root` alone; a tenant is sealed for by the context."""
    config = await made(tmp_path, f'{BY_ID}wrapped_by = "root"\n', "root", "c-1")
    (of_root,) = config.keyring.wrappers_of("root")
    (of_tenant,) = config.keyring.wrappers_of("c-1")
    assert (LocalKeyWrapper, KeyringWrapper) == (type(of_root), type(of_tenant))
    await config.load_keys()
    bound = config.codec("default").with_context(context("c-1/order"))
    assert [PLAIN] == await bound.decode(await bound.encode([PLAIN]))
    with pytest.raises(KeyringNotFoundError):
        await config.codec("default").with_context(context("c-2/order")).encode([PLAIN])


async def test_load_keys_fails_without_the_keyring_that_opens_all(tmp_path: Path) -> None:
    """At start-up, and not at the first payload."""
    config = await made(tmp_path, f'{BY_ID}wrapped_by = "root"\n')
    with pytest.raises(KeyringNotFoundError, match="no keyring for 'root'"):
        await config.load_keys()


async def test_a_namespace_has_its_own_keyring(tmp_path: Path) -> None:
    """The keyring of the configured namespace is loaded at start-up."""
    config = await made(tmp_path, f'namespace = "orders"\n{BY_NAMESPACE}', "orders")
    await config.load_keys()
    chain = config.codec("orders")
    assert [PLAIN] == await chain.decode(await chain.encode([PLAIN]))
    missing = load(tmp_path, f'namespace = "refunds"\n{BY_NAMESPACE}')
    with pytest.raises(KeyringNotFoundError, match="no keyring for 'refunds'"):
        await missing.load_keys()


async def test_a_program_may_make_what_is_missing(tmp_path: Path) -> None:
    """Where the file says so, the first payload of a tenant makes its keyring."""
    config = await made(tmp_path, f"{BY_ID}create_missing = true\n")
    bound = config.codec("default").with_context(context("c-1/order"))
    sealed = await bound.encode([PLAIN])
    reader = load(tmp_path, BY_ID).codec("default").with_context(context("c-1/other"))
    assert [PLAIN] == await reader.decode(sealed)


async def test_the_codec_server_reads_more_than_a_worker(tmp_path: Path) -> None:
    """With `accept_tenants = "any"` in `[server]`, without a context; a worker does not."""
    text = f'namespace = "default"\n{BY_ID}[server]\naccept_tenants = "any"\n'
    config = await made(tmp_path, text, "c-1", "c-2")
    sealed: list[Payload] = []
    for tenant in ("c-1", "c-2"):
        sealed += await config.codec().with_context(context(f"{tenant}/1")).encode([PLAIN])
    with pytest.raises(ContextMismatchError):
        await config.codec().decode(sealed)
    assert [PLAIN, PLAIN] == await serving(config).codec().decode(sealed)
    few = load(tmp_path, text.replace('"any"', '["c-1"]'))
    with pytest.raises(ContextMismatchError) as caught:
        await serving(few).codec().decode(sealed)
    assert 1 == caught.value.index


def test_accepted_namespaces_are_those_of_tenants(tmp_path: Path) -> None:
    """So that the codec server lets them be named."""
    config = load(tmp_path, f'{BY_NAMESPACE}accept_tenants = ["n"]\n')
    assert frozenset("n") == config.accept_namespaces


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[keyring.tenants]\nby = "namespace"\n', "a file holds the keyring of one tenant"),
        (STORE + "[keyring.tenants]\n", "keyring.tenants.by: is required"),
        (STORE + '[keyring.tenants]\nby = "workflow-id"\n', "needs a pattern"),
        (BY_NAMESPACE + 'pattern = "(x)"\n', "nothing else has one"),
        (BY_NAMESPACE + 'default_tenant = "x"\n', "no default_tenant"),
        (BY_NAMESPACE + "limit = 0\n", "limit of keyrings must be positive"),
        (BY_NAMESPACE + 'accept_tenants = "all"\n', "'all' is not one of 'any'"),
        (BY_ID.replace("([^/]+)/", "x"), "has 0 groups"),
        (BY_ID + '[[codec]]\ntype = "encryption"\nformat = "interop"\n', "it can only be read"),
        (
            BY_NAMESPACE + '[[keyring.provider]]\ntype = "environment"\n',
            "the same for every tenant",
        ),
    ],
)
def test_a_section_that_cannot_work_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """Each fault is told with its place, before any payload."""
    with pytest.raises(ConfigurationError, match=told):
        load(tmp_path, text)


def test_the_store_is_a_folder_beside_the_file(tmp_path: Path) -> None:
    """As every path in the file."""
    config = load(tmp_path, BY_NAMESPACE)
    assert FolderKeyringStore(tmp_path / "keyrings") == config.keyring.document_store
    assert str(tmp_path / "keyrings") == config.keyring.place
