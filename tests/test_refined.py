"""Agents that revise their answers before these count."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from contemplate import (
    Agent,
    Answer,
    Contemplator,
    Limits,
    Message,
    RunContext,
    Task,
    TaskContext,
    aggregators,
    modes,
    planners,
    refined,
    strategies,
    tool,
)
from contemplate.agents.self_refine import _NO_CHANGE
from contemplate.errors import ConfigurationError, ModelRequestError
from contemplate.events import OutputDelta
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest, ModelResponse
from contemplate.run.protocols import AgentFunction
from contemplate.testing import ScriptedModel
from contemplate.testing.scripted import Reply
from contemplate.usage import Usage

from .support import cancelled_after

pytestmark = pytest.mark.anyio

REVISE = "Before your answer counts"


def revises(request: ModelRequest) -> bool:
    return REVISE in request.messages[-1].text


def once(agent: AgentFunction | None = None, times: int = 1, **options: Any) -> dict[str, Any]:
    return {
        "planner": planners.direct(),
        "aggregator": aggregators.first(),
        "agent": refined(agent or Agent(), times),
        **options,
    }


def mind(*replies: Reply, agent: AgentFunction | None = None, times: int = 1, **options: Any) -> Contemplator[str]:
    return Contemplator(ScriptedModel(replies), **once(agent, times, **options))


def cut(text: str) -> ModelResponse:
    return ModelResponse(message=Message.assistant(text), finish="length", model="scripted", usage=Usage(calls=1))


async def test_the_revision_counts() -> None:
    result = await mind("four", "five").run("2 + 3?")
    assert (result.output, result.usage.calls) == ("five", 2)
    said = [each.text for each in result.tasks[0].messages]
    assert said[-3] == "four"
    assert said[-2].startswith(REVISE)
    assert said[-1] == "five"


@pytest.mark.parametrize(
    "reply",
    [
        "NO CHANGE",
        "**NO CHANGE**",
        "no changes.",
        "NO_CHANGE",
        "NO CHANGE\n\nAll steps are right.",
        "All is right.\n\nNO CHANGE",
        "Answer: NO CHANGE",
        "five",
        " five\n",
    ],
)
async def test_it_stops_where_there_is_nothing_to_change(reply: str) -> None:
    result = await mind("five", reply, times=3).run("2 + 3?")
    assert (result.output, result.usage.calls, result.complete, result.notes) == ("five", 2, True, ())
    assert "five" in [each.text for each in result.tasks[0].messages]


@pytest.mark.parametrize(
    "reply", ["There was no change in 1990.", "No change: it is five.", "NO CHANGE of plan\nis six"]
)
async def test_what_only_speaks_of_changes_is_a_revision(reply: str) -> None:
    assert (await mind("five", reply).run("q")).output == reply


async def test_it_goes_on_as_long_as_something_changes() -> None:
    result = await mind("one", "two", "three", "NO CHANGE", times=5).run("q")
    assert (result.output, result.usage.calls) == ("three", 4)
    result = await mind("one", "two", "three", times=2).run("q")
    assert (result.output, result.usage.calls) == ("three", 3)


@pytest.mark.parametrize("reply", [ModelRequestError("no", model="scripted"), "", cut("half of a"), ValueError("odd")])
async def test_an_answer_is_not_lost_for_a_bad_revision(reply: Reply) -> None:
    result = await mind("five", reply, times=3).run("q")
    assert (result.output, result.usage.calls, result.complete) == ("five", 2, True)
    assert "counts as it was, not revised" in result.notes[0]
    assert "five" in [each.text for each in result.tasks[0].messages]


async def test_what_was_cut_off_at_first_is_not_revised() -> None:
    parts = planners.sample(2, instructions="")
    model = ScriptedModel([cut("half of a"), "whole", "better"])
    result = await Contemplator(model, planner=parts, aggregator=aggregators.first(), agent=refined(Agent())).run("q")
    assert (result.output, result.usage.calls) == ("better", 3)


class Sum(BaseModel):
    value: int


async def test_typed_answers() -> None:
    async def run(*replies: Reply) -> tuple[Sum, int]:
        model = ScriptedModel(replies)
        typed = Contemplator(model, output_type=Sum, **once(times=2))
        result = await typed.run("2 + 3?")
        assert all(each.output_schema is not None for each in model.requests)
        return result.output, result.usage.calls

    assert await run('{"value": 4}', '{"value": 5}', '{"value": 5}') == (Sum(value=5), 3)
    assert await run('{"value": 5}', '{ "value": 5 }') == (Sum(value=5), 2)
    # One that is broken is repaired; if it cannot be, the answer before counts.
    assert await run('{"value": 5}', "nonsense", '{"value": 6}', '{"value": 6}') == (Sum(value=6), 4)
    assert await run('{"value": 5}', "a", "b", "c") == (Sum(value=5), 4)


async def test_tools_stay_at_hand_and_their_results_in_view() -> None:
    @tool
    def look_up(word: str) -> str:
        """Look up a word."""
        return f"{word} means it"

    def calls(word: str) -> Message:
        call = ToolCall(id=f"call-{word}", name="look_up", arguments=f'{{"word": "{word}"}}')
        return Message(role="assistant", tool_calls=(call,))

    model = ScriptedModel([calls("eins"), "one", calls("zwei"), "two"])
    result = await Contemplator(model, **once(Agent(tools=[look_up]))).run("q")
    assert result.output == "two"
    shown = [each.text for each in model.requests[-1].messages]
    assert [text for text in shown if "means it" in text] == ["eins means it", "zwei means it"]
    assert all(each.tools for each in model.requests)


async def test_programs() -> None:
    pytest.importorskip("pydantic_monty", reason="programs need the extra `code`")
    planner = planners.sample(1, strategies=[strategies.code])

    async def run(*replies: str) -> tuple[str, int]:
        options = once(times=2, planner=planner)
        result = await Contemplator(ScriptedModel(replies), **options).run("q")
        return result.output.splitlines()[-1], result.usage.calls

    four, five = ("```python\nprint(2 + 2)\n```", "```python\nprint(2 + 3)\n```")
    assert await run(four, five, five) == ("Answer: 5", 3)
    assert await run(five, five) == ("Answer: 5", 2)
    assert await run(five, *["no program"] * 3) == ("Answer: 5", 4)


async def test_each_sample_of_a_task_is_revised() -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="do it", samples=3)

    def script(request: ModelRequest) -> str:
        return "Answer: 5" if revises(request) else f"Answer: {request.settings.seed}"

    options = once(planner=plan, aggregator=aggregators.synthesize())
    model = ScriptedModel(lambda request: "merged" if "fences" in request.messages[0].text else script(request))
    result = await Contemplator(model, **options).run("q")
    assert result.tasks[0].text == "Answer: 5"
    assert len(result.tasks[0].support) >= 2
    assert sum(map(revises, model.requests)) >= 2


async def test_any_agent_is_given_its_task_once_more() -> None:
    seen: list[Task] = []

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        seen.append(task)
        said = Message.user(task.instructions or "first")
        response = await ctx.call(ModelRequest((said,)))
        return Answer(response.message.text)

    result = await mind("four", "five", agent=agent).run("q")
    assert result.output == "five"
    again = seen[1].instructions or ""
    assert "four" in again
    assert REVISE in again
    assert [each.text for each in result.tasks[0].messages] == ["first", "four", again, "five"]
    assert (await mind("four", "NO CHANGE", agent=agent).run("q")).output == "four"


async def test_an_agent_without_a_conversation() -> None:
    answers = iter(["one", "two", "two"])

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return Answer(next(answers))

    result = await mind(agent=agent, times=5).run("q")
    assert (result.output, list(answers), result.tasks[0].messages) == ("two", [], ())


async def test_a_contemplator_as_the_agent() -> None:
    inner = Contemplator(ScriptedModel(["four", "five"]), mode="instant")
    assert (await mind(agent=inner).run("q")).output == "five"


async def test_what_is_no_answer_is_named_as_ever() -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return "text"  # type: ignore[return-value]

    with pytest.raises(Exception, match="which is not an Answer"):
        await mind(agent=agent).run("q")


async def test_the_stream_ends_with_the_answer_that_counts() -> None:
    heard: list[OutputDelta] = []

    def listen(event: object) -> None:
        if isinstance(event, OutputDelta):
            heard.append(event)

    for replies, answer in ((("five", "NO CHANGE"), "five"), (("four", "five"), "five"), (("five", cut("x")), "five")):
        heard.clear()
        assert (await mind(*replies, on_event=listen).run("q")).output == answer
        text = ""
        for each in heard:
            text = each.text if each.restart else text + each.text
        assert text == answer


class TestDeadlines:
    """On a clock that jumps ahead when nobody has anything to do."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0)}

    async def test_at_the_deadline_the_answer_before_counts(self) -> None:
        async def script(request: ModelRequest) -> str:
            if revises(request):
                await anyio.sleep_forever()
            return f"answer {request.messages[-1].text[-1]}"

        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            yield Task(id="a", prompt="task 1")
            yield Task(id="b", prompt="task 2")

        async def both(question: str, results: AsyncIterator[object], ctx: RunContext) -> str:
            _ = [each async for each in results]
            return " and ".join(sorted(each.text for each in ctx.results.values() if each.answered))

        limits = Limits(seconds=20)
        options = once(planner=plan, aggregator=both, limits=limits)
        result = await Contemplator(ScriptedModel(script), **options).run("q")
        assert result.output == "answer 1 and answer 2"
        assert result.missing == ()
        assert (result.stopped_by, result.complete) == ("seconds", False)


