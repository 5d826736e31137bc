"""The program of docs/how-to/temporal-plugin.md, for type checkers; a test compares the two."""
# ruff: noqa: E402, T201 - it is made of blocks, and tells readers what it does

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from sealwire.temporal import SealwirePlugin


@activity.defn
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@workflow.defn
class Greeting:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(
            greet, name, start_to_close_timeout=timedelta(seconds=10)
        )


async def greeting(plugin: SealwirePlugin) -> str:
    client = await Client.connect("localhost:7233", plugins=[plugin])
    async with Worker(client, task_queue="hello", workflows=[Greeting], activities=[greet]):
        return await client.execute_workflow(
            Greeting.run, "Ada", id="hello-ada", task_queue="hello"
        )


if __name__ == "__main__":  # the sandbox imports this file again
    print(asyncio.run(greeting(SealwirePlugin("sealwire.toml"))))


from temporalio.worker import Replayer


async def replay() -> None:
    client = await Client.connect("localhost:7233")
    history = await client.get_workflow_handle("hello-ada").fetch_history()
    plugin = SealwirePlugin("sealwire.toml", namespace="default")
    replayer = Replayer(workflows=[Greeting], plugins=[plugin])
    await replayer.replay_workflow(history)


if __name__ == "__main__":
    asyncio.run(replay())


from sealwire import load_config
from sealwire.temporal import data_converter, sandbox_runner


async def without_plugins() -> str:
    config = load_config("sealwire.toml")
    await config.load_keys()
    client = await Client.connect(
        "localhost:7233",
        data_converter=data_converter(config, "default"),
    )
    async with Worker(
        client,
        task_queue="bonjour",
        workflows=[Greeting],
        activities=[greet],
        workflow_runner=sandbox_runner(),
    ):
        result = await client.execute_workflow(
            Greeting.run, "Grace", id="hello-grace", task_queue="bonjour"
        )
    await config.aclose()
    return result


if __name__ == "__main__":
    print(asyncio.run(without_plugins()))
