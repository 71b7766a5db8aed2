"""Runs with a journal: continued, not paid for twice, and concluded from again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from contemplate import (
    Agent,
    Answer,
    Conclusion,
    Contemplator,
    Limits,
    Message,
    ModelSettings,
    RunContext,
    Task,
    TaskContext,
    TaskResult,
    aggregators,
    planners,
    tool,
)
from contemplate.errors import ConfigurationError, ContemplateError, ModelRequestError, RunInProgress
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel
from contemplate.usage import Usage

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio

QUESTION = "What is to be done?"
MERGED = '{"sum": 3}'


@pytest.fixture(params=["file", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    return Journal(tmp_path / "runs.db" if request.param == "file" else None)


class Counting(ScriptedModel):
    """Answers with the last line of the prompt, and fails or stalls where it is told to."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.failing: set[str] = set()
        self.stalling: set[str] = set()
        self.asked: Counter[str] = Counter()

    async def _answer(self, request: ModelRequest) -> str:
        text = request.messages[-1].text
        self.asked[text] += 1
        if any(word in text for word in self.failing):
            raise ModelRequestError("no", model="scripted")
        if any(word in text for word in self.stalling):
            await anyio.sleep_forever()
        return f"answer to {text.splitlines()[-1]}"


async def three(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id="a", prompt="do alpha")
    yield Task(id="b", prompt="do beta")
    yield Task(id="c", prompt="do gamma", needs=("a", "b"))


async def test_a_cancelled_run_goes_on_where_it_was(journal: Journal) -> None:
    model = Counting()
    model.stalling = {"gamma"}
    mind = Contemplator(model, planner=three, journal=journal)
    async with anyio.create_task_group() as group:
        group.start_soon(mind.run, QUESTION)
        while model.asked.total() < 3:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    (run,) = journal.runs()
    assert run.status == "interrupted"
    model.stalling.clear()
    before = dict(model.asked)
    result = await mind.run(QUESTION, run_id=run.run_id)
    assert result.complete
    again = [text for text, times in model.asked.items() if times > before.get(text, 0)]
    assert len(again) == 2, "the task that was cut off, and the synthesis"
    assert result.usage.calls == 5, "the whole run's, whenever they were made, and the one that was cut off"
    uninterrupted = await Contemplator(Counting(), planner=three).run(QUESTION, run_id=run.run_id)
    assert result.output == uninterrupted.output


async def test_a_failed_run_asks_only_what_failed(journal: Journal) -> None:
    model = Counting()
    model.failing = {"Merge", "gamma", "beta", "alpha"}
    mind = Contemplator(model, planner=three, journal=journal)
    with pytest.raises(ContemplateError):
        await mind.run(QUESTION, run_id="r")
    run = journal.load("r")
    assert run is not None
    assert (run.status, run.error is not None) == ("failed", True)
    model.failing = set()
    assert (await mind.run(QUESTION, run_id="r")).complete
    run = journal.load("r")
    assert run is not None
    assert (run.status, run.error) == ("answered", None)


async def test_a_run_that_is_over_is_not_made_again(journal: Journal) -> None:
    model = Counting()
    mind = Contemplator(model, planner=three, journal=journal)
    first = await mind.run(QUESTION, run_id="r")
    made = model.asked.total()
    # Nor does anybody wait for whoever has it: what is answered stays so.
    with journal.hold("r"):
        again = await mind.run(QUESTION, run_id="r")
    assert model.asked.total() == made
    assert again.model_copy(update={"tasks": ()}) == first.model_copy(update={"tasks": ()})
    assert [task.text for task in again.tasks] == [task.text for task in first.tasks]


async def test_another_question_under_that_name(journal: Journal) -> None:
    mind = Contemplator(Counting(), mode="instant", journal=journal)
    await mind.run(QUESTION, run_id="r")
    with pytest.raises(ConfigurationError, match="'r' has another question"):
        await mind.run("Something else?", run_id="r")


async def test_samples_of_one_prompt_are_calls_of_their_own(journal: Journal) -> None:
    model = ScriptedModel(["1", "2", "3", "4", "5"])
    mind = Contemplator(
        model, planner=planners.sample(5), aggregator=aggregators.vote(stop=None, key=str), journal=journal
    )
    await mind.run(QUESTION, run_id="r")
    entries = journal.entries("r")
    assert sorted(entry.response.message.text for entry in entries if entry.response) == ["1", "2", "3", "4", "5"]
    assert len({entry.slot for entry in entries}) == 5


