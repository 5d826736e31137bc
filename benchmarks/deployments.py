"""The variants that `bench_workflows.py` compares, each deployed as its users do it."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from batch_workflow import BatchWorkflow
from orders_activity import price
from orders_workflow import OrderWorkflow
from temporalcodec.encryption import EncryptionCodec as PeerCodec
from temporalcodec.encryption import Key as PeerKey
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.worker import Replayer, Worker

from sealwire.config import load_config
from sealwire.keys import LocalKeyWrapper
from sealwire.temporal import SealwirePlugin
from sealwire.testing.devserver import DevServer

PLAIN: Final = "temporalio"
PEER: Final = "temporalio + temporalcodec"
SEALED: Final = "sealwire sealed + zstd"
VARIANTS: Final = (PLAIN, PEER, SEALED)
INTEROP_KEY: Final = "benchmark-key-benchmark-key-1234"  # text, because the peer takes only that


async def connect(variant: str, address: str, folder: str) -> Client:
    """Connect a client as users of the variant do."""
    if variant == SEALED:
        return await Client.connect(
            address, plugins=[SealwirePlugin(Path(folder, "sealwire.toml"))]
        )
    return await Client.connect(address, data_converter=sdk_converter(variant))


def sdk_converter(variant: str) -> DataConverter:
    """Return the SDK's converter, with the codec from PyPI or without any."""
    codec = PeerCodec([PeerKey(id="bench", key=INTEROP_KEY)]) if variant == PEER else None
    return DataConverter(payload_codec=codec)


def make_keys(folder: str) -> None:
    """Write a configuration and a keyring."""
    file = Path(folder, "sealwire.toml")
    file.touch()
    config = load_config(file)
    LocalKeyWrapper(config.keyring.key_file).create()
    asyncio.run(config.admin.create())


def serve(variant: str, address: str, folder: str, pipe: Connection) -> None:
    """Run the worker of a variant; answers each message with its CPU seconds, an empty one ends."""
    asyncio.run(_serve(variant, address, folder, pipe))


async def _serve(variant: str, address: str, folder: str, pipe: Connection) -> None:
    client = await connect(variant, address, folder)
    # What a worker is advised to do, whoever converts: the collector need not look at all modules
    # again and again.
    gc.collect()
    gc.freeze()
    worker = Worker(
        client,
        task_queue=variant,
        workflows=[OrderWorkflow, BatchWorkflow],
        activities=[price],
    )
    async with worker:
        pipe.send(time.process_time())
        while await asyncio.to_thread(pipe.recv):
            pipe.send(time.process_time())


class WorkerProcess:
    """The worker of a variant, in a process that does nothing else."""

    def __init__(self, variant: str, address: str, folder: str) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(variant, address, folder, theirs))
        self._process.start()
        self._pipe.recv()

    def cpu(self) -> float:
        """Return the CPU seconds that it has taken so far."""
        self._pipe.send("cpu")
        seconds: float = self._pipe.recv()
        return seconds

    def stop(self) -> None:
        """End it."""
        self._pipe.send("")
        self._process.join(20)
        self._process.kill()


@asynccontextmanager
async def deployments(
    folder: str,
) -> AsyncGenerator[tuple[dict[str, Client], dict[str, WorkerProcess]]]:
    """Run a server and a worker for each variant, and connect its client."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(DevServer()) for name in VARIANTS}
        clients: dict[str, Client] = {}
        workers: dict[str, WorkerProcess] = {}
        for name, server in servers.items():
            clients[name] = await connect(name, server.address, folder)
            workers[name] = WorkerProcess(name, server.address, folder)
            stack.callback(workers[name].stop)
        yield clients, workers


def replayer(variant: str, folder: str) -> Replayer:
    """Return a replayer as users of the variant make it."""
    workflows = [BatchWorkflow]
    if variant == SEALED:
        plugin = SealwirePlugin(Path(folder, "sealwire.toml"), namespace="default")
        return Replayer(workflows=workflows, plugins=[plugin])
    return Replayer(workflows=workflows, data_converter=sdk_converter(variant))
