"""Any run, cut anywhere and as often as one likes, is continued without paying twice, and replayed as it was."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import Contemplator, RunContext, RunResult, Task, aggregators, tool
from contemplate.errors import ContemplateError, ModelServerError
from contemplate.journal import Journal
from contemplate.messages import Message, ToolCall
from contemplate.models import ModelRequest
from contemplate.run.protocols import Aggregator
from contemplate.testing import ScriptedModel

from ..support import cancelled_after

QUESTION = "What is to be done?"
MAX_STEPS = 60


@dataclass(frozen=True)
class Piece:
    """A task: which earlier ones it needs, whether it uses the tool, and how often its calls fail at first."""

    needs: tuple[int, ...]
    uses_tool: bool
    failures: int


@dataclass
class World:
    """What lies outside the process: the model's and the tool's side, which count."""

    plan: list[Piece]
    asked: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def answer(self, request: ModelRequest) -> Message | str | Exception:
        name = content(request)
        said = "\n".join(message.text for message in request.messages)
        for number, piece in enumerate(self.plan):
            if f"Piece {number}." not in said or "<<answer" in said:
                continue
            if self.failed[name] < piece.failures:
                self.failed[name] += 1
                return ModelServerError("not yet", model="scripted")
            self.asked[name] += 1
            if piece.uses_tool and request.messages[-1].role != "tool":
                call = ToolCall(id="1", name="weigh", arguments=f'{{"grams": {number}}}')
                return Message.assistant(name, (call,))
            return f"answer {name}"
        self.asked[name] += 1
        return f"merged {name}"


def content(request: ModelRequest) -> str:
    said = "|".join(message.model_dump_json() for message in request.messages)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def mind(world: World, aggregator: Aggregator, journal: Journal | None) -> Contemplator[str]:
    @tool
    async def weigh(grams: int) -> str:
        """Weigh."""
        await anyio.lowlevel.checkpoint()
        world.used[str(grams)] += 1
        return f"{grams} g"

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number, piece in enumerate(world.plan):
            yield Task(id=str(number), prompt=f"Piece {number}.", needs=tuple(map(str, piece.needs)))

    return Contemplator(
        ScriptedModel(world.answer), planner=plan, aggregator=aggregator, tools=[weigh], journal=journal
    )


@st.composite
def plans(draw: st.DrawFn) -> list[Piece]:
    return [
        Piece(
            tuple(sorted(draw(st.sets(st.integers(0, number - 1), max_size=2)))) if number else (),
            draw(st.booleans()),
            draw(st.sampled_from([0, 0, 0, 1, 2])),
        )
        for number in range(draw(st.integers(1, 5)))
    ]


AGGREGATORS: dict[str, Callable[[], Aggregator]] = {
    "synthesize": aggregators.synthesize,
    "vote": lambda: aggregators.vote(key=str, stop=None),
}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("concluding", AGGREGATORS)
# Sixty in all, of both event loops and both ways to conclude.
@settings(max_examples=15, deadline=None)
@given(plans(), st.lists(st.integers(0, MAX_STEPS), max_size=5), st.booleans())
def test_cut_and_continued(backend: str, concluding: str, plan: list[Piece], cuts: list[int], in_a_file: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "runs.db") if in_a_file else None
        anyio.run(_cut_and_continued, plan, cuts, AGGREGATORS[concluding](), path, backend=backend)


async def _cut_and_continued(plan: list[Piece], cuts: list[int], aggregator: Aggregator, path: Path | None) -> None:
    world, journal = World(plan), Journal(path)
    for cut in cuts:
        await _session(world, aggregator, journal, cut)
        if path is not None:
            # As after a crash: nothing is left but the file.
            journal.close()
            journal = Journal(path)
    result: RunResult[str] | None = None
    while result is None or not result.complete:
        # As often as calls fail at first, and once more.
        result = await _session(world, aggregator, journal, None)
    assert all(times == 1 for times in world.used.values()), "a tool is not used twice"

    # A vote is complete without those that failed.
    calm = World([Piece(piece.needs, piece.uses_tool, 0) for piece in plan])
    if all(task.answered for task in result.tasks):
        assert result.text == (await mind(calm, aggregator, None).run(QUESTION, run_id="r")).text
    assert result.usage.calls >= world.asked.total(), "what was superseded was paid for as well"

    offline = World(plan)
    replayed = await mind(offline, aggregator, journal).replay("r")
    assert not offline.asked
    assert not offline.used
    assert (replayed.text, replayed.usage) == (result.text, result.usage)
    assert [task.outcome for task in replayed.tasks] == [task.outcome for task in result.tasks]
    journal.close()


async def _session(world: World, aggregator: Aggregator, journal: Journal, cut: int | None) -> RunResult[str] | None:
    """Run until it is cut, fails or ends; no call whose answer was written down may be made in it."""
    stored = {entry.digest for entry in journal.entries("r") if entry.outcome == "answered"}
    known = {_content_of(journal, digest) for digest in stored}
    before = world.asked.copy()
    results: list[RunResult[str]] = []

    async def run() -> None:
        # One that fails is made again, too.
        with suppress(ContemplateError):
            results.append(await mind(world, aggregator, journal).run(QUESTION, run_id="r"))

    if cut is None:
        await run()
    else:
        await cancelled_after(cut, run)
    again = {name for name, times in (world.asked - before).items() if name in known}
    assert not again, f"answered, written down, and asked again: {again}"
    return results[0] if results else None


def _content_of(journal: Journal, digest: str) -> str:
    entry = next(entry for entry in journal.entries("r") if entry.digest == digest)
    if entry.role == "tool":
        return ""
    messages = journal.parts(entry.parts)[1:]
    return hashlib.sha256("|".join(messages).encode()).hexdigest()[:12]