async def test_the_tokens_are_those_of_the_answer_that_counts() -> None:
    from contemplate.messages import TokenLogprob

    def reply(text: str) -> ModelResponse:
        token = TokenLogprob(token=text, logprob=-1.0)
        return ModelResponse(
            message=Message.assistant(text), finish="stop", model="m", usage=Usage(calls=1), logprobs=(token,)
        )

    async def tokens(*texts: str) -> list[str]:
        result = await mind(*map(reply, texts)).run("q")
        return [each.token for each in result.tasks[0].logprobs or ()]

    assert await tokens("five", "NO CHANGE") == ["five"]
    assert await tokens("four", "five") == ["five"]


async def three(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    for each in "abc":
        yield Task(id=each, prompt=f"task {each}")


def merged(request: ModelRequest) -> str:
    text = request.messages[-1].text
    if "experts' texts" in text:
        return "merged"
    return f"{text[-1]} anew" if revises(request) else f"first {text[-1]}"


@pytest.mark.parametrize("calls", range(4, 9))
async def test_first_answers_go_before_revisions(calls: int) -> None:
    options = once(planner=three, aggregator=aggregators.synthesize(), limits=Limits(calls=calls))
    model = ScriptedModel(merged)
    result = await Contemplator(model, **options).run("q")
    assert result.output == "merged"
    assert [each.outcome for each in result.tasks] == ["answered"] * 3
    assert result.complete
    assert result.stopped_by is None
    assert result.usage.calls == len(model.requests) <= calls
    assert sum(map(revises, model.requests)) >= min(3, calls - 4) - 2
    if calls >= 7:
        assert sum(map(revises, model.requests)) == 3


@settings(max_examples=40, deadline=None)
@given(
    calls=st.none() | st.integers(1, 9),
    total=st.none() | st.integers(50, 3000),
    output=st.none() | st.integers(20, 600),
    times=st.integers(1, 2),
)
def test_no_limit_is_exceeded_and_something_comes_back(
    calls: int | None, total: int | None, output: int | None, times: int
) -> None:
    limits = Limits(calls=calls, total_tokens=total, output_tokens=output)
    options = once(times=times, planner=three, aggregator=aggregators.synthesize(), limits=limits)

    def script(request: ModelRequest) -> ModelResponse:
        text = merged(request) + " and so on" * 8
        most = request.settings.max_tokens
        response = ScriptedModel("")._response(request, text if most is None else text[: 4 * most])
        short = most is not None and len(text) > 4 * most
        return response.model_copy(update={"finish": "length"}) if short else response

    async def run() -> None:
        try:
            result = await Contemplator(ScriptedModel(script), **options).run("q")
        except Exception as error:
            partial = getattr(error, "partial", None)
            assert partial is not None, error
            assert not any(each.answered for each in partial.tasks), "what was answered is not lost"
            spent = partial.usage
        else:
            assert result.output
            spent = result.usage
        assert calls is None or spent.calls <= calls
        assert total is None or spent.total_tokens <= total
        assert output is None or spent.output_tokens <= output

    anyio.run(run)


async def test_wherever_it_is_killed_nothing_is_asked_twice() -> None:
    for step in range(0, 60, 3):
        asked: Counter[str] = Counter()
        journal = Journal(None)

        def script(request: ModelRequest, asked: Counter[str] = asked) -> str:
            asked["\0".join(each.text for each in request.messages)] += 1
            return merged(request)

        def make(script: Callable[[ModelRequest], Reply] = script, journal: Journal = journal) -> Contemplator[str]:
            options = once(planner=three, aggregator=aggregators.synthesize(), journal=journal)
            return Contemplator(ScriptedModel(script), **options)

        over = await cancelled_after(step, lambda: make().run("q", run_id="r"))
        result = await make().run("q", run_id="r")
        assert result.output == "merged"
        # What was cut off in the middle of a call is asked again, and only that.
        entries = [each for each in journal.entries("r") if each.outcome == "answered"]
        assert len(entries) == 7
        assert asked.total() == 7 or not over
        for _ in range(2):
            assert (await make().run("q", run_id="r")).output == "merged"
        assert (await make().replay("r")).output == "merged"


async def test_estimates() -> None:
    def calls(agent: AgentFunction) -> tuple[float, float | None]:
        found = Contemplator(ScriptedModel(""), **(once() | {"agent": agent})).estimate("q").calls
        return found.low, found.high

    assert calls(Agent()) == (1, 1)
    assert calls(refined(Agent())) == (2, 2)
    assert calls(refined(Agent(), 3)) == (2, 4)

    async def own(task: Task, ctx: TaskContext) -> Answer:
        return Answer("x")

    assert calls(refined(own)) == (1, None)


def test_modes() -> None:
    with pytest.raises(ConfigurationError, match="times must be at least 1"):
        refined(Agent(), 0)
    with pytest.raises(ConfigurationError, match="must be at least 0"):
        modes.contemplating(refine=-1)
    preset = modes.contemplating(refine=2, ask_again=1)
    assert preset.refine == 2
    assert "refined" not in repr(Contemplator(ScriptedModel(""), mode=modes.contemplating()))
    said = repr(Contemplator(ScriptedModel(""), mode=preset))
    assert "Refined(" in said
    assert "times=2" in said
    assert "ask_again=1" in said


@pytest.mark.parametrize("line", ["-" * 5000 + "x", "answer" * 1000, " no" * 2000])
def test_odd_lines_take_no_time(line: str) -> None:
    assert _NO_CHANGE.fullmatch(line) is None
