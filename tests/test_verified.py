"""Solutions that are checked and mended: who sees what, when a line ends, and what is given if none is accepted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import (
    Answer,
    Contemplator,
    Limits,
    ModelSettings,
    RunContext,
    Task,
    TaskContext,
    TaskResult,
    aggregators,
    planners,
    strategies,
    tool,
)
from contemplate.errors import ConfigurationError, ModelServerError, PlanError, ToolError
from contemplate.events import ToolFinished
from contemplate.journal import Journal
from contemplate.messages import Message
from contemplate.models import ModelRequest, ModelResponse
from contemplate.planners import CheckingProgram, Fault, Verdict
from contemplate.prompts import render
from contemplate.result import RunResult
from contemplate.testing import ScriptedModel
from contemplate.tools.tool import Tool
from contemplate.usage import Usage

from .patience import PATIENCE
from .still_clock import on_a_still_clock, outlast
from .support import Watched
from .support import steps as some_steps

pytestmark = pytest.mark.anyio

Kind = Literal["none", "gap", "critical"]
Reply = str | ModelResponse | Exception
QUESTION = "How many primes are there?"


def steps(*faults: Kind) -> str:
    """A verdict as a model writes it, with a step for each of the faults."""
    return json.dumps({"steps": [{"step": f"step {n}", "why": "so", "fault": each} for n, each in enumerate(faults)]})


class Solver(ScriptedModel):
    """Numbers its solutions, and asks `judge` for the verdict on a solution's number and how often it was checked."""

    def __init__(self, judge: Callable[[int, int], Reply | Awaitable[Reply]], **options: Any) -> None:
        super().__init__(self._reply, **options)
        self.judge = judge
        self.solutions = 0
        self.checked: Counter[int] = Counter()
        self.verifying: list[ModelRequest] = []
        self.solving: list[ModelRequest] = []

    async def _reply(self, request: ModelRequest) -> Reply:
        if request.output_schema is None:
            self.solving.append(request)
            self.solutions += 1
            return f"solution no. {self.solutions}."
        self.verifying.append(request)
        number = int(request.messages[1].text.split("solution no. ")[1].split(".")[0])
        self.checked[number] += 1
        verdict = self.judge(number, self.checked[number])
        return await verdict if isinstance(verdict, Awaitable) else verdict


async def run(model: ScriptedModel, verifier: Any = None, *, limits: Limits | None = None, **options: Any) -> Any:
    planner = planners.verified(verifier, **options)
    mind = Contemplator(model, planner=planner, aggregator=aggregators.first(), limits=limits)
    with anyio.fail_after(PATIENCE):
        return await mind.run(QUESTION)


def checks(result: RunResult[Any]) -> list[TaskResult]:
    return [each for each in result.tasks if each.task.kind == "part"]


async def test_a_solution_that_passes_is_the_answer() -> None:
    model = Solver(lambda *_: steps("none"))
    result = await run(model, lines=1)
    assert (result.text, result.complete, result.notes) == ("solution no. 1.", True, ())
    assert [each.id for each in result.tasks] == ["solution-1-1", "check-1-1-1", "check-1-1-2"]
    assert result.support == ("solution-1-1",)
    assert [each.text for each in checks(result)] == ["No fault was found."] * 2


async def test_a_verifier_sees_question_and_solution_and_nothing_else() -> None:
    model = Solver(lambda number, _: steps("critical" if number == 1 else "none"))
    await run(model, lines=1, instructions="Be quick.")
    texts = [[message.text.replace("no. 2.", "no. 1.") for message in each.messages] for each in model.verifying]
    assert len(texts) == 3
    first = texts[0][-1]
    assert QUESTION in first
    assert not any(word in first for word in ("Be quick", "Line", "expert", "check-1", "solution-1"))
    marks = [part.split("marked ")[1].split(".")[0] for _, part in texts]
    assert len({part.replace(mark, "") for (_, part), mark in zip(texts, marks, strict=True)}) == 1
    assert len({each.settings.seed for each in model.verifying}) == 3, "each looks by itself"


