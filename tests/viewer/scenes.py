"""Runs to look at: a question that is split, with tools, samples and a vote; one of many tasks; a hostile one."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio

from contemplate import Contemplator, Message, RunContext, Task, TaskResult, Tool, aggregators, planners, tool
from contemplate.errors import ModelConnectionError
from contemplate.events import Event
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse, Retry
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel
from contemplate.usage import Price

QUESTION = "Is the treaty of 1648 in the city archive genuine?"
ANSWER = (
    "Most likely it is. The paper bears the mark of a mill that worked from 1640 to 1702, the ink is iron gall as one "
    "expects, and two inventories place the sheet in the abbey before 1811. The hand is the weak point: three letters "
    "are formed otherwise than in the scribe's other work."
)
TITLES = ("Provenance", "Ink and paper", "The hand", "Wording", "Against it")
PLAN = {
    "tasks": [
        {"title": "Provenance", "prompt": "Where was the treaty kept before 1890, and who says so?", "needs": []},
        {"title": "Ink and paper", "prompt": "What do ink and paper say of its age?", "needs": []},
        {"title": "The hand", "prompt": "Is the hand that of the scribe who signed it?", "needs": []},
        {"title": "Wording", "prompt": "Does the wording fit the chancery's of that year?", "needs": [1]},
        {"title": "Against it", "prompt": "What speaks against it, given all that?", "needs": [1, 2, 3]},
    ]
}
ARCHIVE = "Inventory of 1702: 'item, the peace of 1648, with two seals'. Inventory of 1811: the same, one seal lost."
SCRIPT = "<img src=x onerror=alert(1)><script>alert(2)</script><a href='javascript:alert(3)'>link</a>"

Pace = Callable[[float], Awaitable[None]]


async def at_once(seconds: float) -> None:
    """Let others go on."""
    await anyio.lowlevel.checkpoint()


class Written:
    """A model that writes word by word what a script says, at a pace. Requests may fail before."""

    def __init__(
        self, script: Callable[[ModelRequest], str | Message | Exception], pace: Pace = at_once, seed: int = 0
    ) -> None:
        self.name = "scripted:scholar"
        self.price = Price(input=2, output=8)
        self._script = script
        self._pace = pace
        self._random = random.Random(seed)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer."""
        response = await ScriptedModel([self._script(request)], price=self.price).request(request)
        await self._pace(self._random.uniform(0.2, 0.9))
        if on_delta is not None:
            for word in response.message.text.split(" "):
                on_delta(Delta(f"{word} "))
                await self._pace(self._random.uniform(0.005, 0.03))
        return response


def search() -> Tool:
    """A tool that looks into the archive."""

    @tool
    async def search(query: str) -> str:
        """Search the archive."""
        return ARCHIVE

    return search


def _asks(request: ModelRequest) -> str:
    return "\n".join(message.text for message in request.messages if message.role == "user")


class Scholar:
    """The script of a contemplation: a plan, a search, answers, one failure that is retried, and a merge."""

    def __init__(self) -> None:
        self.failed = False

    def __call__(self, request: ModelRequest) -> str | Message | Exception:
        """Return the reply to a request."""
        asked = _asks(request)
        if request.output_schema is not None and request.output_schema.name == "plan":
            return json.dumps(PLAN, indent=1)
        if request.messages[0].role == "system" and "answer the whole question" in asked.casefold():
            return ANSWER
        if "Where was the treaty" in asked and request.messages[-1].role != "tool" and request.tools:
            call = ToolCall(id="c1", name="search", arguments='{"query": "peace of 1648"}')
            return Message.assistant("Let me look into the inventories.", (call,))
        if "What do ink" in asked and not self.failed:
            self.failed = True
            return ModelConnectionError("the connection was reset", model="scripted:scholar")
        return "Two inventories name it, and what they say of seals and size fits. " + ANSWER[:150]


