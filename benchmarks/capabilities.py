"""What is tried with each model: each mode, tools, typed answers, streaming and images, with answers that are known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from contemplate import Contemplator, aggregators, modes, planners, strategies
from contemplate.events import OutputDelta
from contemplate.models import Model
from contemplate.models.probes.answers import red_square
from contemplate.modes import Mode
from contemplate.result import RunResult
from contemplate.usage import Usage

QUESTION = "What is 6 times 7?"
MODES: tuple[Mode, ...] = get_args(Mode)


class Verdict(BaseModel):
    """A typed answer, with a mapping, which strict schemas cannot express."""

    answer: int
    why: str
    parts: dict[str, int]


@dataclass(frozen=True)
class Try:
    """How something is tried: with what model, and whether its calls are streamed."""

    model: Model
    stream: bool

    def mind(self, **options: Any) -> Contemplator[Any]:
        """Return a contemplator with that model."""
        return Contemplator(self.model, stream=self.stream, **options)


Capability = Callable[[Try], Awaitable[Usage]]


def _right(result: RunResult[Any]) -> Usage:
    """Check an answer: it is 42, it is whole, and none of the thoughts before it is part of it."""
    assert result.complete, result.notes
    assert "42" in str(result.output), result.output
    assert "13" not in str(result.output), result.output
    assert "<think>" not in str(result.output), result.output
    return result.usage


def _mode(mode: Mode) -> Capability:
    # One line of solutions: what a second one costs until it is cancelled can only be estimated.
    preset = modes.Preset(planners.verified(lines=1), aggregators.first()) if mode == "verify" else mode

    async def run(way: Try) -> Usage:
        return _right(await way.mind(mode=preset).run(QUESTION))

    return run


async def _programs(way: Try) -> Usage:
    planner = planners.sample(1, strategies=[strategies.code])
    return _right(await way.mind(planner=planner, aggregator=aggregators.first()).run(QUESTION))


async def _tools(way: Try) -> Usage:
    called: list[str] = []

    def multiply(a: int, b: int) -> int:
        """Multiply two numbers."""
        called.append("multiply")
        return a * b

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        called.append("add")
        return a + b

    result = await way.mind(mode="instant", tools=[multiply, add]).run(QUESTION)
    assert sorted(called) == ["add", "multiply"], called
    assert "1764" in result.output, result.output
    assert "84" in result.output, result.output
    return _right(result)


async def _typed(way: Try) -> Usage:
    result = await way.mind(mode="instant", output_type=Verdict).run(QUESTION)
    assert result.complete, result.notes
    assert result.output.answer == 42, result.output
    assert list(result.output.parts.values()) == [42], result.output
    return result.usage


async def _typed_with_tools(way: Try) -> Usage:
    called: list[int] = []

    def double(number: int) -> int:
        """Double a number."""
        called.append(number)
        return 2 * number

    result = await way.mind(mode="instant", tools=[double], output_type=Verdict).run(QUESTION)
    assert called == [42], called
    assert result.output.answer == 42, result.output
    return result.usage


async def _streaming(way: Try) -> Usage:
    text = ""
    async with Contemplator(way.model, mode="instant", stream=True).stream(QUESTION) as run:
        async for event in run:
            if isinstance(event, OutputDelta):
                text = "" if event.restart else text + event.text
    assert text == run.result.output, text
    return _right(run.result)


async def _images(way: Try) -> Usage:
    result = await way.mind(mode="instant").run("Which colour is this image?", images=[red_square(32)])
    assert "Red" in result.output, result.output
    return result.usage


CAPABILITIES: Mapping[str, Capability] = {
    **{mode: _mode(mode) for mode in MODES},
    "programs": _programs,
    "tools": _tools,
    "typed": _typed,
    "typed, with tools": _typed_with_tools,
    "streaming": _streaming,
    "images": _images,
}