async def test_equal_calls_of_one_task_are_calls_of_their_own(journal: Journal) -> None:
    async def twice(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        request = ModelRequest((Message.user("the same"),))
        said = [(await ctx.call("planner", request)).message.text for _ in range(3)]
        yield Task(id="t", prompt=" ".join(said))

    model = ScriptedModel(["1", "2", "3", "end"])
    mind = Contemplator(model, planner=twice, aggregator=aggregators.first(), journal=journal)
    await mind.run(QUESTION, run_id="r")
    result = await mind.replay("r")
    assert result.tasks[0].task.prompt == "1 2 3"


async def test_a_tool_is_not_used_twice(journal: Journal) -> None:
    used: list[int] = []

    @tool
    def charge(amount: int) -> str:
        """Charge a card."""
        used.append(amount)
        return f"charged {amount}"

    fails = True
    replies = iter([Message.assistant("", (ToolCall(id="1", name="charge", arguments='{"amount": 7}'),))])

    def script(request: ModelRequest) -> Message | str | Exception:
        if request.messages[-1].role != "tool":
            return next(replies)
        return ModelRequestError("no", model="scripted") if fails else f"done: {request.messages[-1].text}"

    mind = Contemplator(ScriptedModel(script), mode="instant", tools=[charge], journal=journal)
    with pytest.raises(ContemplateError):
        await mind.run(QUESTION, run_id="r")
    fails = False
    result = await mind.run(QUESTION, run_id="r")
    assert result.output == "done: charged 7"
    assert used == [7]


class Verdict(BaseModel):
    answer: str
    sure: bool


async def test_typed_output_comes_back_typed(journal: Journal) -> None:
    model = ScriptedModel('{"answer": "yes", "sure": true}')
    mind = Contemplator(model, mode="instant", output_type=Verdict, journal=journal)
    for _ in range(2):
        assert (await mind.run(QUESTION, run_id="r")).output == Verdict(answer="yes", sure=True)
    assert (await mind.replay("r")).output == Verdict(answer="yes", sure=True)
    assert len(model.requests) == 1


async def test_a_partial_answer_is_completed_later(journal: Journal) -> None:
    model = Counting()
    mind = Contemplator(model, planner=three, journal=journal, limits=Limits(calls=3))
    first = await mind.run(QUESTION, run_id="r")
    assert not first.complete
    asked = dict(model.asked)
    whole = await mind.run(QUESTION, run_id="r", limits=Limits())
    assert whole.complete
    assert {text: model.asked[text] for text in asked if "Merge" not in text and "answer" not in text} == {
        text: 1 for text in asked if "Merge" not in text and "answer" not in text
    }


async def test_one_run_is_made_by_one_at_a_time(journal: Journal) -> None:
    model = Counting()
    model.stalling = {"alpha"}
    mind = Contemplator(model, planner=three, journal=journal)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: mind.run(QUESTION, run_id="r"))
        while not model.asked:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(RunInProgress, match="'r' is already active|'r' is active"):
            await mind.run(QUESTION, run_id="r")
        group.cancel_scope.cancel()


@pytest.mark.parametrize("run_id", ["", "a b", "../up", "x" * 65, "naïve"])
async def test_a_name_that_is_none(run_id: str) -> None:
    with pytest.raises(ConfigurationError, match="run_id"):
        await Contemplator(ScriptedModel("a"), mode="instant").run(QUESTION, run_id=run_id)


