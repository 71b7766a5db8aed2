"""What a journal holds: a run, and each call that it made under the call's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from pydantic import Field, JsonValue
from pydantic_core import to_json, to_jsonable_python

from ..data import Data
from ..messages import ImagePart, Message, ToolCall
from ..models import ModelRequest, ModelResponse
from ..result import ErrorInfo, RunResult
from ..usage import Usage

Voice = Literal["planner", "subagent", "aggregator", "tool"]
CallOutcome = Literal["answered", "failed", "cancelled"]
Status = Literal["running", "answered", "partial", "failed", "interrupted"]


class RunRecord(Data):
    """A run.

    Args:
        status: "running" also where its process died; "answered" is over for good; "partial" was answered, but a limit
            or a failure left something out; "failed" ended in an error, and "interrupted" was cancelled from outside.
        created: when it began, in seconds since 1970.
        labels: what the user keeps with it; the command line keeps how it was asked for.
        parent: the run whose results this one concluded from once more.
        result: what it reached, without the subagents' conversations, which are made of the calls.
    """

    run_id: str
    question: str
    model: str
    status: Status = "running"
    created: float = 0.0
    labels: dict[str, JsonValue] = Field(default={})
    parent: str | None = None
    images: tuple[ImagePart, ...] = ()
    error: ErrorInfo | None = None
    result: RunResult[Any] | None = None


class Entry(Data):
    """A call that ended: of a model, or of a tool (`role` "tool").

    Args:
        path, role, task: in which run within the run, who called, and for which task.
        turn: how many calls of that caller went before.
        digest: of the request; `parts` are the digests of what it is made of, its messages last.
        nth: how many equal calls went before it.
        name: the model's or the tool's.
        text, images: what the tool returned; or what a model had written when its call was cut off.
        usage: what it cost, together with earlier attempts at it that failed or were cut off.
        started, seconds: since the run began, and how long it took.
    """

    path: str = ""
    role: Voice
    task: str | None = None
    turn: int = 0
    digest: str
    nth: int = 0
    name: str
    outcome: CallOutcome
    response: ModelResponse | None = None
    text: str = ""
    images: tuple[ImagePart, ...] = ()
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    started: float = 0.0
    seconds: float = 0.0
    parts: tuple[str, ...] = ()

    @property
    def slot(self) -> str:
        """What tells it from every other call of its run."""
        return slot(self.path, self.role, self.task, self.digest, self.nth)

    @property
    def task_path(self) -> str | None:
        """The task, with those in which its run is nested; None outside a task."""
        return task_path(self.path, self.task)

    @property
    def label(self) -> str:
        """Who called, in words."""
        return label(self.path, self.role, self.task, self.turn)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that is about to be made. `parts` holds its request in pieces, each under its digest, as JSON."""

    path: str
    role: Voice
    task: str | None
    turn: int
    nth: int
    name: str
    digest: str
    parts: Mapping[str, str]

    @property
    def slot(self) -> str:
        """What tells it from every other call of its run."""
        return slot(self.path, self.role, self.task, self.digest, self.nth)

    @property
    def label(self) -> str:
        """Who calls, in words."""
        return label(self.path, self.role, self.task, self.turn)


def slot(path: str, role: Voice, task: str | None, digest: str, nth: int) -> str:
    """Return what tells a call from every other of its run, as one text.

    Not its turn: calls that are made at the same time may come in another order when a run is continued.
    """
    return json.dumps((path, role, task, digest, nth))


def label(path: str, role: Voice, task: str | None, turn: int) -> str:
    """Return a call's name within its run, in words."""
    where = task_path(path, task) or path
    of = f" for task {where!r}" if where else ""
    return f"{role}{of}, turn {turn}"


def task_path(path: str, task: str | None) -> str | None:
    """Return the task, with those in which its run is nested; None outside a task."""
    return task if task is None or not path else f"{path}/{task}"


def request_parts(model: str, request: ModelRequest) -> dict[str, str]:
    """A request in pieces: all that is no message first, then each message. Equal pieces are stored once."""
    head = {
        "model": model,
        "settings": request.settings.model_dump(mode="json", exclude_none=True),
        "tools": to_jsonable_python(request.tools),
        "tool_choice": request.tool_choice,
        "output_schema": to_jsonable_python(request.output_schema),
    }
    pieces = [to_json(head).decode(), *(message.model_dump_json() for message in request.messages)]
    return {digest_of(piece): piece for piece in pieces}


def tool_parts(call: ToolCall) -> dict[str, str]:
    """A tool call, which is one piece."""
    piece = json.dumps({"tool": call.name, "arguments": call.arguments})
    return {digest_of(piece): piece}


def digest_of(*texts: str) -> str:
    """A name for texts that no other texts have."""
    made = blake2b(digest_size=16)
    for text in texts:
        made.update(text.encode(errors="surrogatepass"))
        made.update(b"\0")
    return made.hexdigest()


def message_of(part: str) -> Message:
    """The message that a request's part is."""
    return Message.model_validate_json(part)
