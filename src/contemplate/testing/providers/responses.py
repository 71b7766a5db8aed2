"""OpenAI's Responses API: its requests as chat completions write them, and answers in its form.

https://platform.openai.com/docs/api-reference/responses, https://platform.openai.com/docs/guides/reasoning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .answers import Json, ProviderAnswer, pieces_of
from .refusals import Body, Rejection
from .signatures import signature_of

PATH = "/v1/responses"
ENCRYPTED = "reasoning.encrypted_content"
# Other fields of a request than those that are the same in both.
_OWN = frozenset(
    {"input", "instructions", "text", "reasoning", "include", "store", "max_output_tokens", "top_logprobs"}
)
_SAME = frozenset({"model", "stream", "temperature", "top_p", "tool_choice", "parallel_tool_calls", "user"})


def responses_problems(body: Body) -> Iterator[Rejection]:
    """Yield what is wrong with a request in this API's own fields."""
    for name in body.keys() - _OWN - _SAME - {"tools"}:
        yield Rejection(f"Unknown parameter: '{name}'.", 400, name, "unknown_parameter")
    items = _items(body)
    called = {item.get("call_id") for item in items if item.get("type") == "function_call"}
    thought: set[str] = set()
    for item in items:
        match item.get("type"):
            case "reasoning":
                thought.add(item["id"])
                if item.get("encrypted_content") != signature_of(item["id"]):
                    words = f"The encrypted content for item {item['id']} could not be verified."
                    yield Rejection(words, 400, None, "invalid_encrypted_content")
            case "function_call_output" if item.get("call_id") not in called:
                words = f"No tool call found for function call output with call_id {item.get('call_id')}."
                yield Rejection(words, 400, "input")
            case "function_call" if str(item.get("id")).startswith("fc_rs_"):
                needed = "_".join(str(item["id"]).split("_")[1:3])
                if needed not in thought:
                    words = f"Item '{item['id']}' of type 'function_call' was provided without its required 'reasoning'"
                    yield Rejection(f"{words} item: '{needed}'.", 400, "input")


def chat_body(body: Body) -> Body:
    """Return a request as chat completions write it."""
    chat: Json = {name: value for name, value in body.items() if name in _SAME}
    chat["messages"] = list(_messages(body))
    if tools := body.get("tools"):
        chat["tools"] = [{"type": "function", "function": {**tool}} for tool in tools]
    asked: Mapping[str, Any] = (body.get("text") or {}).get("format") or {}
    if asked.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": {**asked}}
    elif asked:
        chat["response_format"] = asked
    if effort := (body.get("reasoning") or {}).get("effort"):
        chat["reasoning_effort"] = effort
    if "max_output_tokens" in body:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if "top_logprobs" in body:
        chat |= {"logprobs": True, "top_logprobs": body["top_logprobs"]}
    return chat


def _items(body: Body) -> list[Json]:
    given = body.get("input")
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())


def _messages(body: Body) -> Iterator[Json]:
    if body.get("instructions"):
        yield {"role": "system", "content": body["instructions"]}
    said: Json = {}
    for item in _items(body):
        kind, role = item.get("type", "message"), item.get("role")
        if kind == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            said = said or {"role": "assistant", "content": None}
            call = {"id": item["call_id"], "type": "function", "function": function}
            said["tool_calls"] = [*said.get("tool_calls", ()), call]
        elif kind == "message" and role == "assistant":
            said = {"role": "assistant", "content": _content(item["content"])}
        elif kind != "reasoning":
            if said:
                yield said
            said = {}
            if kind == "function_call_output":
                yield {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
            else:
                yield {"role": role, "content": _content(item["content"])}
    if said:
        yield said


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "image_url", "image_url": {"url": part["image_url"]}}
        if part["type"] == "input_image"
        else {"type": "text", "text": part.get("text", part.get("refusal", ""))}
        for part in content
    ]


@dataclass(frozen=True)
class ResponsesAnswer(ProviderAnswer):
    """What is said, as a response of this API. Reasoning is not shown, but comes encrypted where it is asked for."""

    encrypted: bool = False

    def whole(self) -> Json:
        """Return the body of a response."""
        reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
        reason = reasons.get(self.said.finish or "")
        usage = self.usage
        return {
            "id": f"resp_{self.number}",
            "object": "response",
            "created_at": 0,
            "error": None,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "model": str(self.body.get("model")),
            "status": "completed" if reason is None else "incomplete",
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": self._output(),
            "usage": {
                "input_tokens": usage.input_tokens,
                "input_tokens_details": {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": 0},
                "output_tokens": usage.output_tokens,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
                "total_tokens": usage.total_tokens,
            },
        }

    def events(self) -> Iterator[Json | bytes]:
        """Yield the events of a stream."""
        whole = self.whole()
        yield {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}
        for place, item in enumerate(whole["output"]):
            here = {"output_index": place, "item_id": item["id"]}
            yield {
                "type": "response.output_item.added",
                "output_index": place,
                "item": {**item, "status": "in_progress"},
            }
            for part in item.get("content", ()):
                for piece in pieces_of(part["text"]):
                    yield {"type": "response.output_text.delta", "content_index": 0, "delta": piece, **here}
            for piece in pieces_of(item.get("arguments", "")):
                yield {"type": "response.function_call_arguments.delta", "delta": piece, **here}
            yield {"type": "response.output_item.done", "output_index": place, "item": item}
        yield {"type": f"response.{whole['status']}", "response": whole}

    def _output(self) -> list[Json]:
        thought, items = f"rs_{self.number}", list[Json]()
        if self.said.reasoning:
            encrypted = {"encrypted_content": signature_of(thought)} if self.encrypted else {}
            items.append({"id": thought, "type": "reasoning", "summary": [], **encrypted})
        if self.said.text or not self.said.tool_calls:
            part = {"type": "output_text", "text": self.said.text, "annotations": [], "logprobs": self.logprobs()}
            message: Json = {"id": f"msg_{self.number}", "type": "message", "role": "assistant", "status": "completed"}
            items.append(message | {"content": [part]})
        for place, (name, arguments) in enumerate(self.said.tool_calls):
            call: Json = {
                "id": f"fc_{thought if self.said.reasoning else self.number}_{place}",
                "type": "function_call",
            }
            named = {"call_id": f"call_{self.number}_{place}", "name": name, "arguments": arguments}
            items.append(call | {"status": "completed"} | named)
        return items