async def test_what_is_wrong_is_mended_with_the_list() -> None:
    model = Solver(lambda number, _: steps("none", "critical", "gap") if number == 1 else steps("none"))
    result = await run(model, lines=1)
    assert result.text == "solution no. 2."
    mended = model.solving[1].messages[-1].text
    assert "solution no. 1." in mended
    assert "CRITICAL: step 1: so\nGAP: step 2: so" in mended
    assert "Write the whole solution anew" in mended
    assert [each.id for each in result.tasks if each.task.kind == "candidate"] == ["solution-1-1", "solution-1-2"]
    verdict = checks(result)[0].output
    assert verdict == Verdict(faults=(Fault(what="step 1: so"), Fault(what="step 2: so", critical=False)))
    assert (verdict.critical, verdict.gaps) == (verdict.faults[:1], verdict.faults[1:])


@pytest.mark.parametrize(
    ("instructions", "told"), [(None, "Give every step with its reason"), ("Be brief.", "Be brief.")]
)
async def test_solvers_are_told_how_to_state_a_solution(instructions: str | None, told: str) -> None:
    model = Solver(lambda number, _: steps("critical" if number == 1 else "none"))
    given = ModelSettings(temperature=0.5)
    await run(model, lines=1, passes=1, instructions=instructions, settings=given, seed=7)
    assert [each.messages[-1].text.count(told) for each in model.solving] == [1, 1]
    assert all(("by itself" in each.messages[-1].text) == (instructions is None) for each in model.solving)
    assert {each.settings.temperature for each in model.solving} == {0.5}
    seeds = [each.settings.seed for each in (*model.solving, *model.verifying)]
    assert len(set(seeds)) == 4
    again = Solver(lambda number, _: steps("critical" if number == 1 else "none"))
    await run(again, lines=1, passes=1, settings=ModelSettings(seed=7))
    assert [each.settings.seed for each in again.solving] == seeds[:2]


async def test_without_instructions_nothing_is_added() -> None:
    model = Solver(lambda *_: steps("none"))
    await run(model, lines=1, instructions="")
    assert model.solving[0].messages[-1].text == QUESTION


async def test_gaps_alone_do_not_reject_and_are_told() -> None:
    result = await run(Solver(lambda *_: steps("gap")), lines=1)
    assert (result.text, result.complete) == ("solution no. 1.", True)
    assert result.notes == ("'solution-1-1' was accepted with gaps: step 0: so",)


async def test_passes_are_in_a_row() -> None:
    """The third verdict on the first solution is a rejection, and the second one starts anew."""
    model = Solver(lambda number, time: steps("critical" if (number, time) == (1, 3) else "none"))
    result = await run(model, lines=1, passes=3)
    assert model.checked == {1: 3, 2: 3}
    assert result.text == "solution no. 2."


async def test_who_is_never_accepted_gives_the_best_with_its_faults() -> None:
    """Of three, the second has the fewest faults."""
    faults: dict[int, list[Kind]] = {1: ["critical", "critical"], 2: ["critical"], 3: ["critical", "critical"]}
    result = await run(Solver(lambda number, _: steps(*faults[number])), lines=1, rejections=3)
    assert (result.text, result.complete, result.status) == ("solution no. 2.", False, "partial")
    (note,) = result.notes
    assert note == (
        "no solution was accepted (line 1: given up after 3 rejections); the best is given, 'solution-1-2', with these "
        "faults: step 0: so"
    )
    assert result.usage.calls == 6


async def test_of_equals_the_last_one_is_given() -> None:
    result = await run(Solver(lambda *_: steps("critical")), lines=1, rejections=2)
    assert result.text == "solution no. 2."


