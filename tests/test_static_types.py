"""What type checkers infer: mypy reads these `assert_type`s, and running them tries the types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, assert_type

import pytest
from pydantic import BaseModel, Field

from contemplate import Contemplator, Prompts, ToolContext, ask_sync
from contemplate.errors import ConfigurationError
from contemplate.messages import Message, ToolCall
from contemplate.testing import ScriptedModel


class Verdict(BaseModel):
    genuine: bool


def saying(value: str) -> ScriptedModel:
    return ScriptedModel(f'{{"value": {value}}}')


def test_of_classes() -> None:
    text = Contemplator(ScriptedModel("yes"), mode="instant").run_sync("?").output
    assert assert_type(text, str) == "yes"
    assert assert_type(ask_sync("?", model=ScriptedModel("yes"), mode="instant").output, str) == "yes"
    verdict = ScriptedModel('{"genuine": true}')
    assert assert_type(ask_sync("?", model=verdict, mode="instant", output_type=Verdict).output, Verdict).genuine
    numbers = Contemplator(saying("[1, 2]"), mode="instant", output_type=list[int]).run_sync("?").output
    assert assert_type(numbers, list[int]) == [1, 2]


def test_of_what_is_no_class() -> None:
    chosen = ask_sync("?", model=saying('"yes"'), mode="instant", output_type=Literal["yes", "no"]).output
    assert assert_type(chosen, Any) == "yes"
    mind: Contemplator[int | str] = Contemplator(saying("5"), mode="instant", output_type=int | str)
    assert assert_type(mind.run_sync("?").output, int | str) == 5
    small = Contemplator(saying("5"), mode="instant", output_type=Annotated[int, Field(le=9)])
    assert assert_type(small.run_sync("?").output, Any) == 5


@dataclass
class Deps:
    user: str


async def typed(ctx: ToolContext[Deps]) -> str:
    await ctx.progress("looking")
    assert_type(ctx.deps, Deps)
    assert_type(ctx.seconds_left, float)
    return assert_type(ctx.deps.user, str)


def without(ctx: ToolContext[None]) -> str:
    assert_type(ctx, ToolContext[None])
    return "x"


def any_deps(ctx: ToolContext) -> str:
    return str(assert_type(ctx.deps, Any))


def test_of_the_context_of_a_tool() -> None:
    call = Message.assistant("", (ToolCall(id="c", name="typed", arguments="{}"),))
    mind = Contemplator(ScriptedModel([call, "yes"]), mode="instant", tools=[typed, without, any_deps])
    assert assert_type(mind.run_sync("?", deps=Deps("alice")).output, str) == "yes"
    assert assert_type(ToolContext.of(Deps("alice")), ToolContext[Deps]).deps.user == "alice"


@pytest.mark.parametrize("complete", [True, False])
def test_a_result_reads_well(complete: bool) -> None:
    result = Contemplator(ScriptedModel("a word " * 50), mode="instant").run_sync("?", run_id="r")
    result = result.model_copy(update={"complete": complete, "missing": () if complete else ("b", "c")})
    assert str(result) == result.text + ("" if complete else "\n\n(incomplete; missing: b, c)")
    assert repr(result).startswith("RunResult(run_id='r', text='a word a word")
    assert len(repr(result)) < 150


def test_of_names_in_data() -> None:
    """The names of prompts and roles are known: each wrong one is an error that mypy would miss."""
    with pytest.raises(ConfigurationError):
        Prompts(synthesys="x")  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError):
        Contemplator(ScriptedModel("x"), instructions={"boss": "x"})  # type: ignore[call-overload]