def contemplating(journal: Journal | None = None, pace: Pace = at_once) -> Contemplator[str]:
    """A contemplator whose run has a plan, a tool and a retry."""
    return Contemplator(
        Retry(Written(Scholar(), pace)), tools=[search()], journal=journal, labels={"mode": "contemplating"}
    )


def voting(journal: Journal | None = None, pace: Pace = at_once) -> Contemplator[str]:
    """A contemplator whose samples do not agree."""
    chance = random.Random(5)

    def say(request: ModelRequest) -> str:
        answer = chance.choice(["42", "42", "42", "54"])
        return f"Six times seven is {answer}, as six sevens make it.\n\nAnswer: {answer}"

    mode = "vote"
    return Contemplator(Written(say, pace), mode="vote", journal=journal, labels={"mode": mode})


def compared(journal: Journal | None = None, pace: Pace = at_once) -> Contemplator[str]:
    """A contemplator whose answers are compared two by two; the longer one is better."""

    def say(request: ModelRequest) -> str:
        found = re.findall(r"<<candidate \d (\w+)>>\n(.*?)\n<<end \1>>", request.messages[-1].text, re.DOTALL)
        if not found:
            return "It is so. " * ((request.settings.seed or 0) + 1)
        first, second = (len(text) for _, text in found)
        return json.dumps({"reason": "it says more", "better": "1" if first > second else "2"})

    planner, aggregator = planners.sample(4), aggregators.tournament()
    return Contemplator(Written(say, pace), planner=planner, aggregator=aggregator, journal=journal)


def nested(journal: Journal | None = None, pace: Pace = at_once) -> Contemplator[str]:
    """A contemplator with a task that several subagents answer."""

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="1", title="Compute", prompt="What is 6 * 7?", kind="candidate", samples=3)
        yield Task(id="2", title="Check", prompt="Is that right?", kind="candidate", needs=("1",))

    return Contemplator(Written(lambda _: "42", pace), planner=plan, mode="vote", journal=journal)


def many(tasks: int) -> Planner:
    """Plan so many tasks, every tenth of which needs two others."""

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number in range(tasks):
            needs = (str(number - 1), str(number // 2)) if number % 10 == 9 else ()
            yield Task(id=str(number), title=f"Part {number + 1}", prompt=f"What of part {number}?", needs=needs)

    return plan


async def joined(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    """Conclude with how many there were."""
    return f"{len([each async for each in results])} parts were answered."


joined.model_calls = 0  # type: ignore[attr-defined]


def large(tasks: int, journal: Journal | None = None, words: int = 12) -> Contemplator[str]:
    """A contemplator whose run has many tasks."""
    text = " ".join(f"word{number}" for number in range(words))
    return Contemplator(Written(lambda _: text), planner=many(tasks), aggregator=joined, journal=journal)


def hostile(journal: Journal | None = None) -> Contemplator[str]:
    """A contemplator of whose run every text is HTML with scripts."""

    @tool(name="fetch")
    async def fetch(url: str) -> str:
        """Fetch."""
        return SCRIPT * 3

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="1", title=SCRIPT, prompt=SCRIPT, instructions=SCRIPT)
        yield Task(id="</script><script>alert(4)</script>", title=f"</title>{SCRIPT}", prompt=SCRIPT, needs=("1",))

    def say(request: ModelRequest) -> str | Message:
        if request.messages[-1].role != "tool" and request.tools:
            return Message.assistant(SCRIPT, (ToolCall(id="c", name="fetch", arguments=json.dumps({"url": SCRIPT})),))
        return SCRIPT

    async def conclude(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        ctx.note(SCRIPT)
        return SCRIPT + "".join([each.text async for each in results])

    conclude.model_calls = 0  # type: ignore[attr-defined]
    return Contemplator(Written(say), planner=plan, aggregator=conclude, tools=[fetch], journal=journal)


async def events_of_run(mind: Contemplator[str], question: str = QUESTION) -> list[Event]:
    """Make a run, and return its events."""
    heard: list[Event] = []
    await mind.run(question, on_event=heard.append)
    return heard
