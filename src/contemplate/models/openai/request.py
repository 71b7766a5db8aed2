"""Requests in the chat completions format, in the dialect of a server.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from ...messages import Message, instructed
from ...settings import ModelSettings
from ..base import ModelRequest
from ..schemas import sent_schema
from .conversation import sent_messages
from .output_bound import output_bound
from .profile import Profile, SchemaForm
from .schema_forms import answer_tool, form_of, in_words, is_streamed, response_format, tools_of

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def request_body(request: ModelRequest, *, model: str, stream: bool, profile: Profile, provider: str = "") -> bytes:
    """Return `request` as the body of a chat completions call in a server's dialect, JSON in UTF-8.

    Args:
        request: the request.
        model: the server's name for the model.
        stream: whether the answer is wanted as a stream, which it becomes if the server can.
        profile: the dialect.
        provider: the server, which gets back what it added to messages.
    """
    return to_json(body_of(request, model=model, stream=stream, profile=profile, provider=provider))


def body_of(request: ModelRequest, *, model: str, stream: bool, profile: Profile, provider: str = "") -> dict[str, Any]:
    """Return what `request_body` encodes."""
    form = form_of(request, profile)
    messages: Sequence[Message] = request.messages
    if form in ("words", "json_object") and request.output_schema is not None:
        messages = instructed(messages, in_words(request.output_schema, request.prompts))
    body: dict[str, Any] = {"model": model, "messages": sent_messages(messages, profile, provider, request.prompts)}
    if stream and is_streamed(request, profile):
        body["stream"] = True
        if "stream_options" not in profile.left_out:
            body["stream_options"] = {"include_usage": True}
    bound = output_bound(request, profile)
    if bound is not None and profile.max_tokens_field not in profile.left_out:
        body[profile.max_tokens_field] = bound
    _add_settings(body, request.settings, profile)
    if request.tools or form == "tool":
        _add_tools(body, request, profile, form)
    if request.output_schema is not None and form is not None:
        wanted = response_format(request.output_schema, profile, form)
        if wanted is not None:
            body["response_format"] = wanted
    extra = request.settings.extra
    if extra:
        body |= {name: value for name, value in extra.items() if name not in profile.left_out}
    return body


def _add_settings(body: dict[str, Any], settings: ModelSettings, profile: Profile) -> None:
    left_out, at_most = profile.left_out, profile.at_most
    for name, value in (("temperature", settings.temperature), ("top_p", settings.top_p)):
        if value is not None and name not in left_out:
            body[name] = min(value, at_most.get(name, value))
    if settings.stop is not None and "stop" not in left_out:
        body["stop"] = settings.stop
    if settings.seed is not None and not {"seed", profile.seed_field} & left_out:
        body[profile.seed_field] = settings.seed
    if settings.reasoning_effort is not None and "reasoning_effort" not in left_out:
        body["reasoning_effort"] = nearest_effort(settings.reasoning_effort, profile.efforts)
    if settings.logprobs is not None and "logprobs" not in left_out:
        body["logprobs"] = True
        if "top_logprobs" not in left_out:
            body["top_logprobs"] = int(min(settings.logprobs, at_most.get("top_logprobs", settings.logprobs)))


def nearest_effort(wanted: str, known: tuple[str, ...] | None) -> str:
    """Return the known effort that is nearest to the one wanted."""
    if not known or wanted in known:
        return wanted
    place = _EFFORTS.index(wanted)
    return min(known, key=lambda each: abs(_EFFORTS.index(each) - place) if each in _EFFORTS else len(_EFFORTS))


def _add_tools(body: dict[str, Any], request: ModelRequest, profile: Profile, form: SchemaForm | None) -> None:
    tools: list[dict[str, Any]] = []
    if tools_of(request, profile):
        tools = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": sent_schema(tool.parameters, profile.schema_dialect, optional=True).schema,
                },
            }
            for tool in request.tools
        ]
    choice: str | None = request.tool_choice if tools else "auto"
    if form == "tool":
        tools.append(answer_tool(request, profile))
        choice = "required"
    if not tools:
        return
    body["tools"] = tools
    if choice == "required":
        choice = profile.required_tool_choice
    if choice not in (None, "auto") and "tool_choice" not in profile.left_out:
        body["tool_choice"] = choice
