"""Read-only tools over the subagents' trajectories: their answers and steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import dropwhile
from typing import Any

from ..errors import ToolError
from ..messages import Message
from ..models.tokens import text_tokens
from ..prompts import Prompts, fence_mark, fenced
from ..prompts.results import result_text
from ..result import TaskResult

MAX_SEGMENT = 5
MAX_FOUND = 10
MAX_STEP_CHARACTERS = 4000
EXCERPT_CHARACTERS = 300


class Trajectories:
    """The finished trajectories of a run, numbered from 1. The model reads the tools' docstrings.

    The tools are read-only, so that the same calls return the same results when a run is resumed.
    """

    def __init__(self, results: Sequence[TaskResult], prompts: Prompts) -> None:
        self._prompts = prompts
        self._results = results
        self._steps = [_steps_of(each) for each in results]

    @property
    def tools(self) -> list[Callable[..., Any]]:
        """The tools for the model."""
        return [self.get_solution, self.search_trajectory, self.get_segment]

    @property
    def overview(self) -> str:
        """One line per trajectory."""
        lines = [
            self._prompts.render(
                "agentic_trajectory",
                number=str(number),
                outcome=result.outcome,
                steps=str(len(steps)),
                calls=str(sum(len(message.tool_calls) for message in result.messages)),
                tokens=str(sum(map(text_tokens, steps))),
            )
            for number, (result, steps) in enumerate(zip(self._results, self._steps, strict=True), start=1)
        ]
        return "\n".join(lines)

    async def get_solution(self, trajectory: int) -> str:
        """Read the final answer of a trajectory.

        Args:
            trajectory: Its number.
        """
        return self._fenced(
            [
                (
                    f"solution of trajectory {trajectory}",
                    result_text(self._results[self._place(trajectory)], self._prompts),
                )
            ]
        )

    async def search_trajectory(self, trajectory: int, query: str, k: int = 5) -> str:
        """Find the steps of a trajectory in which words occur, those with most of the words first.

        Args:
            trajectory: Its number.
            query: The words.
            k: How many steps to show, 10 at most.
        """
        words = set(re.findall(r"\w+", query.casefold()))
        if not words:
            raise ToolError("the query has no word in it")
        found = [
            (sum(word in step.casefold() for word in words), -number, step)
            for number, step in enumerate(self._steps[self._place(trajectory)], start=1)
        ]
        best = sorted((each for each in found if each[0]), reverse=True)[: max(1, min(k, MAX_FOUND))]
        if not best:
            raise ToolError(f"no step of trajectory {trajectory} has any of these words")
        return self._fenced([(f"step {-number}", _excerpt(step, words)) for _, number, step in best])

    async def get_segment(self, trajectory: int, start: int, end: int) -> str:
        """Read steps of a trajectory, 5 at most.

        Args:
            trajectory: Its number.
            start: The first step, from 1.
            end: The last step.
        """
        steps = self._steps[self._place(trajectory)]
        if not 1 <= start <= end <= len(steps) or end - start >= MAX_SEGMENT:
            raise ToolError(f"trajectory {trajectory} has the steps 1 to {len(steps)}; read {MAX_SEGMENT} at most")
        return self._fenced([(f"step {number}", _short(steps[number - 1])) for number in range(start, end + 1)])

    def _place(self, trajectory: int) -> int:
        if not 1 <= trajectory <= len(self._results):
            raise ToolError(f"there is no trajectory {trajectory}; there are 1 to {len(self._results)}")
        return trajectory - 1

    def _fenced(self, texts: Sequence[tuple[str, str]]) -> str:
        mark = fence_mark(texts)
        return self._prompts.render("agentic_material", mark=mark, material=fenced(texts, mark))


def _steps_of(result: TaskResult) -> list[str]:
    """Return a subagent's messages after its task; only its answer if there are none."""
    tool_names = {call.id: call.name for message in result.messages for call in message.tool_calls}
    messages = dropwhile(lambda message: message.role in ("system", "user"), result.messages)
    return [_step(message, tool_names) for message in messages] or [result.text]


def _step(message: Message, tool_names: dict[str, str]) -> str:
    if message.role == "tool":
        return f"[{tool_names.get(message.tool_call_id or '', 'tool')} returned]\n{message.text}"
    calls = [f"[calls {call.name}] {call.arguments}" for call in message.tool_calls]
    return "\n".join(filter(None, (message.text, *calls)))


def _short(step: str) -> str:
    more = len(step) - MAX_STEP_CHARACTERS
    return step if more <= 0 else f"{step[:MAX_STEP_CHARACTERS]}\n[{more} characters more]"


def _excerpt(step: str, words: set[str]) -> str:
    """Return the text around the first word that occurs."""
    folded = step.casefold()
    first = min(place for word in words if (place := folded.find(word)) >= 0)
    start = max(0, first - EXCERPT_CHARACTERS // 2)
    return step[start : start + EXCERPT_CHARACTERS]
