"""The plugin: everything a `temporalio` client, worker or replayer needs to seal what it stores."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from temporalio.client import Client, ClientConfig, WorkflowHistory
from temporalio.common import HeaderCodecBehavior
from temporalio.converter import DataConverter, DefaultPayloadConverter
from temporalio.plugin import SimplePlugin
from temporalio.service import ConnectConfig, ServiceClient
from temporalio.worker import Replayer, ReplayerConfig, Worker, WorkerConfig, WorkflowReplayResult

from sealwire.codecs.protocol import REPLAY_NAMESPACE
from sealwire.config import Config, load_config
from sealwire.errors import ConfigurationError, SealwireError

from .converter import SealwireCodec, data_converter
from .guard import CodecGuard, check_codec
from .sandbox import sandbox_runner

_HEADERS: Final[Mapping[str, HeaderCodecBehavior]] = {
    "none": HeaderCodecBehavior.NO_CODEC,
    "workflow": HeaderCodecBehavior.WORKFLOW_ONLY_CODEC,
    "all": HeaderCodecBehavior.CODEC,
}


class SealwirePlugin(SimplePlugin):
    """Seal everything that a client and its workers store, as a configuration says.

    Give it to `Client.connect`; workers inherit it from their client. It sets the payload and
    failure converters where they are the SDK's defaults, the codec, and the modules that pass
    through the workflow sandbox. It loads the keys before the client is used, and closes what is
    open when the last worker of an event loop has stopped. A client that goes on opens it again;
    a program without workers may call `plugin.config.aclose()`.

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
        self._running: Counter[asyncio.AbstractEventLoop] = Counter()
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - the SDK's bare Callable
            "sealwire.SealwirePlugin"
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
        later = _after(self, config.get("plugins", ()))
        config["data_converter"] = self._complete(config.get("data_converter"), namespace, later)
        config["header_codec_behavior"] = self._headers(config.get("header_codec_behavior"))
        others = [item for item in config.get("interceptors", ()) if type(item) is not CodecGuard]
        config["interceptors"] = [*others, CodecGuard(config)]
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
        config = super().configure_worker(config)
        stores = client.data_converter.external_storage is not None
        runner = config["workflow_runner"] if "workflow_runner" in config else None  # noqa: SIM401 - typed
        config["workflow_runner"] = sandbox_runner(runner, stores=stores)
        return config

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """Set the replayer's data converter, which writes nothing outside, and sandbox.

        Raises:
            ConfigurationError: The replayer has another codec, or another namespace than the
                configuration or the plugin says.
        """
        config = super().configure_replayer(config)
        namespace = self._replayed(config.get("namespace", REPLAY_NAMESPACE))
        made = self._complete(config.get("data_converter"), namespace, read_only=True)
        config["data_converter"] = made
        config["header_codec_behavior"] = self._headers(config.get("header_codec_behavior"))
        stores = made.external_storage is not None
        config["workflow_runner"] = sandbox_runner(config.get("workflow_runner"), stores=stores)
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:  # noqa: A002 - the SDK's name
        """Load the keys before the worker's first task, and close them after its last.

        Raises:
            KeyLookupError: The keys cannot be loaded.
        """
        async with self._in_use():
            try:
                await self.config.load_keys()
            except SealwireError:
                await _start_and_stop(worker, next)
                raise
            await next(worker)

    @asynccontextmanager
    async def run_replayer(
        self,
        replayer: Replayer,
        histories: AsyncIterator[WorkflowHistory],
        next: Callable[  # noqa: A002 - the SDK's name
            [Replayer, AsyncIterator[WorkflowHistory]],
            AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]],
        ],
    ) -> AsyncGenerator[AsyncIterator[WorkflowReplayResult]]:
        """Load the keys before the first history, and close them after the last.

        Raises:
            KeyLookupError: The keys cannot be loaded.
            ConfigurationError: Another plugin has taken the codec away.
        """
        check_codec(replayer.config(active_config=True).get("data_converter"))
        async with self._in_use():
            await self.config.load_keys()
            async with next(replayer, histories) as results:
                yield results

    @asynccontextmanager
    async def _in_use(self) -> AsyncGenerator[None]:
        """Close the configuration when nobody in this event loop uses it any more."""
        loop = asyncio.get_running_loop()
        self._running[loop] += 1
        try:
            yield
        finally:
            self._running[loop] -= 1
            if not self._running[loop]:
                del self._running[loop]
                await self.config.aclose()

    def _complete(
        self,
        existing: DataConverter | None,
        namespace: str | None,
        later: Iterable[object] = (),
        *,
        read_only: bool = False,
    ) -> DataConverter:
        codec = existing.payload_codec if existing is not None else None
        if existing is not None and isinstance(codec, SealwireCodec):
            # The configuration of another client was copied; the namespace may be another one.
            if codec.config is not self.config:
                raise ConfigurationError(
                    "the client has a sealwire plugin with another configuration already"
                )
            existing = dataclasses.replace(existing, payload_codec=None)
        made = data_converter(self.config, namespace, existing, read_only=read_only)
        if any(map(_chooses_converter, later)):
            # It may insist on finding the SDK's default, or its own, where it puts its own.
            theirs = (existing or DataConverter.default).payload_converter_class
            return dataclasses.replace(made, payload_converter_class=theirs)
        return made

    def _headers(self, chosen: HeaderCodecBehavior | None) -> HeaderCodecBehavior:
        """Return what the configuration says, unless the code has chosen a codec for headers.

        NO_CODEC is what the SDK passes when the code has chosen nothing.
        """
        if chosen in (None, HeaderCodecBehavior.NO_CODEC):
            return _HEADERS[self.config.temporal.headers]
        return chosen

    def _replayed(self, stated: str) -> str | None:
        if stated in (REPLAY_NAMESPACE, self._namespace):
            return self._namespace
        if self._namespace is not None:
            raise ConfigurationError(
                f"the plugin is for the namespace {self._namespace!r}, and the replayer for "
                f"{stated!r}: leave one of them out"
            )
        return stated


def _after(plugin: object, plugins: Iterable[object]) -> list[object]:
    """Return the plugins that the SDK asks after `plugin`."""
    found = list(plugins)
    return found[found.index(plugin) + 1 :] if plugin in found else []


def _chooses_converter(plugin: object) -> bool:
    """Tell whether a plugin puts a payload converter in the place of the SDK's default."""
    change = plugin.data_converter if isinstance(plugin, SimplePlugin) else None
    if not callable(change):
        return False  # a whole data converter takes ours away, which the guard reports
    try:
        chosen = change(DataConverter.default)
    except Exception:  # noqa: BLE001 - it may well want something else, and says so when asked
        return False
    return chosen.payload_converter_class is not DefaultPayloadConverter


async def _start_and_stop(worker: Worker, run: Callable[[Worker], Awaitable[None]]) -> None:
    """Let a worker run that has been told to stop; without that, who waits for its end hangs."""
    stopped = asyncio.create_task(worker.shutdown())
    await run(worker)
    await stopped
