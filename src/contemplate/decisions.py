"""Tool calls that wait for the world, and what may be decided of them. Plain frozen data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from .data import Data, Text, to_json_text
from .messages import ImagePart

CallKind = Literal["approval", "external"]


class PendingCall(Data):
    """A tool call that waits for an approval, or for its result from outside.

    Args:
        id: its id, which is unique within the run and the same whenever the run is resumed.
        run_id: the outermost run, which is to be resumed.
        task: the task that makes the call, after the path of its run, such as "2/sample-1"; None outside a task.
        tool: the name of the tool.
        arguments: the arguments, as JSON data.
        why: why it waits, in words.
        kind: "approval", or "external" for a tool that somebody else runs.
    """

    id: str
    run_id: str
    task: Text | None = None
    tool: Text
    arguments: dict[str, JsonValue] = Field(default={})
    why: Text = ""
    kind: CallKind = "approval"

    def __str__(self) -> str:
        """Return the call as a line of text."""
        of = "" if self.task is None else f" of task {self.task!r}"
        return f"{self.id}: {self.tool}({to_json_text(self.arguments)}){of}: {self.why}"


@dataclass(frozen=True, slots=True)
class Approved:
    """The call may be made: with other arguments, if they are given. The model is told that they were changed."""

    arguments: dict[str, JsonValue] | None = None
    kind: Literal["approved"] = field(default="approved", repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Denied:
    """The call is not made, and the model is told why."""

    reason: str = ""
    kind: Literal["denied"] = field(default="denied", repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Returned:
    """What the call has returned, which somebody else has made: a text, or what JSON can say; or why it failed.

    `images` are shown to the model that made the call, after all results of its turn.
    """

    value: Any = None
    error: str | None = None
    images: tuple[ImagePart, ...] = ()
    kind: Literal["returned"] = field(default="returned", repr=False, kw_only=True)


Decision = Approved | Denied | Returned
# What decides is given the call; None leaves it open.
Approve = Callable[[PendingCall], "Awaitable[Decision | bool | None] | Decision | bool | None"]

AnyDecision = Annotated[Decision, Field(discriminator="kind")]


class HeldCall(Data):
    """A call that was held up, and what was decided of it; None while it is open."""

    call: PendingCall
    decision: AnyDecision | None = None
