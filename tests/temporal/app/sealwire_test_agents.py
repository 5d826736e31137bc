"""A workflow of the OpenAI Agents SDK; the model is an activity."""

from agents import Agent, Runner
from temporalio import workflow


@workflow.defn
class Asking:
    @workflow.run
    async def run(self, question: str) -> str:
        agent = Agent[None](name="MARKER-agent", instructions="MARKER-instructions")
        result = await Runner.run(agent, input=question)
        return str(result.final_output)
