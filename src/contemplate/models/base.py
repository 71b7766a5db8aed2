"""The `Model` protocol, which has one method, and its request and response types.

`Model.request` returns the whole response. If the caller passes `on_delta`, it receives each piece as it arrives.
This is a callback rather than an async generator: the stream lives inside one call, so that cancelling the call always
closes it, and a wrapper (retry, hedge, limit) is a plain async function around another model's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from pydantic import JsonValue

from ..data import Data, Text
from ..messages import Message, TokenLogprob
from ..prompts import DEFAULTS, Prompts
from ..settings import ModelSettings
from ..usage import Price, Usage

if TYPE_CHECKING:
    from ..events import Again, Queue


class RunMark:
    """A run, or a place in one.

    Attributes:
        over: whether the run has ended; code that outlives its run belongs to none.
        prompts: the run's prompts, for tools, which see nothing else of it.
    """

    over = False
    prompts: Prompts = DEFAULTS

    @property
    def root(self) -> RunMark:
        """The outermost run, which identifies it."""
        return self

    async def make_sure(self) -> None:
        """Find out whether the run is still this process's, before something is begun that is to be begun once.

        Raises:
            RunTaken: it is another one's.
        """


# The only context variable: the run that the current code belongs to, for nested runs and for state kept per run.
current_run: ContextVar[RunMark | None] = ContextVar("contemplate_run", default=None)


def outermost_run() -> RunMark | None:
    """Return the outermost run of the current code, or None. `Limit` and `Retry` keep state for each run."""
    mark = current_run.get()
    return None if mark is None or mark.over else mark.root


def prompts_here() -> Prompts:
    """Return the prompts of the run of the current code; the defaults outside every run."""
    mark = current_run.get()
    return DEFAULTS if mark is None or mark.over else mark.prompts


JsonSchema = dict[str, JsonValue]

# "refusal": the model declined to answer; "content_filter": the provider kept an answer back.
Finish = Literal["stop", "length", "tool_calls", "content_filter", "refusal"]


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


def _unheard(reason: Again, message: str) -> None:
    """Tell nobody."""


def _unseen(behind: Queue | None) -> None:
    """Tell nobody."""


async def _at_once() -> None:
    """Let the call be made."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A complete model call. With `tool_choice` "required", the model must call a tool.

    `earlier` is how many of the messages, after that of the system, are a conversation before what is asked: where the
    prompt does not fit into the model's context, they are shortened. `prompts` are what the model is told in words
    where its server has no field for it, and where texts are shortened. `on_again` is told by wrappers when they make
    the call once more, and why; `on_queue`, when they have it wait, and behind what, and with None when its turn came.
    `before_sending` is awaited by whoever is about to send it: it raises an error if it must not be made any more.
    """

    messages: tuple[Message, ...]
    settings: ModelSettings = field(default_factory=ModelSettings)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: Literal["auto", "required", "none"] = "auto"
    output_schema: OutputSchema | None = None
    earlier: int = 0
    prompts: Prompts = field(default=DEFAULTS, repr=False)
    on_again: Callable[[Again, str], None] = field(default=_unheard, repr=False, compare=False)
    on_queue: Callable[[Queue | None], None] = field(default=_unseen, repr=False, compare=False)
    before_sending: Callable[[], Awaitable[None]] = field(default=_at_once, repr=False, compare=False)

    def unheard(self) -> ModelRequest:
        """Return the same request as one of no call: whoever keeps it keeps nothing of a run."""
        kept = (self.messages, self.settings, self.tools, self.tool_choice, self.output_schema)
        return ModelRequest(*kept, self.earlier, self.prompts)

    def sent_with(
        self,
        settings: ModelSettings,
        on_again: Callable[[Again, str], None],
        on_queue: Callable[[Queue | None], None],
        before_sending: Callable[[], Awaitable[None]] = _at_once,
    ) -> ModelRequest:
        """Return the same request with these four."""
        # Each call is sent so, and `replace` takes more than twice as long.
        return ModelRequest(
            self.messages,
            settings,
            self.tools,
            self.tool_choice,
            self.output_schema,
            self.earlier,
            self.prompts,
            on_again,
            on_queue,
            before_sending,
        )


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a response: text of the answer, or of the reasoning before it.

    `logprobs` are of tokens written by now, where they were asked for and the server tells them meanwhile.

    `restart` invalidates all earlier pieces: the call broke off, and is made again, or what looked like an answer was
    a thought.
    """

    text: str = ""
    reasoning: str = ""
    restart: bool = False
    logprobs: tuple[TokenLogprob, ...] = ()


class Condensed(Data):
    """What a model was shown of a long conversation: in place of its oldest turns, a short account of them.

    Args:
        turns: the number of turns that the account stands for.
        tokens_before, tokens_after: the whole prompt and the one that was sent, by the estimate.
    """

    turns: int
    tokens_before: int
    tokens_after: int


class ModelResponse(Data):
    """A complete response.

    Args:
        model: the name that the provider reports.
        answered_by: the name of the model that answered, where a wrapper such as `Fallback` chose among several.
        capped_by: the limit of the run that had the answer cut off, where it was one.
        notes: what could not be read, or was not shown to the model.
        shortened: whether the prompt did not fit, and the model was shown only parts of what others wrote.
        condensed: what was condensed of the conversation, if it was too long.
        room: the tokens that a prompt may have, by the estimate, where the run had learnt it.
    """

    message: Message
    finish: Finish
    usage: Usage
    model: str
    reasoning: Text = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    answered_by: str | None = None
    capped_by: str | None = None
    notes: tuple[Text, ...] = ()
    shortened: bool = False
    condensed: Condensed | None = None
    room: int | None = None


DeltaSink = Callable[[Delta], None]


class Model(Protocol):
    """A language model: anything that answers requests."""

    @property
    def name(self) -> str:
        """The name shown in events and errors, such as "openai:gpt-5"."""
        ...

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`. If `on_delta` is given, pass it each piece as it arrives.

        Raises:
            ModelError: the call failed; its subclass says how.
        """
        ...


def price_of(model: Model) -> Price | None:
    """Return the price of `model`'s tokens, or None if it has no attribute `price`."""
    price = getattr(model, "price", None)
    return price if isinstance(price, Price) else None


@dataclass(frozen=True, slots=True)
class Brevity:
    """How briefly a slow model contemplates unless it is told otherwise: presets of modes follow it.

    Args:
        tasks: the most parts that a question is split into.
        max_tokens: the most tokens of a part; the model is asked for a few sentences.
        answer_tokens: the most tokens of an answer that is made of parts. Small models write a paragraph on each,
            however briefly they are asked to, and one that is cut off lacks its end.
    """

    tasks: int = 3
    max_tokens: int = 256
    answer_tokens: int = 448


def brevity_of(model: Model) -> Brevity | None:
    """Return how briefly `model` contemplates by default, or None if it has no attribute `brevity`."""
    brevity = getattr(model, "brevity", None)
    return brevity if isinstance(brevity, Brevity) else None


@runtime_checkable
class Connectable(Protocol):
    """A model that keeps something open between calls, such as a pool of connections.

    A run keeps `connect()` open while it lasts, so that nothing stays open afterwards. To keep connections between
    runs, hold it open for longer.
    """

    def connect(self) -> AbstractAsyncContextManager[None]:
        """Keep the model's connections open until the context ends. May be nested; the outermost exit closes them."""
        ...
