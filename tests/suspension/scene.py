"""What the tests of suspended runs share: scripts with tools, planners of parts, and a way to name their calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

from contemplate import Message, RunContext, RunResult, Task, TaskResult, Tool, tool
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel


def calls(*named: tuple[str, object], call_id: str = "call") -> Message:
    """A model's turn that calls tools. All ids are alike, as those of some servers are."""
    return Message.assistant("", tuple(ToolCall(id=call_id, name=name, arguments=json.dumps(a)) for name, a in named))


def turn(request: ModelRequest) -> int:
    """How many turns came before in the conversation of `request`."""
    return sum(message.role == "assistant" for message in request.messages)


def told(request: ModelRequest) -> list[str]:
    """The results of tools in `request`."""
    return [message.text for message in request.messages if message.role == "tool"]


def prompt(request: ModelRequest) -> str:
    return request.messages[-1 - 2 * turn(request)].text if turn(request) else request.messages[-1].text


class Office:
    """Tools that must not be used twice, and what was done with them."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def mail(self, *, side_effects: bool | None = None) -> Tool:
        @tool(approval=True, side_effects=side_effects)
        async def mail(to: str) -> str:
            """Send a mail."""
            self.sent.append(to)
            return f"sent to {to}"

        return mail


def parts(*ids: str) -> Planner:
    """Plan a part for each of `ids`, whose prompt is its id."""

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for each in ids:
            yield Task(id=each, prompt=f"part {each}")

    return plan


async def join(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    """Conclude with all texts, in the order of the plan."""
    seen = sorted([each async for each in results], key=lambda each: each.index)
    return " | ".join(each.text for each in seen)


join.model_calls = 0  # type: ignore[attr-defined]


def part_of(request: ModelRequest, ids: Sequence[str]) -> str:
    """The part that `request` is about."""
    said = "\n".join(message.text for message in request.messages if message.role == "user")
    return next(each for each in ids if f"part {each}" in said)


def mailing(*ids: str) -> ScriptedModel:
    """A model that for each part sends a mail to its id, and then says what it was told."""

    def script(request: ModelRequest) -> Message | str:
        part = part_of(request, ids)
        if turn(request) == 0:
            return calls(("mail", {"to": part}))
        return f"{part}: {told(request)[-1]}"

    return ScriptedModel(script)


def by_argument(result: RunResult[str], name: str = "to") -> dict[str, str]:
    """The ids of the pending calls by an argument."""
    return {str(call.arguments[name]): call.id for call in result.pending}
