"""A provider's dialect, as data: what it refuses, and how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .refusals import RefusalForm, Rule, openai_form

# Where reasoning stands: nowhere, in a field of the message, between <think> tags, or as a part of the content.
Reasoning = Literal["hidden", "reasoning_content", "reasoning", "reasoning_details", "think", "parts"]

# How tool calls are streamed: as OpenAI does, in pieces with an index; whole, in one chunk; without an index; all with
# index 0; with an empty id in every later piece; as a snapshot that is sent again once it is whole.
CallForm = Literal["pieces", "whole", "no_index", "index_0", "empty_ids", "snapshots"]


@dataclass(frozen=True, slots=True)
class UsageForm:
    """How usage is reported.

    Args:
        place: where a stream has it: in a chunk of its own after the finish, in the chunk with the finish, in every
            chunk (growing), within the choice, or in Groq's own field.
        only_if_asked: whether streams have it only with `stream_options`.
        reasoning: whether completion tokens contain those of reasoning, and whether those are told: "apart" for told
            and not contained, "total" for contained in the total alone.
        cached: the field with the number of tokens from the cache.
        cost: whether a cost is reported, and how.
    """

    place: Literal["last", "finish", "every", "choice", "x_groq"] = "last"
    only_if_asked: bool = True
    reasoning: Literal["within", "apart", "total"] = "within"
    cached: Literal["prompt_tokens_details", "prompt_cache_hit_tokens"] | None = "prompt_tokens_details"
    cost: Literal["number", "object"] | None = None


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How a provider answers.

    Args:
        thinks: whether its model thinks before it answers.
        reasoning: where its thoughts stand.
        schema: whether an answer is held to `response_format`: to its schema, to be JSON, or not at all.
        calls: how tool calls are streamed.
        signs: whether tool calls carry a signature.
        usage: how usage is reported.
        finishes: its own words for finish reasons.
        logprobs: whether log-probabilities are reported where they are asked for.
        comment: a comment before the first chunk of a stream.
        ping: an event before the first chunk that is no JSON.
        first_chunk: fields of a first chunk without choices.
        done: whether a stream ends with [DONE].
        extra: further fields of every response.
    """

    thinks: bool = False
    reasoning: Reasoning = "hidden"
    schema: Literal["schema", "json", "ignored"] = "schema"
    calls: CallForm = "pieces"
    signs: bool = False
    usage: UsageForm = UsageForm()
    finishes: Mapping[str, str] = field(default_factory=dict)
    logprobs: bool = False
    comment: str = ""
    ping: bool = False
    first_chunk: Mapping[str, Any] | None = None
    done: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderDialect:
    """A provider, as its documentation and public reports describe it.

    Args:
        name: its name.
        model: a model of its that behaves so.
        base_url: where it is in truth; the imitation is elsewhere.
        sources: the URLs of what is known of it.
        rules: what it refuses; the first that is broken is told.
        refusal: the form of its errors.
        answer: how it answers.
        responses: whether it has OpenAI's Responses API as well; then its rules are those of both.
        lacks: what its model cannot do, whatever it is asked in: "tools", "images".
    """

    name: str
    model: str
    base_url: str
    sources: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    refusal: RefusalForm = openai_form
    answer: AnswerForm = AnswerForm()
    responses: bool = False
    lacks: frozenset[str] = frozenset()
