"""Fifty turns with a tool in a small context, on a local model: `python -m benchmarks.long_work`.

Each room names the next one, and is as large as a page; the last one holds a word, which is the answer. It is found
only by who asks for all rooms in turn. Printed is whether it was, how long prompts became, and how much of them was
read again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import anyio

from contemplate import Agent, Contemplator, Limits, ModelSettings, Tool, aggregators, planners, tool
from contemplate.errors import ContemplateError, ToolError
from contemplate.events import ContextCondensed, Event, ModelCalled
from contemplate.models import LocalModel, Model, ModelRequest, ModelResponse
from contemplate.models.base import DeltaSink
from contemplate.models.tokens import request_tokens
from contemplate.usage import FREE

from .speed.running import machine

WORD = "amber"
SETTINGS = ModelSettings(temperature=0, max_tokens=64)
QUESTION = (
    "Only the tool look tells what is in a room. Look into room 0. It names the next room: look into that one with "
    "another call, and so on, until a room says that it is the last. Then answer with the word in the last room."
)


class Rooms:
    """Rooms that are found one after the other, each with a text of `size` bytes."""

    def __init__(self, count: int, size: int) -> None:
        drawn = random.Random(0)
        self._order = [0, *drawn.sample(range(100, 1000), count - 1)]
        self._size = size
        self.calls: list[int] = []
        self.found = 0

    @property
    def at_the_end(self) -> bool:
        """Whether all rooms were found."""
        return self.found == len(self._order)

    @property
    def tool(self) -> Tool:
        """The tool that shows a room: any that was seen, and the one that the last of these has named."""

        @tool
        async def look(room: int) -> str:
            """Look into a room."""
            self.calls.append(room)
            if room not in self._order[: self.found + 1]:
                raise ToolError(f"there is no door to room {room}; look into room {self._order[self.found]}")
            place = self._order.index(room)
            self.found = max(self.found, place + 1)
            return self._text(place)

        return look

    def _text(self, place: int) -> str:
        last = place == len(self._order) - 1
        door = f"This is the last room. The word is {WORD}." if last else f"The next room is {self._order[place + 1]}."
        # Blanks, of which a model reads many at once: so a processor gets through it.
        return f"Room {self._order[place]}.\n{door}".ljust(self._size - len(door) - 1) + f"\n{door}"


@dataclass(frozen=True)
class Call:
    """A model call: the messages and the tokens of its prompt, by the estimate; and as the model counted them."""

    messages: int
    estimated: int
    read: int
    cached: int
    written: int
    seconds: float


@dataclass
class Work:
    """What came of it."""

    answer: str
    seconds: float
    rooms: int
    turns: int
    complete: bool
    notes: tuple[str, ...]
    calls: list[Call] = field(default_factory=list)
    condensed: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether all rooms were seen, and the word was found."""
        return WORD in self.answer.lower()


class _Overheard:
    """A model whose prompts are measured as they are sent."""

    def __init__(self, inner: Model, calls: list[Call], must_look: Callable[[], bool]) -> None:
        self.name, self.price = inner.name, FREE
        self._inner, self._calls = inner, calls
        self._must_look = must_look

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        began = time.perf_counter()
        if self._must_look():
            request = replace(request, tool_choice="required")
        response = await self._inner.request(request, on_delta)
        usage, seconds = response.usage, time.perf_counter() - began
        size = request_tokens(request)
        call = Call(
            len(request.messages), size, usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, seconds
        )
        self._calls.append(call)
        print(
            f"turn {len(self._calls)}: {call.read:,} tokens, {call.cached:,} cached, {seconds:.0f} s", file=sys.stderr
        )
        return response


async def measured(
    model: Model, rooms: Rooms, turns: int, context: int, seconds: float | None = None, *, led: bool = False
) -> Work:
    """Let `model` find its way through `rooms`; one that is `led` cannot answer before it was in the last of them."""
    calls: list[Call] = []
    condensed: list[tuple[int, int, int]] = []
    called: list[str | None] = []

    def on_event(event: Event) -> None:
        if isinstance(event, ContextCondensed):
            condensed.append((event.turns, event.tokens_before, event.tokens_after))
        if isinstance(event, ModelCalled):
            called.append(event.finish)

    mind = Contemplator(
        _Overheard(model, calls, lambda: led and not rooms.at_the_end),
        planner=planners.direct(),
        agent=Agent(tools=[rooms.tool], settings=SETTINGS, max_turns=turns, context=context),
        aggregator=aggregators.first(),
        limits=Limits(seconds=seconds),
        on_event=on_event,
        stream=False,
    )
    began = time.perf_counter()
    try:
        result = await mind.run(QUESTION)
        answer, complete, notes = result.text, result.complete, result.notes
    except ContemplateError as error:
        answer, complete, notes = f"{type(error).__name__}: {error}", False, ()
    spent = time.perf_counter() - began
    return Work(answer, spent, rooms.found, len(called), complete, tuple(notes), calls, condensed)


def show(work: Work, count: int, context: int) -> list[str]:
    """Print the table, as markdown, and return what is not as it is required to be."""
    longest = max((call.estimated for call in work.calls), default=0)
    read = sum(call.read for call in work.calls)
    cached = sum(call.cached for call in work.calls)
    print("| rooms found | turns | seconds | longest prompt, estimated | condensed | prompts in all | of them cached |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    print(
        f"| {work.rooms} of {count} | {work.turns} | {work.seconds:.0f} | {longest:,} of {context:,} "
        f"| {len(work.condensed)} times | {read:,} tokens | {100 * cached / max(1, read):.0f} % |"
    )
    failures = [] if longest <= context else [f"a prompt of {longest:,} tokens, by the estimate"]
    if not work.finished or work.rooms < count:
        failures.append(f"{work.rooms} of {count} rooms were found, and the answer was: {work.answer[:200]}")
    return failures


async def _local(name: str, rooms: Rooms, turns: int, context: int, seconds: float | None, led: bool) -> Work:
    model = LocalModel(name)
    async with model.connect():
        return await measured(model, rooms, turns, context, seconds, led=led)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was measured; 1 if something is not as it is required to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b", help="a known local model, or the path of a GGUF file")
    parser.add_argument("--rooms", type=int, default=50, help="which is how many turns it takes at least")
    parser.add_argument("--bytes", type=int, default=4000, help="of each room's text")
    parser.add_argument("--context", type=int, default=8000, help="tokens of a prompt, by the estimate")
    parser.add_argument("--spare", type=int, default=10, help="more turns than there are rooms")
    parser.add_argument("--seconds", type=float, help="the time that it may take")
    parser.add_argument("--led", action="store_true", help="require a call of the tool until the last room was found")
    parser.add_argument("--out", type=Path, help="write the raw figures to this file, as JSON")
    given = parser.parse_args(arguments)
    rooms = Rooms(given.rooms, given.bytes)
    work = anyio.run(_local, given.model, rooms, given.rooms + given.spare, given.context, given.seconds, given.led)
    settings = {name: value for name, value in vars(given).items() if name != "out"}
    print(f"{json.dumps(settings)}\n{json.dumps(machine())}\n")
    failures = show(work, given.rooms, given.context)
    if given.out:
        raw = {"machine": machine(), **settings, "looked_into": rooms.calls, **asdict(work)}
        given.out.write_text(json.dumps(raw, indent=1) + "\n")
    for failure in failures:
        print(f"MISSED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