async def test_the_first_line_that_is_accepted_wins_and_the_others_are_cancelled() -> None:
    async def judge(number: int, time: int) -> str:
        if number == 1:
            await anyio.sleep_forever()
        return steps("none")

    watched = Watched()
    mind = Contemplator(Solver(judge), mode="verify", on_event=watched)
    with anyio.fail_after(PATIENCE):
        result = await mind.run(QUESTION)
    assert (result.text, result.complete) == ("solution no. 2.", True)
    assert {each.id: each.outcome for each in result.tasks}["check-1-1-1"] == "cancelled"
    assert {"check-2-1-1", "check-2-1-2"} <= {each.id for each in watched.finished}
    watched.check()


async def test_a_line_that_fails_leaves_the_others() -> None:
    model = Solver(lambda *_: steps("none"))
    usual, left = model._reply, [ModelServerError("down", model="m")]

    async def reply(request: ModelRequest) -> Reply:
        return left.pop() if left else await usual(request)

    result = await run(ScriptedModel(reply), lines=2)
    assert (result.text, result.complete) == ("solution no. 1.", True)


async def test_a_verdict_that_cannot_be_had_ends_the_line_and_keeps_the_solution() -> None:
    result = await run(Solver(lambda *_: ModelServerError("down", model="m")), lines=1)
    assert (result.text, result.complete) == ("solution no. 1.", False)
    assert "could not be checked: m: down" in result.notes[0]
    assert "of which no fault is known" in result.notes[0]


async def test_without_any_solution_the_failure_is_told() -> None:
    from contemplate.errors import AggregationError

    with pytest.raises(AggregationError, match="down"):
        await run(ScriptedModel(lambda _: ModelServerError("down", model="m")), lines=2)


async def test_a_verdict_in_no_form_is_asked_for_again() -> None:
    replies = iter(["It looks fine to me.", steps("none")])
    result = await run(Solver(lambda *_: next(replies)), lines=1, passes=1)
    assert (result.complete, result.usage.calls) == (True, 3)


async def test_the_number_of_steps_has_a_bound_and_who_writes_on_is_cut_off() -> None:
    """Small models repeat a step until their tokens are used up."""
    model = Solver(lambda *_: steps("none"))
    usual = model._reply

    async def reply(request: ModelRequest) -> Reply:
        text = await usual(request)
        assert isinstance(text, str)
        usage = Usage(calls=1, input_tokens=1, output_tokens=1)
        finish: Any = "stop" if request.output_schema is None else "length"
        return ModelResponse(message=Message.assistant(text), finish=finish, usage=usage, model="m")

    result = await run(ScriptedModel(reply), lines=1)
    assert (result.text, result.complete) == ("solution no. 1.", False)
    assert "given up after 3 rejections, the last as a check of it was cut off before its end" in result.notes[0]
    assert "of which no fault is known" in result.notes[0]
    schema = model.verifying[0].output_schema
    assert schema is not None
    assert '"maxItems": 24' in json.dumps(schema.schema)
    assert "more than 24" in model.verifying[0].messages[1].text


def capped(text: str) -> ModelResponse:
    usage = Usage(calls=1, input_tokens=1, output_tokens=1)
    return ModelResponse(message=Message.assistant(text), finish="length", usage=usage, model="m")


async def solved(replies: list[Reply], **how: Any) -> tuple[RunResult[str], list[str]]:
    """One line whose calls are answered so, and what those who solve were told."""
    model = ScriptedModel(replies)
    result = await run(model, lines=1, passes=1, **how)
    return result, [each.messages[-1].text for each in model.requests if each.output_schema is None]


async def test_a_solution_that_is_cut_off_is_written_anew() -> None:
    result, told = await solved([capped("first, and so on, and so"), "in brief", steps("none")])
    assert (result.text, result.complete, result.usage.calls) == ("in brief", True, 3)
    assert "first, and so on, and so" in told[1]
    assert render("verify_shorten") in told[1]
    assert render("verify_mend") not in told[1]


