"""A workflow whose payloads belong to many others: activities, children, signalled workflows."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow

SOON = timedelta(seconds=20)


@activity.defn
async def echo(text: str) -> str:
    return text


@workflow.defn
class Child:
    @workflow.run
    async def run(self, text: str) -> str:
        await workflow.wait_condition(lambda: self.said == "go")
        return text

    @workflow.init
    def __init__(self, text: str) -> None:
        self.said = text

    @workflow.signal
    def say(self, word: str) -> None:
        self.said = word


@workflow.defn
class Parent:
    @workflow.run
    async def run(self, text: str) -> list[str]:
        waiting = [
            workflow.execute_activity(echo, f"{text}{n}", start_to_close_timeout=SOON)
            for n in range(20)
        ]
        said = list(await asyncio.gather(*waiting))
        for n in range(2):
            said.append(
                await workflow.execute_local_activity(
                    echo, f"{text} local {n}", start_to_close_timeout=SOON
                )
            )
            said.append(
                await workflow.execute_activity(
                    echo, f"{text} again {n}", start_to_close_timeout=SOON
                )
            )
        child = await workflow.start_child_workflow(
            Child.run, text, id=f"{workflow.info().workflow_id}-child"
        )
        await child.signal(Child.say, "go")
        return [*said, await child]

    @workflow.query
    def asked(self, word: str) -> str:
        return word
