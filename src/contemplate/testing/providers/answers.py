"""Answers in a provider's dialect, whole and as the events of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...usage import Usage
from ..token_counts import CHARACTERS_PER_TOKEN, text_tokens
from .dialect import AnswerForm, UsageForm
from .refusals import Body
from .script import Said
from .signatures import signature_of

# Pieces that cut tags, words and escapes anywhere.
PIECE = 7
USD_PER_TOKEN = 1e-6
LOGPROB = -0.25

Json = dict[str, Any]


@dataclass(frozen=True)
class ProviderAnswer:
    """What is said to the request `body`, in the form of a provider.

    Args:
        form: how it answers.
        body: the request.
        number: its number at this server.
        said: what the model says, already cut to what the request allows.
        usage: what is counted, reasoning included.
    """

    form: AnswerForm
    body: Body
    number: int
    said: Said
    usage: Usage

    def whole(self) -> Json:
        """Return the body of a response."""
        choice: Json = {"index": 0, "message": self._message(), "finish_reason": self._finish()}
        if self._logprobs_asked:
            choice["logprobs"] = {"content": _logprobs(self.said.text)}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage(self.usage)}

    def events(self) -> Iterator[Json | bytes]:
        """Yield the events of a stream: chunks, and bytes that are sent as they are."""
        if self.form.comment:
            yield f"{self.form.comment}\n\n".encode()
        if self.form.ping:
            yield b"event: ping\ndata: ping\n\n"
        if self.form.first_chunk is not None:
            yield {**self._head("chat.completion.chunk"), "choices": [], **self.form.first_chunk}
        written = 0
        for delta, logprobs in self._deltas():
            written += text_tokens("".join(str(each) for each in delta.values() if isinstance(each, str)))
            chunk = self._chunk(delta, logprobs=logprobs)
            if self.form.usage.place == "every" and self._usage_wanted:
                so_far = min(written, self.usage.output_tokens)
                chunk["usage"] = self._usage(self.usage.model_copy(update={"output_tokens": so_far}))
            yield chunk
        yield from self._end()

    def _end(self) -> Iterator[Json]:
        last = self._chunk({}, self._finish())
        usage = self._usage(self.usage)
        match self.form.usage.place:
            case "finish" | "every" if self._usage_wanted:
                last["usage"] = usage
            case "choice":
                last["choices"][0]["usage"] = usage
            case "x_groq":
                last["x_groq"] = {"id": "req_0", "usage": usage}
        yield last
        if self.form.usage.place in ("last", "x_groq") and self._usage_wanted:
            yield {**self._head("chat.completion.chunk"), "choices": [], "usage": usage}

    @property
    def _usage_wanted(self) -> bool:
        asked = (self.body.get("stream_options") or {}).get("include_usage")
        return bool(asked) or not self.form.usage.only_if_asked

    @property
    def _logprobs_asked(self) -> bool:
        return self.form.logprobs and bool(self.body.get("logprobs"))

    def logprobs(self) -> list[Json]:
        """Return the log-probabilities of the text; none where they are not asked for."""
        return _logprobs(self.said.text) if self._logprobs_asked else []

    @property
    def _reasoning(self) -> str:
        return self.said.reasoning or ""

    def _finish(self) -> str:
        finish = self.said.finish or ("tool_calls" if self.said.tool_calls else "stop")
        return self.form.finishes.get(finish, finish)

    def _calls(self) -> list[Json]:
        calls: list[Json] = []
        for place, (name, arguments) in enumerate(self.said.tool_calls):
            # Mistral's have nine letters and digits, which suits all.
            call_id = f"c{self.number:06d}{place:02d}"
            call: Json = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            if self.form.signs and place == 0 and self.form.reasoning != "reasoning_details":
                call["extra_content"] = {"google": {"thought_signature": signature_of(call_id)}}
            calls.append(call)
        return calls

    def _details(self, calls: list[Json]) -> list[Json]:
        text: Json = {"type": "reasoning.text", "text": self._reasoning, "format": "unknown", "index": 0}
        return [text | ({"signature": signature_of(calls[0]["id"])} if calls and self.form.signs else {})]

    def _message(self) -> Json:
        calls = self._calls()
        message: Json = {"role": "assistant", "content": self.said.text or (None if calls else "")}
        if calls:
            message["tool_calls"] = calls
        if not self._reasoning:
            return message
        match self.form.reasoning:
            case "think":
                message["content"] = f"<think>\n{self._reasoning}\n</think>\n\n{self.said.text}"
            case "parts":
                text = [{"type": "text", "text": self.said.text}] if self.said.text else []
                message["content"] = [_thinking(self._reasoning), *text]
            case "reasoning_details":
                message["reasoning"] = self._reasoning
                message["reasoning_details"] = self._details(calls)
            case "reasoning_content" | "reasoning":
                message[self.form.reasoning] = self._reasoning
        return message

    def _deltas(self) -> Iterator[tuple[Json, list[Json] | None]]:
        yield {"role": "assistant", "content": ""}, None
        calls = self._calls()
        text = self.said.text
        match self.form.reasoning if self._reasoning else "hidden":
            case "think":
                text = f"<think>\n{self._reasoning}\n</think>\n\n{text}"
            case "parts":
                for piece in pieces_of(self._reasoning):
                    yield {"content": [_thinking(piece)]}, None
            case "reasoning_details":
                for piece in pieces_of(self._reasoning):
                    detail = {"type": "reasoning.text", "text": piece, "format": "unknown", "index": 0}
                    yield {"content": "", "reasoning": piece, "reasoning_details": [detail]}, None
                yield {"content": "", "reasoning_details": [self._details(calls)[0] | {"text": ""}]}, None
            case "reasoning_content" | "reasoning":
                for piece in pieces_of(self._reasoning):
                    yield {self.form.reasoning: piece}, None
        for piece in pieces_of(text):
            yield {"content": piece}, _logprobs(piece) if self._logprobs_asked else None
        yield from ((delta, None) for delta in self._call_deltas(calls))

    def _call_deltas(self, calls: list[Json]) -> Iterator[Json]:
        how = self.form.calls
        if how == "whole" and calls:
            yield {"tool_calls": [{"index": place, **call} for place, call in enumerate(calls)]}
            return
        for place, call in enumerate(calls):
            if how == "no_index":
                yield {"tool_calls": [call]}
                continue
            if how == "index_0":
                yield {"tool_calls": [{"index": 0, **call}]}
                continue
            arguments = call["function"]["arguments"]
            start = {**call, "index": place, "function": {"name": call["function"]["name"], "arguments": ""}}
            yield {"tool_calls": [start]}
            for piece in pieces_of(arguments):
                more: Json = {"index": place, "function": {"arguments": piece}}
                yield {"tool_calls": [more | {"id": ""} if how == "empty_ids" else more]}
            if how == "snapshots":
                yield {"tool_calls": [{"index": place, **call}]}

    def _chunk(self, delta: Json, finish: str | None = None, *, logprobs: list[Json] | None = None) -> Json:
        choice: Json = {"index": 0, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            choice["logprobs"] = {"content": logprobs}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> Json:
        head = {"id": f"chatcmpl-{self.number}", "object": kind, "created": 0, "model": str(self.body.get("model"))}
        return {**head, **self.form.extra}

    def _usage(self, usage: Usage) -> Json:
        return usage_in(self.form.usage, usage)


def usage_in(form: UsageForm, usage: Usage) -> Json:
    """Return `usage` as a provider reports it."""
    visible = usage.output_tokens - usage.reasoning_tokens
    written = usage.output_tokens if form.reasoning == "within" else visible
    told: Json = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": max(0, written),
        "total_tokens": usage.total_tokens,
    }
    if form.reasoning != "total":
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if form.cached == "prompt_tokens_details":
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_input_tokens}
    elif form.cached is not None:
        told["prompt_cache_hit_tokens"] = usage.cached_input_tokens
        told["prompt_cache_miss_tokens"] = usage.input_tokens - usage.cached_input_tokens
    if form.cost == "number":
        told["cost"] = usage.total_tokens * USD_PER_TOKEN
    elif form.cost == "object":
        told["cost"] = {"total_cost": usage.total_tokens * USD_PER_TOKEN, "currency": "USD"}
    return told


def _thinking(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def pieces_of(text: str) -> list[str]:
    """Return `text` in the pieces of a stream."""
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def _logprobs(text: str) -> list[Json]:
    tokens = [text[start : start + CHARACTERS_PER_TOKEN] for start in range(0, len(text), CHARACTERS_PER_TOKEN)]
    return [
        {"token": each, "logprob": LOGPROB, "bytes": None, "top_logprobs": [{"token": each, "logprob": LOGPROB}]}
        for each in tokens
    ]
