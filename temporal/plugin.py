"""The plugin: everything a `temporalio` client, worker or replayer needs to seal what it stores."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Awaitable, Callable
from typing import Final

from temporalio.client import Client, ClientConfig
from temporalio.converter import DataConverter
from temporalio.plugin import SimplePlugin
from temporalio.service import ConnectConfig, ServiceClient
from temporalio.worker import ReplayerConfig, WorkerConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError

from .converter import SealwireCodec, data_converter

PASSTHROUGH_MODULES: Final = (
    # A generated `__repr__` uses a `threading.local`, which the sandbox forbids; and typing's
    # caches keep the classes of 128 copies of the package alive, 40 MB.
    "attr",
    "attrs",
    "cryptography",
    "msgspec",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "sealwire",
    "zstandard",
)
"""What the workflow sandbox must not import again.

Most have compiled parts that do not survive it. A name that is not installed does nothing.
"""


class SealwirePlugin(SimplePlugin):
    """Seal everything that a client and its workers store, as a configuration says.

    Give it to `Client.connect`; workers inherit it from their client. It sets the payload and
    failure converters where they are the SDK's defaults, the codec, and the modules that pass
    through the workflow sandbox, and it loads the keys before the client is used.

    Args:
        config: A `Config`, or the path of a file for `load_config`; None for its default.
        namespace: For a `Replayer`, which does not know its namespace: where the histories come
            from, unless the configuration says so.

    Raises:
        ConfigurationError: The configuration cannot be used.
    """

    def __init__(
        self,
        config: Config | str | os.PathLike[str] | None = None,
        *,
        namespace: str | None = None,
    ) -> None:
        self.config = config if isinstance(config, Config) else load_config(config)
        self._namespace = namespace
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - the SDK's bare Callable
            "sealwire.SealwirePlugin", workflow_runner=_pass_through
        )

    async def connect_service_client(
        self,
        config: ConnectConfig,
        next: Callable[[ConnectConfig], Awaitable[ServiceClient]],  # noqa: A002 - the SDK's name
    ) -> ServiceClient:
        """Load the keys, so that a missing keyring fails here and not at the first payload.

        Raises:
            KeyLookupError: The keys cannot be loaded.
        """
        await self.config.load_keys()
        return await super().connect_service_client(config, next)

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        """Set the client's data converter, bound to the client's namespace.

        Raises:
            ConfigurationError: The client has another codec, or works in another namespace than
                the configuration says.
        """
        config = super().configure_client(config)
        namespace = config.get("namespace", "default")
        config["data_converter"] = self._complete(config.get("data_converter"), namespace)
        return config

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Set the worker's sandbox.

        Raises:
            ConfigurationError: The worker's client was connected without the plugin.
        """
        client: Client = config["client"]  # pyright: ignore[reportTypedDictNotRequiredAccess]
        if not isinstance(client.data_converter.payload_codec, SealwireCodec):
            raise ConfigurationError(
                "the worker's client has no sealwire codec: give the plugin to Client.connect, "
                "and the worker takes it from there"
            )
        return super().configure_worker(config)

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """Set the replayer's data converter and sandbox."""
        config = super().configure_replayer(config)
        config["data_converter"] = self._complete(config.get("data_converter"), self._namespace)
        return config

    def _complete(self, existing: DataConverter | None, namespace: str | None) -> DataConverter:
        codec = existing.payload_codec if existing is not None else None
        if existing is not None and isinstance(codec, SealwireCodec):
            # The configuration of another client was copied; the namespace may be another one.
            if codec.config is not self.config:
                raise ConfigurationError(
                    "the client has a sealwire plugin with another configuration already"
                )
            existing = dataclasses.replace(existing, payload_codec=None)
        return data_converter(self.config, namespace, existing)


def _pass_through(runner: WorkflowRunner | None) -> WorkflowRunner:
    if runner is None:
        runner = SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    restrictions = runner.restrictions.with_passthrough_modules(*PASSTHROUGH_MODULES)
    return dataclasses.replace(runner, restrictions=restrictions)
