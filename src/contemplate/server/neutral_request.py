"""What a client asks, in whatever dialect, and how it is told of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..contemplator import Contemplator
from ..decisions import Returned
from ..messages import ImagePart, Message
from ..modes import Mode, Preset
from ..options import AnyTool
from ..result import RunResult
from ..settings import ModelSettings
from .api_errors import Failure
from .deltas import FinishReason, ReplyDelta


@dataclass(frozen=True, slots=True)
class Question:
    """What a contemplator is asked, with its images, and the conversation before it, oldest message first."""

    text: str
    images: tuple[ImagePart, ...] = ()
    history: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a contemplator, and what the answer is to be.

    Args:
        mind: the contemplator.
        model: the name by which the client asks for it.
        question: the question.
        output_type: the type of the answer; text if None.
        mode: in place of the contemplator's own, if not None.
        settings: of the calls that write the answer.
        seed: of the run.
        tools: the client's own, whose calls it answers itself: `external_tool(..., side_effects=True)`, as what they do
            is not known here.
        tool_names: the names by which the client knows its tools, where they are others.
        tool_choice: "auto"; "none", where no tool is to be called; "required", where the answer is to be a call of one
            of the tools; or the name of the tool that it is to be a call of.
        answer_tools: the names of those tools that take the answer: they are for who answers the whole question.
        parallel_tool_calls: whether several calls may go out at once.
        returned: what the client's tools returned, by the ids of the calls, where the request goes on after that.
        run_id: the run's id, so that a run which was broken off goes on, if its journal has it; a new one if None.
        labels: what the client wants to find its request by.
    """

    mind: Contemplator[Any]
    model: str
    question: Question
    output_type: Any = None
    mode: Mode | Preset | None = None
    settings: ModelSettings | None = None
    seed: int | None = None
    tools: tuple[AnyTool, ...] = ()
    tool_names: Mapping[str, str] = field(default_factory=dict)
    tool_choice: str = "auto"
    answer_tools: frozenset[str] = frozenset()
    parallel_tool_calls: bool = True
    returned: Mapping[str, Returned] = field(default_factory=dict)
    run_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class ReplyWriter(Protocol):
    """How a client is told of a run. `run_id` is set when the run starts."""

    run_id: str

    async def say(self, delta: ReplyDelta) -> None:
        """Tell what is new."""
        ...

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Tell that the run is over, with the answer `text`.

        Where it ends for "tool_calls", `result.pending` are the calls that the client is to make, under the ids by
        which it names them, and `text` is what was said before them.
        """
        ...

    async def fail(self, error: Failure) -> None:
        """Tell that there is no answer."""
        ...

    async def keep_alive(self) -> None:
        """Show, until cancelled, that the connection is well."""
        ...
