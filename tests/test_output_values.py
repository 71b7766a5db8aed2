"""Values of output types that cannot be written as JSON and read again: no valid answer is lost, in any mode."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
)

from contemplate import Answer, Contemplator, RunContext, Task, TaskContext, aggregators, answers, planners
from contemplate.events import Event
from contemplate.run.output_type import OutputType
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Aliased(BaseModel):
    x: int = Field(validation_alias="theX")


class Choices(BaseModel):
    x: int = Field(validation_alias=AliasChoices("a", "b"))


class Path(BaseModel):
    x: int = Field(validation_alias=AliasPath("a", 0))


class Excluded(BaseModel):
    x: int = Field(exclude=True)


class InDollars(BaseModel):
    x: int

    @field_serializer("x")
    def dollars(self, value: int) -> str:
        return f"${value}"


class NotWritten(BaseModel):
    x: int

    @field_serializer("x")
    def fail(self, value: int) -> str:
        raise KeyError("x")


class Gone(BaseModel):
    x: int

    @model_serializer
    def gone(self) -> str:
        return "gone"


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.x


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    x: int


class Prefixed(BaseModel):
    """Validating its values once more would fail."""

    x: str

    @field_validator("x")
    @classmethod
    def cut(cls, value: str) -> str:
        if not value.startswith("x:"):
            raise ValueError("must start with x:")
        return value[2:]


class Revalidated(Prefixed):
    model_config = ConfigDict(revalidate_instances="always")


class Opaque:
    def __init__(self, inner: object) -> None:
        self.inner = inner


class Arbitrary(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    x: Annotated[Any, BeforeValidator(Opaque)]


@dataclasses.dataclass
class Plain:
    x: int


class Secret(BaseModel):
    x: SecretStr


TYPES: list[tuple[Any, str]] = [
    (Aliased, '{"theX": 1}'),
    (Choices, '{"b": 1}'),
    (Path, '{"a": [1]}'),
    (Excluded, '{"x": 1}'),
    (InDollars, '{"x": 1}'),
    (NotWritten, '{"x": 1}'),
    (Gone, '{"x": 1}'),
    (Computed, '{"x": 1}'),
    (set[Frozen], '{"value": [{"x": 1}, {"x": 2}]}'),
    (dict[str, set[Frozen]], '{"a": [{"x": 1}]}'),
    (Prefixed, '{"x": "x:1"}'),
    (Revalidated, '{"x": "x:1"}'),
    (list[Prefixed], '{"value": [{"x": "x:1"}]}'),
    (Arbitrary, '{"x": 1}'),
    (list[Plain], '{"value": [{"x": 1}]}'),
    (Secret, '{"x": "1"}'),
    (Annotated[int, AfterValidator(lambda value: value + 1)], '{"value": 1}'),
]


async def sampled(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id="a", prompt=question, kind="candidate", samples=3)


def choosing(text: str) -> list[str]:
    return [text, text.replace("1", "1 "), '{"reason": "", "best": "1"}']


def inspected(text: str) -> list[str]:
    value = json.loads(text)
    solution = value["value"] if list(value) == ["value"] else value
    return [text, text, json.dumps({"reason": "", "support": [1], "solution": solution})]


WAYS: dict[str, tuple[Any, Any]] = {
    "instant": (lambda text: text, lambda text: {"mode": "instant"}),
    "vote": (lambda text: text, lambda text: {"mode": "vote"}),
    "merged": (lambda text: text, lambda text: {"mode": "council"}),
    "samples": (lambda text: text, lambda text: {"planner": sampled, "aggregator": aggregators.first()}),
    "judge": (choosing, lambda text: {"planner": planners.sample(2), "aggregator": aggregators.judge()}),
    "agentic": (inspected, lambda text: {"planner": planners.sample(2), "aggregator": aggregators.agentic()}),
    "nested": (
        lambda text: text,
        lambda text: {"mode": "instant", "agent": Contemplator(ScriptedModel(text), mode="vote")},
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kind", "text"), TYPES)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_answer_is_kept_in_memory_and_in_a_journal(kind: Any, text: str, way: str, anyio_backend: str) -> None:
    script, options = WAYS[way]

    def seen(event: Event) -> None:
        event.model_dump_json()

    model = ScriptedModel(script(text))
    mind = Contemplator(model, output_type=kind, journal="memory:", on_event=seen, **options(text))
    result = await mind.run("q", run_id="r")
    asked = len(model.requests)
    again = [await mind.run("q", run_id="r"), await mind.replay("r")]
    if way in ("instant", "vote", "samples", "nested"):
        again.append(await mind.reaggregate("r"))
    assert len(model.requests) == asked
    value = OutputType(kind).parse(text)
    for each in (result, *again):
        assert type(each.output) is type(value)
        assert answers.typed(each.output) == answers.typed(value)
        assert each.complete
        assert each.model_dump_json()


@pytest.mark.parametrize("given", [Frozen(x=5), {"x": 5}, None])
async def test_an_agents_own_value(given: Any) -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return Answer('{"x": 5}', output=given)

    mind = Contemplator(ScriptedModel("unused"), mode="vote", agent=agent, output_type=Frozen, journal="memory:")
    result = await mind.run("q", run_id="r")
    assert result.output == Frozen(x=5)
    assert (await mind.reaggregate("r")).output == Frozen(x=5)


@pytest.mark.parametrize("given", [5, {"y": 5}, "x"])
async def test_a_value_of_another_type_fails_its_task_alone(given: Any) -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return Answer("x", output=given if task.id == "sample-1" else Frozen(x=1))

    result = await Contemplator(ScriptedModel("unused"), mode="vote", agent=agent, output_type=Frozen).run("q")
    assert result.output == Frozen(x=1)
    assert (result.tasks[0].outcome, result.tasks[0].error and result.tasks[0].error.kind) == ("failed", "OutputError")


@pytest.mark.parametrize("raised", [KeyError("x"), IndexError(), ZeroDivisionError(), TypeError(), RecursionError()])
async def test_a_validator_that_raises_anything_is_repaired(raised: Exception) -> None:
    def check(value: int) -> int:
        if value > 5:
            raise raised
        return value

    model = ScriptedModel(['{"value": 6}', '{"value": 5}'])
    mind = Contemplator(model, mode="instant", output_type=Annotated[int, AfterValidator(check)])
    output: Any = (await mind.run("q")).output
    assert output == 5
    assert type(raised).__name__ in model.requests[1].messages[-1].text


def test_values_are_compared_by_their_fields() -> None:
    assert answers.typed(Excluded(x=1)) != answers.typed(Excluded(x=2))
    assert answers.typed(Gone(x=1)) != answers.typed(Gone(x=2))
    assert answers.typed({Frozen(x=1), Frozen(x=2)}) == answers.typed({Frozen(x=2), Frozen(x=1)})
    assert answers.typed([{"a": {Frozen(x=1)}}]) == answers.typed([{"a": frozenset({Frozen(x=1)})}])
    assert answers.typed(Plain(1)) == answers.typed(Plain(1)) != answers.typed(Plain(2))
    assert answers.typed(Opaque(1)) == answers.typed(Opaque(1)) != answers.typed(Opaque(2))
    assert answers.typed(Decimal("1.50")) == answers.typed(Decimal("1.5")) != answers.typed(Decimal("1.51"))
    assert answers.typed(b"\xff") != answers.typed(b"\xfe")


@given(st.recursive(st.integers() | st.text() | st.booleans() | st.decimals(allow_nan=False), st.lists, max_leaves=20))
def test_equal_values_have_equal_keys(value: Any) -> None:
    @dataclasses.dataclass
    class Holder:
        held: Any

    assert answers.typed(Holder(value)) == answers.typed(Holder(value))
