"""Answers that a program prints: who writes it, what becomes of what it prints, and of what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from contemplate import Agent, Contemplator, TaskResult, Usage, aggregators, answers, planners, strategies
from contemplate.errors import AggregationError, ContemplateError, MissingDependencyError
from contemplate.events import Event, ToolFinished
from contemplate.messages import Message
from contemplate.models import ModelRequest, ModelResponse
from contemplate.run.protocols import Planner
from contemplate.strategies import Program
from contemplate.testing import ScriptedModel

pytest.importorskip("pydantic_monty")
pytestmark = pytest.mark.anyio


def block(code: str) -> str:
    return f"Here is the program.\n\n```python\n{code}\n```\nIt prints the answer."


def by_code(n: int = 1, program: Program = strategies.code) -> Planner:
    return planners.sample(n, strategies=[program])


async def result_of(*replies: str, agent: Agent | None = None, program: Program = strategies.code) -> TaskResult:
    """What comes of one task whose programs are `replies`, one after the other."""
    model = ScriptedModel(list(replies))
    seen: list[TaskResult] = []

    async def keep(question: str, results: object, ctx: object) -> str:
        async for each in results:  # type: ignore[attr-defined]
            seen.append(each)
        return "done"

    await Contemplator(model, planner=by_code(1, program), agent=agent or Agent(), aggregator=keep).run("q")
    return seen[0]


async def test_what_the_program_prints_last_is_the_answer() -> None:
    result = await result_of(block("eggs = 16 - 3 - 4\nprint('eggs', eggs)\nprint(eggs * 2)"))
    assert result.answered
    assert result.text.endswith("Answer: 18")
    assert answers.final(result.text) == answers.math(result.text) == "18"
    assert "eggs = 16 - 3 - 4" in result.text
    assert "eggs 9" in result.text
    assert result.messages[-1].text.endswith("eggs 9\n18")


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("print(18.0)", "18"),
        ("print(0.1 + 0.2)", "3/10"),
        ("print('Answer: 1,800')", "1800"),
        ("print('$18')", "18"),
        ("print(10 ** 30)", str(10**30)),
        ("print(-7 / 2)", "-7/2"),
        ("9 * 2", "18"),
        ("def main():\n    print(18)\nprint(main())", "18"),
        ("print(100000.3 + 0.1)", "500002/5"),
        ("print('1' * 400 + '.5')", "1" * 400 + ".5"),
        ("print('x = 3')\nprint()\nprint(True and 5)\nprint()", "5"),
    ],
)
async def test_printed_numbers_are_counted_by_their_value(code: str, key: str) -> None:
    assert answers.math((await result_of(block(code))).text) == key


async def test_none_is_no_answer() -> None:
    result = await result_of(block("print(None)"), block("print(3)"))
    assert "printed None" in result.messages[3].text
    assert result.text.endswith("Answer: 3")


async def test_the_last_block_of_python_counts() -> None:
    reply = "```python\nprint(1)\n```\nBetter:\n```py\nprint(2)\n```\nOutput:\n```\n3\n```"
    assert (await result_of(reply)).text.endswith("Answer: 2")
    assert (await result_of("```\nprint(4)\n```")).text.endswith("Answer: 4")
    assert (await result_of("So:\n```python\nprint(5)")).text.endswith("Answer: 5")


async def test_what_went_wrong_goes_back_to_the_model() -> None:
    replies = [block("print(1 / 0)"), "I think it is 18.", block("print(18)")]
    model = ScriptedModel(replies)
    result = await Contemplator(model, planner=by_code(), aggregator=aggregators.vote()).run("q")
    assert result.output.endswith("Answer: 18")
    assert "ZeroDivisionError" in model.requests[1].messages[-1].text
    assert "no program" in model.requests[2].messages[-1].text
    assert [each.role for each in model.requests[2].messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert result.usage.calls == 3


@pytest.mark.parametrize("repairs", [0, 1])
async def test_a_program_that_never_works_is_no_answer(repairs: int) -> None:
    result = await result_of(*[block("print(")] * (repairs + 1), program=Program(repairs=repairs))
    assert (result.outcome, result.usage.calls) == ("failed", repairs + 1)
    assert result.error is not None
    assert result.error.kind == "ProgramError"
    assert "SyntaxError" in result.error.message
    assert "print(" in result.text


async def test_a_reply_without_a_program_is_no_answer() -> None:
    result = await result_of(*["Answer: 18"] * 3)
    assert (result.outcome, result.usage.calls) == ("failed", 3)


async def test_a_vote_does_not_count_what_failed() -> None:
    def script(request: ModelRequest) -> str:
        good = request.settings.seed in (1, 3)
        return block("print(7)") if good else "Answer: 8"

    planner = planners.sample(5, strategies=[Program(repairs=0)])
    result = await Contemplator(ScriptedModel(script), planner=planner, aggregator=aggregators.vote(stop=None)).run("q")
    assert result.output.endswith("Answer: 7")
    assert (set(result.support), result.dissent) == ({"sample-2", "sample-4"}, ())
    with pytest.raises(AggregationError):
        await Contemplator(ScriptedModel("Answer: 8"), planner=by_code(), aggregator=aggregators.vote()).run("q")


async def test_programs_and_words_vote_together() -> None:
    def script(request: ModelRequest) -> str:
        return block("print(18.0)") if "Python program" in request.messages[-1].text else "Answer: 18"

    planner = planners.sample(4, strategies=[strategies.code, strategies.step_by_step])
    model = ScriptedModel(script)
    result = await Contemplator(model, planner=planner, aggregator=aggregators.vote(stop=None)).run("q")
    assert len(result.support) == 4
    said = [request.messages[-1].text for request in model.requests]
    assert ["Python program" in each for each in said] == [True, False, True, False]
    assert ["Answer:" in each for each in said] == [False, True, False, True]


async def test_a_strategy_that_fails_gives_way_to_the_next() -> None:
    def script(request: ModelRequest) -> str:
        asked = request.messages[-1].text
        return block("print(sum(range(101)))") if "Python program" in asked else "UNSOLVED: too many numbers."

    planner = planners.as_needed(planners.model(), strategies=[strategies.step_by_step, strategies.code], depth=0)
    model = ScriptedModel(script)
    result = await Contemplator(model, planner=planner, aggregator=aggregators.first()).run("q")
    assert result.output.endswith("Answer: 5050")
    assert [task.program is not None for task in result.plan.tasks] == [False, False, True]
    assert "UNSOLVED" not in model.requests[-1].messages[-1].text.replace("UNSOLVED: too many numbers.", "")


async def test_a_program_that_fails_gives_way_to_words() -> None:
    def script(request: ModelRequest) -> str:
        return block("import numpy") if "Python program" in request.messages[1].text else "It is 5."

    planner = planners.as_needed(
        planners.model(),
        strategies=[Program(repairs=1), strategies.step_by_step],
        check=lambda each: "5" in each.text,
        depth=0,
    )
    replies = iter(["no idea"])
    model = ScriptedModel(lambda request: next(replies, None) or script(request))
    result = await Contemplator(model, planner=planner, aggregator=aggregators.first()).run("q")
    assert (result.output, result.usage.calls) == ("It is 5.", 4)
    assert "numpy" in model.requests[-1].messages[-1].text


class Sums(BaseModel):
    total: int


async def test_a_program_prints_json_where_a_type_is_asked_for() -> None:
    model = ScriptedModel([block("print(5)"), block("import json\nprint(json.dumps({'total': 2 + 3}))")])
    mind = Contemplator(model, planner=by_code(), aggregator=aggregators.vote(), output_type=Sums)
    assert (await mind.run("q")).output == Sums(total=5)
    assert model.requests[0].output_schema is None
    assert '"total"' in model.requests[0].messages[-1].text


def price(fruit: str, count: int = 1) -> float:
    """What a fruit costs."""
    if fruit == "stone":
        raise ValueError("no such fruit")
    return 1.5 * count


async def stock(fruits: list[str]) -> dict[str, int]:
    """How many there are."""
    return dict.fromkeys(fruits, 2)


async def test_the_tools_can_be_called_from_the_program() -> None:
    agent = Agent(tools=[price, stock])
    code = "there = stock(['fig', 'pear'])\nprint(sum(price(name, count=n) for name, n in there.items()))"
    result = await result_of(block(code), agent=agent)
    assert result.text.endswith("Answer: 6.0")
    assert "\nfrom tools import price, stock\n" in result.messages[1].text
    assert "- price(fruit: str, count: int = 1): What a fruit costs." in result.messages[1].text


async def test_what_a_tool_raises_is_raised_in_the_program() -> None:
    agent = Agent(tools=[price])
    code = "try:\n    print(price('stone'))\nexcept Exception as error:\n    print(error)"
    assert "no such fruit" in (await result_of(block(code), agent=agent)).text
    wrong = await result_of(
        block("print(price())"), block("print(price('a', 1, 2))"), block("print(price('fig'))"), agent=agent
    )
    assert "wrong arguments" in wrong.messages[3].text
    assert "takes 2 arguments" in wrong.messages[5].text
    assert wrong.text.endswith("Answer: 1.5")


async def test_a_tool_that_would_end_the_process_raises_in_the_program() -> None:
    def leave() -> None:
        """Leave."""
        raise SystemExit(3)

    async def stop() -> None:
        """Stop."""
        raise BaseException("own")

    calls = [f"try:\n    {name}()\nexcept Exception as error:\n    print(error)" for name in ("leave", "stop")]
    result = await result_of(block("\n".join(calls)), agent=Agent(tools=[leave, stop]))
    assert "SystemExit(3)" in result.text
    assert result.text.endswith("it raised BaseException: own")


async def test_a_print_counts_before_a_final_expression() -> None:
    """The mutant that showed the expression as well went unseen."""
    assert (await result_of(block("print(6)\n7"))).text.endswith("\nAnswer: 6")
    assert (await result_of(block("6\n7"))).text.endswith("\nAnswer: 7")


async def test_a_program_shows_in_the_events_and_is_not_run_again(tmp_path: Path) -> None:
    used: list[str] = []

    def count(word: str) -> int:
        """Count letters."""
        used.append(word)
        return len(word)

    heard: list[Event] = []
    mind = Contemplator(
        ScriptedModel([block("print(count('a') / 0)"), block("import random\nprint(count('four') + random.random())")]),
        planner=by_code(),
        aggregator=aggregators.vote(),
        tools=[count],
        journal=f"sqlite:///{tmp_path}/runs.db",
        on_event=heard.append,
    )
    first = await mind.run("q", run_id="one")
    assert [(each.tool, each.error is None) for each in heard if isinstance(each, ToolFinished)] == [
        ("program", False),
        ("program", True),
    ]
    assert used == ["a", "four"]
    assert (await mind.replay("one")).text == first.text
    assert used == ["a", "four"]


async def test_without_the_extra_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.tools.program_steps.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError) as caught:
        planners.sample(2, strategies=["words", strategies.code])
    assert caught.value.extra == "code"
    with pytest.raises(MissingDependencyError):
        planners.as_needed(planners.model(), strategies=[strategies.code])


async def test_where_programs_cannot_be_run_the_model_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONTY_BIN", "/nowhere/monty")
    result = await result_of(block("print(1)"))
    assert (result.outcome, result.usage.calls) == ("failed", 1)
    assert result.error is not None
    assert result.error.kind != "ProgramError"


async def test_a_reply_that_was_cut_off_is_not_run() -> None:

    cut = ModelResponse(
        message=Message.assistant("```python\nprint(1"), finish="length", usage=Usage(calls=1), model="scripted"
    )
    with pytest.raises(ContemplateError):
        await Contemplator(ScriptedModel([cut]), planner=by_code(), aggregator=aggregators.vote()).run("q")
