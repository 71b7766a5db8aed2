"""The records of a journal: a run, and each of its calls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from pydantic import Field, JsonValue
from pydantic_core import to_json, to_jsonable_python

from ..data import Data
from ..decisions import Decision, HeldCall, PendingCall
from ..events import Again
from ..messages import ImagePart, Message, TokenLogprob, ToolCall
from ..models import ModelRequest, ModelResponse
from ..result import ErrorInfo, RunResult
from ..usage import Usage

Voice = Literal["planner", "subagent", "aggregator", "tool", "decision", "conclusion"]
Pieces = tuple[tuple[str, str], ...]
CallOutcome = Literal["answered", "failed", "cancelled", "waiting"]
Status = Literal["running", "answered", "partial", "suspended", "failed", "interrupted", "damaged"]


class RunRecord(Data):
    """The record of a run.

    Args:
        status: "running" also if its process died; "answered" is final; "partial" was answered, but incompletely for a
            limit or a failure; "suspended" waits for decisions on tool calls; "failed" ended with an error;
            "interrupted" was cancelled from outside; "damaged" cannot be read.
        created: when it started, in seconds since 1970.
        seconds: how long it had worked when it was last suspended.
        configuration: the model, the planner, the agent, the aggregator and the output type, in words.
        configuration_digest: its digest; "" in records that have none.
        labels: the user's own data; the command line stores its options here.
        parent: the run whose results this one aggregated again.
        history: the conversation before the question.
        result: its result, with the answer as its history, and without the subagents' conversations, which are
            rebuilt from the calls; what there was when it failed or was interrupted.
    """

    run_id: str
    question: str
    model: str
    status: Status = "running"
    created: float = 0.0
    seconds: float = 0.0
    configuration: dict[str, str] = Field(default={})
    configuration_digest: str = ""
    labels: dict[str, JsonValue] = Field(default={})
    parent: str | None = None
    images: tuple[ImagePart, ...] = ()
    history: tuple[Message, ...] = ()
    error: ErrorInfo | None = None
    result: RunResult[Any] | None = None


class Entry(Data):
    """The record of a call that ended: of a model, or of a tool (`role` "tool").

    What is decided of a tool call (`role` "decision") has its call and its decision as `text`, a `HeldCall`, and the
    call's id as `digest`; its outcome is "waiting" before. That a run has concluded while calls of it were under way
    (`role` "conclusion") has its path only.

    Args:
        path, role, task: the nested run, the role of the caller, and its task.
        turn: the number of earlier calls by the same caller.
        digest: the digest of the request; `parts` are the digests of its pieces, each message in its place.
        nth: the number of earlier calls that are equal to it.
        name: the name of the model or the tool.
        text, images: what the tool returned; or what a model had written when its call was cut off.
        logprobs: the tokens that a model had written, as far as it told them, when its call was cut off.
        seen: images that a tool returned for the model.
        sizes: of a prompt that did not fit: the tokens that do, and those that it has, where the server named them.
        usage: its usage, including earlier attempts that failed or were cut off.
        started, seconds: when it was asked for, in seconds since the start of the run, and its duration from then on.
        queued, first, again: of a model's: how many of these it waited for its turn; after how many more the first
            piece came; and when it was made once more, and why.
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
    logprobs: tuple[TokenLogprob, ...] = ()
    images: tuple[ImagePart, ...] = ()
    seen: tuple[ImagePart, ...] = ()
    error: ErrorInfo | None = None
    sizes: tuple[int | None, int | None] | None = None
    usage: Usage = Usage()
    started: float = 0.0
    seconds: float = 0.0
    queued: float = 0.0
    first: float | None = None
    again: tuple[tuple[float, Again, str], ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def slot(self) -> str:
        """The key that identifies the call within its run."""
        return slot(self.path, self.role, self.task, self.digest, self.nth)

    @property
    def is_call(self) -> bool:
        """Whether it is a call, and not what was decided."""
        return self.role not in ("decision", "conclusion")

    @property
    def task_path(self) -> str | None:
        """The task, after the tasks that its run is nested in; None outside a task."""
        return task_path(self.path, self.task)

    @property
    def label(self) -> str:
        """A readable name of the call."""
        return label(self.path, self.role, self.task, self.turn)


@dataclass(frozen=True, slots=True)
class AskedCall:
    """A call that is about to be made. `pieces` are those of its request, as JSON, each after its digest."""

    path: str
    role: Voice
    task: str | None
    turn: int
    nth: int
    name: str
    digest: str
    pieces: Pieces

    @property
    def parts(self) -> tuple[str, ...]:
        """The digests of the pieces; equal ones are repeated, as equal messages are."""
        return tuple(digest for digest, _ in self.pieces)

    @property
    def slot(self) -> str:
        """The key that identifies the call within its run."""
        return slot(self.path, self.role, self.task, self.digest, self.nth)

    @property
    def label(self) -> str:
        """A readable name of the call."""
        return label(self.path, self.role, self.task, self.turn)


def decision_slot(call_id: str) -> str:
    """Return the key of what is decided of a tool call."""
    return slot("", "decision", None, call_id, 0)


def decision_entry(call: PendingCall, decision: Decision | None) -> Entry:
    """Return the record of what is decided of a tool call; None if it is open."""
    return Entry(
        role="decision",
        digest=call.id,
        name=call.tool,
        outcome="waiting" if decision is None else "answered",
        text=HeldCall(call=call, decision=decision).model_dump_json(),
    )


def conclusion_entry(path: str) -> Entry:
    """Return the record that the run at `path` has concluded."""
    return Entry(path=path, role="conclusion", digest="", name="", outcome="answered")


def held_call(entry: Entry) -> HeldCall:
    """Return the call, and what was decided of it, in the record of a decision."""
    return HeldCall.model_validate_json(entry.text)


def slot(path: str, role: Voice, task: str | None, digest: str, nth: int) -> str:
    """Return the key that identifies a call within its run.

    It does not include the turn, as concurrent calls may come in another order when a run is resumed.
    """
    return json.dumps((path, role, task, digest, nth))


def label(path: str, role: Voice, task: str | None, turn: int) -> str:
    """Return a readable name for a call."""
    where = task_path(path, task) or path
    of = f" for task {where!r}" if where else ""
    return f"{role}{of}, turn {turn}"


def task_path(path: str, task: str | None) -> str | None:
    """Return the task, after the tasks that its run is nested in; None outside a task."""
    return task if task is None or not path else f"{path}/{task}"


def request_pieces(model: str, request: ModelRequest) -> Pieces:
    """Return the pieces of a request: first all but the messages, then each message."""
    head = {
        "model": model,
        "settings": request.settings.model_dump(mode="json", exclude_none=True),
        "tools": to_jsonable_python(request.tools),
        "tool_choice": request.tool_choice,
        "output_schema": to_jsonable_python(request.output_schema),
    }
    # Without None: a field that a later version adds must not make all that was recorded unknown.
    texts = [to_json(head).decode(), *(message.model_dump_json(exclude_none=True) for message in request.messages)]
    return tuple((digest_of(text), text) for text in texts)


def request_digest(pieces: Pieces) -> str:
    """Return the digest of a request by its pieces."""
    return digest_of(*(digest for digest, _ in pieces))


def tool_pieces(call: ToolCall) -> Pieces:
    """Return a tool call as one piece."""
    text = json.dumps({"tool": call.name, "arguments": call.arguments})
    return ((digest_of(text), text),)


def digest_of(*texts: str) -> str:
    """Return a digest of `texts` (BLAKE2b, 128 bits)."""
    hasher = blake2b(digest_size=16)
    for text in texts:
        hasher.update(text.encode(errors="surrogatepass"))
        hasher.update(b"\0")
    return hasher.hexdigest()


def message_of(part: str) -> Message:
    """Parse the message in a piece of a request."""
    return Message.model_validate_json(part)
