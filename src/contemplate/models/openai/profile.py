"""What an endpoint takes for a model, and how it answers: its dialect of the chat completions API, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from ...data import Data
from ..context_size import ContextSize
from ..schemas import SchemaDialect

# How an answer is held to a schema, from the firmest to the loosest: by the server, by the server without its strict
# mode, as some JSON with the schema told in the prompt, or by the prompt alone. "tool": as the arguments of a tool.
SchemaForm = Literal["strict", "plain", "json_object", "words", "tool"]


# Chat completions, or OpenAI's Responses, in which a model keeps what it thought from turn to turn.
Api = Literal["chat", "responses"]


class Profile(Data):
    """A dialect of the chat completions API, or of Responses. The defaults are what most servers take.

    Args:
        api: which of the two is used.
        max_tokens_field: the field that bounds what the model may write.
        system_role: the role of instructions; "user" puts them before the first user message.
        seed_field: the field of the seed.
        left_out: fields of the request's body that are never sent, such as "seed" or "stream_options".
        at_most: the largest values that are accepted, by field, such as {"temperature": 1}.
        efforts: the values of `reasoning_effort` that are understood, from the least to the most; None for all. The
            nearest one is sent.
        required_tool_choice: how "some tool must be called" is said; None leaves it to the model.
        none_tool_choice: whether "no tool may be called" can be said; otherwise the tools are left out then.
        tool_form: "native", or "prompted": described in the prompt, with a schema for a call or an answer.
        schema_form: how an answer is held to a schema.
        schema_dialect: the subset of JSON Schema that is understood, in answers and tools. OpenAI's strict one is
            taken nearly everywhere, by gateways too.
        schema_with_tools: whether a schema and tools may stand in one request; otherwise the schema is told in words
            as long as tools may be called.
        streams: whether answers can be streamed.
        schema_streams: whether answers that are held to a schema can be streamed.
        user_after_tool: whether a user message may follow a tool's.
        roles_alternate: whether two user messages must not follow each other; they are merged.
        reasoning_field: the field of an assistant's message that holds its reasoning where it goes back; None: unsent.
        reasoning_back: which messages keep their reasoning: those with tool calls, or all.
        reasoning_apart: whether the tokens of reasoning are missing from the number of completion tokens.
        images: whether images are understood.
        context_tokens: how many tokens fit, prompt and answer together; None if unknown.
        tokens_per_estimate: how many tokens a prompt had for each that was estimated (`models.tokens`), where a
            refusal told; None if unknown.
        max_output_tokens: how many tokens an answer may have; None if unknown.
    """

    api: Api = "chat"
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    system_role: Literal["system", "developer", "user"] = "system"
    seed_field: Literal["seed", "random_seed"] = "seed"
    left_out: frozenset[str] = frozenset()
    at_most: Mapping[str, float] = Field(default={})
    efforts: tuple[str, ...] | None = None
    required_tool_choice: Literal["required", "any"] | None = "required"
    none_tool_choice: bool = True
    tool_form: Literal["native", "prompted"] = "native"
    schema_form: SchemaForm = "strict"
    schema_dialect: SchemaDialect = "openai"
    schema_with_tools: bool = True
    streams: bool = True
    schema_streams: bool = True
    user_after_tool: bool = True
    roles_alternate: bool = False
    reasoning_field: str | None = None
    reasoning_back: Literal["tool_turns", "all"] = "tool_turns"
    reasoning_apart: bool = False
    images: bool = True
    context_tokens: int | None = Field(default=None, gt=0)
    tokens_per_estimate: float | None = Field(default=None, gt=0)
    max_output_tokens: int | None = None

    @property
    def context_size(self) -> ContextSize | None:
        """How much fits into the context; None if unknown."""
        return None if self.context_tokens is None else ContextSize(self.context_tokens, self.tokens_per_estimate)


PLAIN = Profile()
OPENAI = Profile(max_tokens_field="max_completion_tokens", schema_dialect="openai")