async def test_what_was_found_before_is_told_again_and_only_the_last_cut_off_one() -> None:
    cut_off = [capped("endless"), capped("without end")]
    result, told = await solved(["wrong", steps("critical"), *cut_off, "mended", steps("none")], rejections=4)
    assert (result.text, result.complete) == ("mended", True)
    last = result.plan.tasks[-2]
    assert last.needs == ("solution-1-1", "check-1-1-1", "solution-1-3")
    assert render("verify_mend") in told[-1]
    assert render("verify_shorten") in told[-1]
    assert "endless" not in told[-1]


async def test_a_line_whose_solutions_are_always_cut_off_is_given_up_after_its_tries() -> None:
    result, told = await solved(["wrong", steps("critical"), capped("a"), capped("b")])
    assert (result.text, result.complete, len(told)) == ("wrong", False, 3)
    assert "given up after 3 rejections, the last as it was cut off before its end" in result.notes[0]
    result, _ = await solved([capped("a"), capped("b"), capped("c")])
    assert (result.text, result.complete, len(result.tasks)) == ("a", False, 3)
    assert "no solution was written to its end (line 1: given up after 3 rejections" in result.notes[0]


async def test_a_check_that_is_cut_off_is_made_again_more_briefly() -> None:
    verdicts: Iterator[Reply] = iter([steps("none"), capped('{"steps": [{"step": "and so on'), steps("none")])
    model = Solver(lambda *_: next(verdicts))
    result = await run(model, lines=1, passes=2)
    assert (result.text, result.complete, result.notes) == ("solution no. 1.", True, ())
    assert [each.outcome for each in checks(result)] == ["answered", "capped", "answered"]
    brief = render("verify_check_shorten")
    assert [brief in each.messages[-1].text for each in model.verifying] == [False, False, True]
    seeds = {each.settings.seed for each in (*model.solving, *model.verifying)}
    assert len(seeds) == 4, "else a greedy model is cut off again at the same word"


async def test_a_cut_off_check_that_can_be_read_is_no_verdict() -> None:
    """What was cut off may have gone on to a fault."""
    verdicts: Iterator[Reply] = iter([capped(steps("none")), steps("critical"), steps("none")])
    result = await run(Solver(lambda *_: next(verdicts)), lines=1, passes=1)
    assert (result.text, result.complete) == ("solution no. 2.", True)


@given(st.lists(st.sampled_from(["none", "critical", "cut off"]), max_size=12), st.integers(1, 3), st.integers(1, 4))
def test_calls_keep_to_the_estimate_and_seeds_differ(verdicts: list[str], passes: int, rejections: int) -> None:
    replies: dict[str, Reply] = {"none": steps("none"), "critical": steps("critical"), "cut off": capped("{")}
    left = iter(verdicts)
    model = Solver(lambda *_: replies[next(left, "cut off")])
    planner = planners.verified(passes=passes, rejections=rejections, lines=1)
    mind = Contemplator(model, planner=planner, aggregator=aggregators.first())
    result = mind.run_sync(QUESTION)
    asked = [*model.solving, *model.verifying]
    assert result.usage.calls == len(asked) <= rejections * (1 + passes)
    assert len({each.settings.seed for each in asked}) == len(asked)


async def test_another_model_may_verify() -> None:
    other = Solver(lambda *_: steps("none"), name="referee")
    model = ScriptedModel("solution no. 7.")
    result = await run(model, other, lines=1, verifier_settings=ModelSettings(temperature=0))
    assert (len(model.requests), len(other.requests), result.text) == (1, 2, "solution no. 7.")
    assert {each.model for each in checks(result)} == {"referee"}
    assert {each.settings.temperature for each in other.requests} == {0}


async def test_typed_solutions_are_mended_too() -> None:
    replies = iter(['{"value": 4}', '{"value": 5}'])
    planner = planners.verified(lambda result: result.output == 5, lines=1)
    mind = Contemplator(
        ScriptedModel(lambda _: next(replies)), planner=planner, aggregator=aggregators.first(), output_type=int
    )
    assert (await mind.run(QUESTION)).output == 5


async def slow(result: TaskResult) -> list[str]:
    await anyio.lowlevel.checkpoint()
    return [] if "2" in result.text else ["one", "two"]


