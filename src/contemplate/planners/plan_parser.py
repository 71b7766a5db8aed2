"""Incremental parser of a streamed plan: it yields each JSON object as soon as it is complete."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ..data import readable_json
from ..errors import validation_problems

MAX_OBJECT_CHARACTERS = 20_000
MAX_DEPTH = 64


class Draft(BaseModel):
    """A task as the model writes it. `needs` lists earlier tasks by number, from 1.

    The optional fields accept any JSON, so that a malformed one does not cost the task.
    """

    model_config = ConfigDict(extra="ignore")

    title: str = Field(default="", max_length=400)
    prompt: str = Field(min_length=1, max_length=8000)
    needs: list[int] = Field(default=[], max_length=1000)
    role: str | None = Field(default=None, max_length=400)
    samples: JsonValue = None
    tools: JsonValue = None


def plan_schema(
    min_tasks: int, max_tasks: int, roles: Sequence[str] = (), *, samples: int = 1, tools: Sequence[str] = ()
) -> dict[str, JsonValue]:
    """Return the JSON schema of a plan. Every string and array is bounded, since small models may not stop."""
    properties: dict[str, JsonValue] = {
        "title": {"type": "string", "maxLength": 60},
        "prompt": {"type": "string", "maxLength": 400},
        "needs": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": max(1, max_tasks - 1)},
            "maxItems": max(1, max_tasks - 1),
        },
    }
    if roles:
        properties["role"] = {"type": "string", "enum": list(roles)}
    if samples > 1:
        properties["samples"] = {"type": "integer", "minimum": 1, "maximum": samples}
    if tools:
        names: JsonValue = {"type": "string", "enum": list(tools)}
        properties["tools"] = {"type": "array", "items": names, "maxItems": len(tools)}
    task: dict[str, JsonValue] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"tasks": {"type": "array", "items": task, "minItems": min_tasks, "maxItems": max_tasks}},
        "required": ["tasks"],
        "additionalProperties": False,
    }


class DraftReader:
    """Extracts the task objects from a plan's text, which may arrive in any pieces.

    A task is an object in an array, at the top level or in the top object. Surrounding text (a code fence, prose, other
    fields) is skipped. Runs in linear time: each character is read once.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._object: list[str] = []
        self._size = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> list[Draft | str]:
        """Return the drafts that `text` completes; for an object that is not a valid task, the reason as text."""
        found: list[Draft | str] = []
        start = 0 if self._recording else -1
        for place, letter in enumerate(text):
            if self._in_string:
                self._string(letter)
            elif letter == '"':
                self._in_string = bool(self._open)
            elif letter in "{[":
                if len(self._open) < MAX_DEPTH:
                    self._open.append(letter)
                if letter == "{" and self._at_task():
                    # Unbalanced brackets may have left the start of another object in the buffer.
                    self._forget()
                    start = place
            elif letter in "}]" and self._open:
                ends = letter == "}" and self._at_task()
                self._open.pop()
                if ends:
                    self._keep(text[start : place + 1])
                    found.append(self._draft())
                    start = -1
        if start >= 0:
            self._keep(text[start:])
        return found

    @property
    def _recording(self) -> bool:
        return bool(self._object) or self._size > 0

    def _at_task(self) -> bool:
        return self._open in (["{", "[", "{"], ["[", "{"])

    def _string(self, letter: str) -> None:
        if self._escaped:
            self._escaped = False
        elif letter == "\\":
            self._escaped = True
        elif letter == '"':
            self._in_string = False

    def _keep(self, piece: str) -> None:
        self._size += len(piece)
        if self._size <= MAX_OBJECT_CHARACTERS:
            self._object.append(piece)

    def _forget(self) -> None:
        self._object.clear()
        self._size = 0

    def _draft(self) -> Draft | str:
        whole, size = "".join(self._object), self._size
        self._forget()
        if size > MAX_OBJECT_CHARACTERS:
            return f"it is {size} characters long"
        try:
            return Draft.model_validate_json(readable_json(whole))
        except ValidationError as error:
            return validation_problems(error)
