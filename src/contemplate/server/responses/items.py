"""Items: messages, calls of the client's tools and what they returned, reasoning, and what agents do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue

from ...data import Text
from ...images import image_from_url
from ...messages import ImagePart
from .parts import Api, InputImage, InputText, OutputText, SummaryText, is_none, part_of, parts_of

Status = Literal["in_progress", "completed", "incomplete"]
Phase = Literal["commentary", "final_answer"]
JsonObject = dict[str, JsonValue]

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "image_generation_call": "ig",
    "multi_agent_call": "mac",
    "multi_agent_call_output": "mao",
    "agent_message": "am",
}


class Agent(Api):
    """Whose an item is, where the client wants to know."""

    agent_name: str


class Message(Api):
    """A message. `phase` says whether one of a model is its answer, or was said before it called tools."""

    type: Literal["message"] = "message"
    id: str = ""
    status: Status = "completed"
    role: Literal["user", "assistant", "system", "developer"]
    content: tuple[InputText | InputImage | OutputText, ...]
    phase: Phase | None = Field(default=None, exclude_if=is_none)
    agent: Agent | None = Field(default=None, exclude_if=is_none)


class FunctionCall(Api):
    """A call of one of the client's tools."""

    type: Literal["function_call"] = "function_call"
    id: str = ""
    call_id: Text
    name: Text
    arguments: Text
    status: Status = "completed"
    agent: Agent | None = Field(default=None, exclude_if=is_none)


class FunctionCallOutput(Api):
    """What a tool of the client's returned."""

    type: Literal["function_call_output"] = "function_call_output"
    id: str = ""
    call_id: Text
    output: (
        Text
        | Annotated[tuple[Annotated[InputText | InputImage, BeforeValidator(part_of)], ...], BeforeValidator(parts_of)]
    )
    status: Status = "completed"

    @property
    def text(self) -> str:
        """What it returned, as text."""
        if isinstance(self.output, str):
            return self.output
        return "\n".join(part.text for part in self.output if isinstance(part, InputText))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """The images that it returned."""
        parts = () if isinstance(self.output, str) else self.output
        return tuple(image_from_url(part.image_url) for part in parts if isinstance(part, InputImage))


class Reasoning(Api):
    """How the work went on."""

    type: Literal["reasoning"] = "reasoning"
    id: str = ""
    summary: tuple[SummaryText, ...] = ()
    encrypted_content: str | None = Field(default=None, exclude_if=is_none)
    status: Status | None = Field(default=None, exclude_if=is_none)
    agent: Agent | None = Field(default=None, exclude_if=is_none)


class GeneratedImage(Api):
    """An image of the answer; `result` is its content in base64."""

    type: Literal["image_generation_call"] = "image_generation_call"
    id: str = ""
    status: Literal["completed"] = "completed"
    result: str
    agent: Agent | None = Field(default=None, exclude_if=is_none)


AgentAction = Literal["spawn_agent", "wait_agent", "interrupt_agent", "send_message"]


class AgentCall(Api):
    """What an agent does with others; `arguments` is JSON."""

    type: Literal["multi_agent_call"] = "multi_agent_call"
    id: str = ""
    call_id: str
    action: AgentAction
    arguments: str
    agent: Agent | None = Field(default=None, exclude_if=is_none)


class AgentCallOutput(Api):
    """What came of it."""

    type: Literal["multi_agent_call_output"] = "multi_agent_call_output"
    id: str = ""
    call_id: str
    action: AgentAction
    output: tuple[OutputText, ...]
    agent: Agent | None = Field(default=None, exclude_if=is_none)


class AgentMessage(Api):
    """What an agent tells another one."""

    type: Literal["agent_message"] = "agent_message"
    id: str = ""
    author: str
    recipient: str
    content: tuple[OutputText, ...]
    agent: Agent | None = Field(default=None, exclude_if=is_none)


AgentItem = AgentCall | AgentCallOutput | AgentMessage
# Those of a conversation.
Item = Annotated[
    Message | FunctionCall | FunctionCallOutput | Reasoning | GeneratedImage | AgentItem, Field(discriminator="type")
]
OutputItem = Annotated[Message | FunctionCall | Reasoning | GeneratedImage | AgentItem, Field(discriminator="type")]


def with_id(item: Any, owner: str, number: str) -> Any:
    """Return an item with an id that says whose it is, unless it has one."""
    if item.id:
        return item
    return item.model_copy(update={"id": f"{_PREFIXES[item.type]}_{owner}{number}"})


def item_id(kind: str, owner: str, number: int) -> str:
    """Return the id of the item `number` of a response's output."""
    return f"{_PREFIXES[kind]}_{owner}o{number}"


def owner_of(item: str) -> str:
    """Return whose item has this id: of which response."""
    return item.partition("_")[2][:32]


class ItemList(Api):
    """Some of the items of a conversation, or of an input."""

    object: Literal["list"] = "list"
    data: tuple[Item, ...]
    first_id: str
    last_id: str
    has_more: bool