@pytest.mark.parametrize(
    ("verifier", "found"),
    [
        (lambda result: "2" in result.text, "CRITICAL: It did not pass a check."),
        (lambda result: "2" in result.text or "too small", "CRITICAL: too small"),
        (slow, "CRITICAL: one\nCRITICAL: two"),
        (
            lambda result: [] if "2" in result.text else [Fault(what="a", critical=False), "b"],
            "GAP: a\nCRITICAL: b",
        ),
    ],
)
async def test_functions_verify(verifier: Any, found: str) -> None:
    model = Solver(lambda *_: "unused")
    result = await run(model, verifier, lines=1)
    assert (result.text, result.usage.calls) == ("solution no. 2.", 2)
    assert [each.text for each in checks(result)] == [found, "No fault was found."]


@pytest.mark.parametrize(("verifier", "told"), [(lambda _: 1 / 0, "ZeroDivisionError"), (lambda _: 3, "returned 3")])
async def test_a_function_that_cannot_tell_costs_no_solution(verifier: Any, told: str) -> None:
    result = await run(Solver(lambda *_: "unused"), verifier, lines=1)
    assert (result.text, result.complete) == ("solution no. 1.", False)
    assert told in result.notes[0]
    error = checks(result)[0].error
    assert error is not None
    assert error.kind == "ConfigurationError"


@tool
def contains_two(solution: str, question: str) -> str | bool:
    """Say whether there is a two."""
    assert question == QUESTION
    return True if "2" in solution else "no two"


@tool
def lists(solution: str) -> list[str]:
    """List what is wrong."""
    return [] if "2" in solution else ["no two"]


@pytest.mark.parametrize("verifier", [contains_two, lists])
async def test_tools_verify(verifier: Tool) -> None:
    watched = Watched()
    planner = planners.verified(verifier, lines=1)
    model = Solver(lambda *_: "unused")
    mind = Contemplator(model, planner=planner, aggregator=aggregators.first(), on_event=watched)
    result = await mind.run(QUESTION)
    assert (result.text, result.usage.calls) == ("solution no. 2.", 2)
    assert "no two" in model.solving[1].messages[-1].text
    assert [event.tool for event in watched.events if isinstance(event, ToolFinished)] == [verifier.name] * 2


async def test_a_tool_that_fails_ends_the_line() -> None:
    @tool
    def broken(solution: str) -> bool:
        """Fail."""
        raise ToolError("no disk")

    result = await run(Solver(lambda *_: "unused"), broken, lines=1)
    assert "no disk" in result.notes[0]


async def test_a_tool_that_verifies_may_wait_for_an_approval(tmp_path: Path) -> None:
    @tool(approval=True)
    def people(solution: str) -> str | bool:
        """Ask people, who cost much."""
        return "2" in solution or "no two"

    planner = planners.verified(people, lines=1)
    model = Solver(lambda *_: "unused")
    journal = Journal(tmp_path / "runs.db")
    mind = Contemplator(model, planner=planner, aggregator=aggregators.first(), journal=journal)
    with anyio.fail_after(PATIENCE):
        result = await mind.run(QUESTION)
        for text in ("no. 1.", "no. 2."):
            (call,) = result.pending
            assert result.notes == (), "nothing is given up"
            assert text in str(call.arguments)
            result = await mind.resume(result.run_id, {call.id: True})
    assert (result.text, result.complete, result.notes) == ("solution no. 2.", True, ())
    assert model.solutions == 2


async def test_programs_verify() -> None:
    pytest.importorskip("pydantic_monty")
    own = CheckingProgram("print('CORRECT' if '2' in solution and 'primes' in question else 'no two\\nat all')")
    model = Solver(lambda *_: "unused")
    result = await run(model, own, lines=1)
    assert (result.text, result.usage.calls) == ("solution no. 2.", 2)
    assert checks(result)[0].text == "CRITICAL: no two\nCRITICAL: at all"
    failing = await run(Solver(lambda *_: "unused"), CheckingProgram("1/0"), lines=1)
    assert "ZeroDivisionError" in failing.notes[0]