@pytest.mark.parametrize("name", ["runs.db", "sqlite://runs.db", "sqlite:///", "mysql://x"])
def test_a_journal_of_no_known_kind(name: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///runs.db"):
        Contemplator(ScriptedModel("a"), journal=name)


async def test_without_a_journal_there_is_nothing_to_replay() -> None:
    with pytest.raises(ConfigurationError, match="there is no journal"):
        await Contemplator(ScriptedModel("a")).replay("r")


async def test_conclude_once_more(journal: Journal) -> None:
    model = ScriptedModel(["blue", "red", "blue", "green", "blue"])
    sampled = Contemplator(
        model, planner=planners.sample(5), aggregator=aggregators.vote(stop=None, key=str), journal=journal
    )
    first = await sampled.run(QUESTION, run_id="r")
    assert first.output == "blue"
    judge = ScriptedModel("a fine mixture")
    merged = Contemplator(judge, aggregator=aggregators.synthesize(), journal=journal)
    again = await merged.reaggregate("r")
    assert again.output == "a fine mixture"
    assert len(judge.requests) == 1, "only the aggregator's call"
    assert "green" in judge.requests[0].messages[-1].text
    assert again.usage.calls == 1
    assert [task.text for task in again.tasks] == [task.text for task in first.tasks]
    assert all(task.messages for task in again.tasks), "whole conversations, for aggregators that look into them"
    run = journal.load(again.run_id)
    assert run is not None
    assert (run.parent, run.status) == ("r", "answered")


async def test_text_parts_of_a_typed_answer_are_merged_once_more(journal: Journal) -> None:
    def script(request: ModelRequest) -> str:
        return f"answer to {request.messages[-1].text.splitlines()[-1]}" if request.output_schema is None else MERGED

    mind = Contemplator(ScriptedModel(script), planner=three, output_type=dict[str, int], journal=journal)
    first = await mind.run(QUESTION, run_id="r")
    again = await mind.reaggregate("r")
    assert again.output == first.output == {"sum": 3}
    assert [each.text for each in again.tasks] == [each.text for each in first.tasks]


async def test_an_output_that_cannot_be_written_down_is_returned(journal: Journal) -> None:
    async def odd(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        return Conclusion(text="odd", output=object())

    mind = Contemplator(
        ScriptedModel("a"), planner=planners.sample(1), aggregator=odd, output_type=Verdict, journal=journal
    )
    result = await mind.run(QUESTION, run_id="r")
    assert result.text == "odd"
    run = journal.load("r")
    assert run is not None
    assert run.status == "partial"


async def test_another_type_for_a_run_that_is_over(journal: Journal) -> None:
    await Contemplator(ScriptedModel("plain words"), mode="instant", journal=journal).run(QUESTION, run_id="r")
    typed = Contemplator(ScriptedModel([]), mode="instant", output_type=Verdict, journal=journal)
    with pytest.raises(ConfigurationError, match="output_type was str, and is Verdict"):
        await typed.run(QUESTION, run_id="r")


async def test_the_end_of_a_cancelled_run_can_be_read(journal: Journal) -> None:
    model = Counting()
    model.stalling = {"gamma"}
    mind = Contemplator(model, planner=three, journal=journal)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: mind.run(QUESTION, run_id="r"))
        while model.asked.total() < 3:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    run = journal.load("r")
    assert run is not None
    assert run.result is not None
    assert run.status == "interrupted"
    assert not run.result.complete
    assert [(task.id, task.outcome) for task in run.result.tasks] == [
        ("a", "answered"),
        ("b", "answered"),
        ("c", "cancelled"),
    ]
    assert run.result.tasks[0].text == "answer to do alpha"
    assert run.result.usage.calls == 3
    assert run.result.usage == sum((each.usage for each in journal.entries("r")), Usage())


async def test_concluding_again_starts_no_task(journal: Journal) -> None:
    """So a limit on tasks does not concern it; before, it waited for ever for those that the limit kept away."""
    model = ScriptedModel(["late", "early", "middle"])
    mind = Contemplator(model, planner=planners.sample(3), aggregator=collected, journal=journal)
    first = await mind.run(QUESTION, run_id="r")
    record = journal.load("r")
    assert record is not None
    assert record.result is not None
    backwards = [task.model_copy(update={"started": 3.0 - task.index}) for task in record.result.tasks]
    result = record.result.model_copy(update={"tasks": tuple(backwards)})
    journal.save(record.model_copy(update={"result": result}))
    for most in (1, 2, 3):
        limited = Contemplator(ScriptedModel([]), aggregator=collected, journal=journal, limits=Limits(tasks=most))
        with anyio.fail_after(PATIENCE):
            again = await limited.reaggregate("r")
        assert again.complete
        assert again.text.split() == first.text.split()[::-1]


async def collected(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    return " ".join([result.text async for result in results])


async def test_a_task_that_is_interrupted_holds_up_no_other(journal: Journal) -> None:
    mind = Contemplator(ScriptedModel("x"), planner=planners.sample(3), aggregator=collected, journal=journal)
    await mind.run(QUESTION, run_id="r")

    async def impatient(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        while not ctx.plan_done:
            await anyio.lowlevel.checkpoint()
        for task in ctx.planned:
            ctx.interrupt(task.id)
        return await collected(question, results, ctx)

    with anyio.fail_after(PATIENCE):
        await Contemplator(ScriptedModel([]), aggregator=impatient, journal=journal).reaggregate("r")


async def test_an_aggregator_may_read_the_run_that_it_concludes_from(journal: Journal) -> None:
    async def calls(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        of = ctx.parent_run_id or ctx.run_id
        return f"{ctx.parent_run_id}: {len(journal.entries(of))} calls"

    mind = Contemplator(ScriptedModel("x"), planner=planners.sample(3), aggregator=collected, journal=journal)
    await mind.run(QUESTION, run_id="r")
    reading = Contemplator(ScriptedModel([]), aggregator=calls, journal=journal)
    assert (await reading.reaggregate("r")).output == "r: 3 calls"


async def test_a_repeated_message_is_another_request(journal: Journal) -> None:
    """Two conversations that differ only in how often something was said have their own answers, and texts."""
    said = [Message.user("again"), Message.assistant("what?")]

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        times = 1 + int(task.id)
        response = await ctx.call(ModelRequest((*said * times, Message.user("again"))))
        return Answer(response.message.text)

    async def two(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="0", prompt="p")
        yield Task(id="1", prompt="p")

    model = ScriptedModel(lambda request: f"{len(request.messages)} messages")
    mind = Contemplator(model, planner=two, agent=agent, aggregator=collected, journal=journal)
    await mind.run(QUESTION, run_id="r")
    entries = journal.entries("r")
    assert len({each.digest for each in entries}) == 2
    assert sorted(len(journal.parts(each.parts)) for each in entries) == [4, 6]
    again = await Contemplator(ScriptedModel([]), aggregator=collected, journal=journal).reaggregate("r")
    assert sorted(len(task.messages) for task in again.tasks) == [4, 6]


def weigh(grams: int) -> str:
    """Weigh."""
    return f"{grams} g"


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "samples": ({"planner": planners.sample(5)}, "n=3), and is sample(approaches=[[None, None]], n=5"),
    "mode": ({"planner": None, "aggregator": None, "mode": "instant"}, "and is direct()"),
    "model": ({"model": ScriptedModel("a", name="other")}, "model was scripted, and is other"),
    "longer name": ({"model": ScriptedModel("a", name="scripted-2")}, "model was scripted, and is scripted-2"),
    "settings": ({"settings": ModelSettings(temperature=1.5)}, "settings=ModelSettings(temperature=1.5)"),
    "tools": ({"tools": [weigh]}, "tools={weigh: weigh}"),
    "instructions": ({"instructions": "Answer in " + "very " * 100 + "good French."}, "instructions='Answer in very"),
    "function": ({"aggregator": aggregators.first()}, "aggregator was collected, and is First()"),
    "type": ({"output_type": Verdict}, "output_type was str, and is Verdict"),
    "all settings": (
        {"all_settings": ModelSettings(temperature=1.5)},
        "all_settings was not there, and is ModelSettings(temperature=1.5)",
    ),
    "seed": ({"seed": 5}, "seed was not there, and is 5"),
    "images": ({"images_to": ["planner"]}, "images_to was not there, and is ['planner']"),
}


@pytest.mark.parametrize("what", OTHERS)
async def test_an_answer_of_another_configuration_is_not_returned(journal: Journal, what: str) -> None:
    more, said = OTHERS[what]
    mind = Contemplator(ScriptedModel("a"), planner=planners.sample(3), aggregator=collected, journal=journal)
    await mind.run(QUESTION, run_id="r")
    arguments: dict[str, Any] = {
        "model": ScriptedModel("a"),
        "planner": planners.sample(3),
        "aggregator": collected,
    } | more
    with pytest.raises(ConfigurationError, match="run 'r' was answered with another configuration") as caught:
        await Contemplator(**arguments, journal=journal).run(QUESTION, run_id="r")
    assert said in caught.value.message
    # The same again, made anew and with other limits, is the same.
    again = Contemplator(
        ScriptedModel([]),
        planner=planners.sample(3),
        aggregator=collected,
        journal=journal,
        limits=Limits(calls=100),
        agent=Agent(),
    )
    assert (await again.run(QUESTION, run_id="r")).text == "a a a"
    run = journal.load("r")
    assert run is not None
    assert run.configuration["planner"].startswith("sample(")
    assert len(run.configuration_digest) == 32


async def test_a_run_that_is_not_over_may_go_on_with_another_configuration(journal: Journal) -> None:
    mind = Contemplator(ScriptedModel([ModelRequestError("no", model="m")]), mode="instant", journal=journal)
    with pytest.raises(ContemplateError):
        await mind.run(QUESTION, run_id="r")
    other = Contemplator(ScriptedModel("b"), mode="thinking", journal=journal)
    assert (await other.run(QUESTION, run_id="r")).text == "b"


def test_a_contemplator_says_what_it_is() -> None:
    secret = "sk-" + "a1b2" * 10
    mind = Contemplator(
        ScriptedModel("a"),
        mode="vote",
        instructions=f"The key is {secret}.",
        limits=Limits(calls=9),
        output_type=Verdict,
    )
    said = repr(mind)
    assert said.startswith("Contemplator(model=scripted, planner=sample(")
    for part in ("aggregator=Vote(", "n=5", "output_type=Verdict", "limits=Limits(calls=9)"):
        assert part in said
    assert secret not in said
    assert "0x" not in repr(Contemplator(ScriptedModel("a"), planner=three, aggregator=lambda *_: collected(*_)))
