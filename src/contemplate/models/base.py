"""What a model is: one method.

`Model.request` returns the whole response. If the caller passes `on_delta`, pieces are handed to it as they arrive.
A callback, and not an async generator: a stream then lives inside one call, so that cancelling the call always closes
it, and a wrapper (retry, hedge, limit) is a plain async function around another model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field, JsonValue

from ..data import Data
from ..messages import Message
from ..settings import ModelSettings
from ..usage import Price, Usage


class RunMark:
    """A run, or a place in one.

    Attributes:
        over: whether the run has ended: code that is left of it is in no run.
    """

    over = False

    @property
    def root(self) -> RunMark:
        """The outermost run, which tells it from every other."""
        return self


# The one context variable: in which run code is, for runs within it and for wrappers that treat each run for itself.
current_run: ContextVar[RunMark | None] = ContextVar("contemplate_run", default=None)


def outermost_run() -> RunMark | None:
    """Return the outermost run in which this code is: runs take turns at an account, and each has its own retries."""
    mark = current_run.get()
    return None if mark is None or mark.over else mark.root


JsonSchema = dict[str, JsonValue]

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it. `parameters` is the JSON schema of an object."""

    name: str
    description: str
    parameters: JsonSchema


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The JSON schema that an answer must follow."""

    name: str
    schema: JsonSchema


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call, in full. `tool_choice` "required" makes the model call some tool."""

    messages: tuple[Message, ...]
    settings: ModelSettings = field(default_factory=ModelSettings)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: Literal["auto", "required", "none"] = "auto"
    output_schema: OutputSchema | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a response: text of the answer, or of the reasoning before it.

    `restart` says that all pieces before this one are void: the call broke off, and is made again.
    """

    text: str = ""
    reasoning: str = ""
    restart: bool = False


class TokenLogprob(Data):
    """A token, its log-probability, and the likeliest alternatives with theirs."""

    token: str
    logprob: float
    top: Mapping[str, float] = Field(default={})


class ModelResponse(Data):
    """A whole response. `model` is the name that the provider reports; `notes` say what could not be read of it."""

    message: Message
    finish: Finish
    usage: Usage
    model: str
    reasoning: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    notes: tuple[str, ...] = ()


DeltaSink = Callable[[Delta], None]


class Model(Protocol):
    """Anything that answers requests."""

    @property
    def name(self) -> str:
        """The name for people, events and errors, such as "openai:gpt-5"."""
        ...

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`. With `on_delta`, hand over each piece as it arrives.

        Raises:
            ModelError: the call failed; its subclass says how.
        """
        ...


def price_of(model: Model) -> Price | None:
    """What `model`'s tokens cost, if it says so with an attribute `price`."""
    price = getattr(model, "price", None)
    return price if isinstance(price, Price) else None


@runtime_checkable
class Connectable(Protocol):
    """A model that keeps something open between calls, such as a pool of connections.

    A run holds `connect()` open while it lasts, so that nothing stays open after it; whoever wants to keep
    connections between runs holds it open for longer.
    """

    def connect(self) -> AbstractAsyncContextManager[None]:
        """Keep the model's connections until the context ends. May be nested; the outermost exit closes."""
        ...