async def test_a_model_may_write_the_program() -> None:
    pytest.importorskip("pydantic_monty")
    written = iter(["print('it is 3')", "print('CORRECT')"])

    def reply(request: ModelRequest) -> str:
        writes = "Check it with a program" in request.messages[-1].text
        return f"```python\n{next(written)}\n```" if writes else f"solution {len(model.requests)}"

    model = ScriptedModel(reply)
    result = await run(model, strategies.code, lines=1, passes=1)
    assert (result.text, result.usage.calls, result.complete) == ("solution 3", 4, True)
    assert checks(result)[0].text == "CRITICAL: it is 3"


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        ("15.0", "No fault was found."),
        ("CORRECT", "No fault was found."),
        ("14", "CRITICAL: A program that works out the answer comes to 14."),
        ("It is 15", "CRITICAL: It is 15"),
    ],
)
async def test_a_program_that_only_works_out_the_number_is_compared_with_the_solution(
    printed: str, verdict: str
) -> None:
    pytest.importorskip("pydantic_monty")

    def reply(request: ModelRequest) -> str:
        writes = "Check it with a program" in request.messages[-1].text
        return f"```python\nprint({printed!r})\n```" if writes else "5 each.\nAnswer: $15"

    result = await run(ScriptedModel(reply), strategies.code, lines=1, passes=1)
    assert checks(result)[0].text == verdict


@on_a_still_clock
async def test_at_the_deadline_the_best_so_far_is_given() -> None:
    async def judge(number: int, time: int) -> str:
        if number == 2:
            await outlast()
        return steps("critical")

    result = await run(Solver(judge), lines=1, limits=Limits(seconds=30))
    assert (result.text, result.complete, result.stopped_by) == ("solution no. 2.", False, "seconds")
    assert result.notes[0].startswith("no solution was accepted (no time or room was left)")


async def test_where_no_more_tasks_are_allowed_the_best_so_far_is_given() -> None:
    result = await run(Solver(lambda *_: steps("critical")), lines=1, limits=Limits(tasks=3))
    assert (result.text, result.complete, result.stopped_by) == ("solution no. 2.", False, "tasks")


async def test_where_no_more_calls_are_allowed_the_best_so_far_is_given() -> None:
    result = await run(Solver(lambda *_: steps("critical")), lines=1, limits=Limits(calls=3))
    assert (result.text, result.complete) == ("solution no. 2.", False)
    assert "Limits.calls" in result.notes[0]


@pytest.mark.parametrize("calls", [1, 2])
async def test_what_the_run_has_no_room_for_is_not_tried_again(calls: int) -> None:
    result = await run(Solver(lambda *_: steps("critical")), lines=1, limits=Limits(calls=calls))
    assert (result.text, result.complete, len(result.tasks)) == ("solution no. 1.", False, calls + 1)
    assert "Limits.calls" in result.notes[0]


@given(
    verdicts=st.lists(st.lists(st.booleans(), min_size=30, max_size=30), min_size=1, max_size=3),
    passes=st.integers(1, 3),
    rejections=st.integers(1, 3),
)
def test_a_line_ends_as_its_rules_say(verdicts: list[list[bool]], passes: int, rejections: int) -> None:
    """Each line by itself: accepted after so many passes in a row, given up after so many rejections."""
    left = {str(number): iter(each) for number, each in enumerate(verdicts, start=1)}

    def verifier(result: TaskResult) -> bool:
        return next(left[result.id.split("-")[1]])

    async def all_accepted(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        return " ".join(sorted([result.id.split("-")[1] async for result in results]))

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return Answer("x")

    planner = planners.verified(verifier, passes=passes, rejections=rejections, lines=len(verdicts))
    mind = Contemplator(ScriptedModel("x"), planner=planner, agent=agent, aggregator=all_accepted)
    result = mind.run_sync(QUESTION)
    expected = [str(n) for n, each in enumerate(verdicts, start=1) if _accepted(each, passes, rejections)]
    assert result.complete == bool(expected)
    if expected:
        assert result.text == " ".join(expected)
    assert len(result.tasks) <= planner.tasks[1]  # type: ignore[attr-defined]


def _accepted(verdicts: list[bool], passes: int, rejections: int) -> bool:
    row = against = 0
    for good in verdicts:
        row, against = (row + 1, against) if good else (0, against + 1)
        if row == passes or against == rejections:
            return row == passes
    raise AssertionError


@pytest.mark.parametrize("killed_after", range(1, 7))
async def test_a_killed_run_goes_on_and_asks_nothing_twice(killed_after: int, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "runs.db")
    hanging = True

    async def judge(number: int, time: int) -> Reply:
        return steps("critical" if number < 3 else "none")

    model = Solver(judge)
    usual, asked = model._reply, Counter[tuple[str, int | None]]()

    async def reply(request: ModelRequest) -> Reply:
        if hanging and asked.total() >= killed_after:
            await anyio.sleep_forever()
        asked[request.messages[-1].text, request.settings.seed] += 1
        return await usual(request)

    planner = planners.verified(lines=1)
    mind = Contemplator(ScriptedModel(reply), planner=planner, aggregator=aggregators.first(), journal=journal)
    async with anyio.create_task_group() as group:
        group.start_soon(mind.run, QUESTION)
        while asked.total() < killed_after:
            await anyio.lowlevel.checkpoint()
        await some_steps(50)
        group.cancel_scope.cancel()
    (known,) = journal.runs()
    hanging = False
    with anyio.fail_after(PATIENCE):
        result = await mind.run(QUESTION, run_id=known.run_id)
    assert (result.text, result.complete) == ("solution no. 3.", True)
    assert set(asked.values()) == {1}, "nothing is asked twice"
    assert asked.total() == 7
    assert (await mind.replay(known.run_id)).text == result.text


def test_what_it_may_cost_is_told_before() -> None:
    model = ScriptedModel("x")
    by_model = Contemplator(model, mode="verify").estimate(QUESTION)
    assert (by_model.likely_calls.low, by_model.likely_calls.high) == (3, 12)
    planner = planners.verified(lambda _: True, lines=1)
    by_function = Contemplator(model, planner=planner, aggregator=aggregators.first()).estimate(QUESTION)
    assert (by_function.likely_calls.low, by_function.likely_calls.high) == (1, 2)


@pytest.mark.parametrize("number", ["passes", "rejections", "lines"])
def test_numbers_are_at_least_one(number: str) -> None:
    options: dict[str, Any] = {number: 0}
    with pytest.raises(ConfigurationError, match=f"{number}=0"):
        planners.verified(**options)


def test_a_tool_must_take_a_solution() -> None:
    @tool
    def other(text: str) -> bool:
        """Other."""
        return True

    with pytest.raises(ConfigurationError, match="parameters text"):
        planners.verified(other)


async def test_a_planner_may_wait_for_whichever_comes_first_and_say_who_answers() -> None:
    seen: list[str] = []
    go = anyio.Event()

    async def late(task: Task, ctx: TaskContext) -> Answer:
        await go.wait()
        return Answer("late")

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        with pytest.raises(PlanError):
            await ctx.first_finished(())
        with pytest.raises(PlanError, match="'a'"):
            await ctx.first_finished(["a"])
        ctx.assign("a", late)
        yield Task(id="a", prompt="p")
        yield Task(id="b", prompt="p")
        seen.append((await ctx.first_finished(["a", "b"])).text)
        go.set()
        seen.append((await ctx.first_finished(["a"])).text)
        seen.append((await ctx.first_finished(["a", "b"])).text)

    async def joined(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        return " ".join([result.text async for result in results])

    mind = Contemplator(ScriptedModel("soon"), planner=plan, aggregator=joined)
    with anyio.fail_after(PATIENCE):
        result = await mind.run(QUESTION)
    assert (result.text, seen) == ("soon late", ["soon", "late", "soon"])
