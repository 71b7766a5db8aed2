"""The forms in which servers refuse fields, values and combinations, and what each may be answered with.

Each rule yields changes of the profile with what they mean in words, the one that gives up least first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from .profile import Profile
from .refusals import MAY_REFUSE, Refusal, any_of
from .refused_request import REFUSED, UNSUPPORTED, Change, RefusedRequest, word_of
from .schema_lessons import TOOLS, about_schemas, about_tool_schemas, is_of_a_tool

MAX_TOKENS = ("max_tokens", "max_completion_tokens")
SAMPLING = ("temperature", "top_p", "stop", "reasoning_effort")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_BOUND = any_of(
    r"between|at most|\bless\b|[<>≤≥\[]|range|exceed|maximum|\blarg|up to|greater|too (high|big)|above|higher"
)
_SYSTEM = any_of(
    r"(system|developer)[^.]{0,12}(role|message|prompt|instruction)|role[^.]{0,40}(system|developer)",
    r"['\"`]system['\"`]",
)
_USER_AFTER_TOOL = any_of(r"role ['\"]?user['\"]? after (role )?['\"]?tool|after .{0,20}tool.{0,30}user")
_RESPONSES_INSTEAD = any_of(
    r"\bin v1/responses\b", r"use (the )?(/?v1/)?responses (api|endpoint)", r"only .{0,40}responses api"
)
_CHAT_INSTEAD = any_of(
    r"use (the )?(/?v1/)?chat/?[ _]?completions",
    r"(responses|this) (api|endpoint).{0,40}not (supported|available|found)",
)
_NO_IMAGES = any_of(
    r"image(_url)?s?( input| content| part)?s?\b.{0,40}(not|n't|un)[ -]?(yet |currently )?(support|accept|enabled)",
    r"(not|n't|cannot) (support|accept|handle|process|take|see)\w*.{0,40}\b(images?|image_url|vision|multi-?modal)",
    r"unknown variant .image_url|no endpoints found that support image|image_url is only supported|at most 0 image",
    r"(is|are) not (a )?(vision|multi-?modal)|text[- ]only|vision is not|content must be a string",
)
# Of the one that was sent, where others may be understood.
_NOT_THIS_IMAGE = any_of(
    r"image (format|type|size|media|mime|dimension)|mime|media type|\b(png|webp|gif|jpe?g|svg|bmp|base64)\b",
    r"too (large|many|big)|download|fetch|exceed|resolution|pixel",
)
# Of parameters of which none is named: https://openrouter.ai/docs/features/provider-routing
_SOME = any_of(
    r"\b(the|these|some|all|one|requested|provided|given)\b[^.]{0,30}\b(parameter|option|feature|field|argument)s"
)
_PLURAL = any_of(r"parameters|fields|arguments|properties|options|keys")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)")

# What a request cannot do without; some of it has rules of its own.
_NEEDED = frozenset(
    {"model", "messages", "input", "stream", "tools", "tool_choice", "response_format", "text", *MAX_TOKENS}
    | {"max_output_tokens"}
)


def possible_changes(refusal: Refusal, body: Mapping[str, Any], profile: Profile) -> Iterator[Change]:
    """Yield what the refusal of `body`, written in the dialect `profile`, may be answered with, the best first."""
    refused = RefusedRequest(refusal, body, profile)
    if refusal.status < 500 or refusal.status == 501 or UNSUPPORTED.search(refusal.text):
        # With the status of a key without permission, only what can be done without counts.
        for rule in (_value, _field) if refusal.status == MAY_REFUSE else _RULES:
            yield from rule(refused)


def numbers(text: str) -> list[float]:
    """Return the numbers in a text."""
    return [float(number) for number in _NUMBER.findall(re.sub(r"(?<=\d),(?=\d{3})", "", text))]


def _api(refused: RefusedRequest) -> Iterator[Change]:
    """The API, where a model or a server has only the other one."""
    if refused.profile.api == "chat" and _RESPONSES_INSTEAD.search(refused.text):
        yield {"api": "responses"}, "the Responses API is used"
    elif refused.profile.api == "responses" and (
        _CHAT_INSTEAD.search(refused.text) or (refused.status in (404, 405, 501) and not refused.named)
    ):
        yield {"api": "chat"}, "chat completions are used"


def _images(refused: RefusedRequest) -> Iterator[Change]:
    """Images, where the model cannot see: the next request with some is not made."""
    messages = (*refused.messages, *(each for each in refused.body.get("input", ()) if isinstance(each, dict)))
    contents = [each["content"] for each in messages if isinstance(each.get("content"), list)]
    if (
        any(part.get("type") in ("image_url", "input_image") for content in contents for part in content)
        and _NO_IMAGES.search(refused.text)
        and not _NOT_THIS_IMAGE.search(refused.text)
    ):
        yield {"images": False}, "images are not understood"


def _reasoning(refused: RefusedRequest) -> Iterator[Change]:
    """Reasoning that must go back, or must not."""
    for name in ("reasoning_content", "reasoning_details"):
        about = refused.about(name)
        if re.search(r"missing|must be|required|pass(ed)? back", about, re.IGNORECASE):
            yield {"reasoning_field": name}, "reasoning goes back with tool calls"
        elif REFUSED.search(about) and any(name in message for message in refused.messages):
            signed: list[JsonValue] = [name] if name == "reasoning_details" else []
            yield {"reasoning_field": None, "left_out": signed}, "reasoning does not go back"


def _order(refused: RefusedRequest) -> Iterator[Change]:
    """The order of messages, and the role of instructions."""
    roles = {message.get("role") for message in refused.messages}
    if re.search(r"roles?\b.{0,60}alternat|alternat.{0,60}\broles?\b", refused.text, re.IGNORECASE):
        yield {"roles_alternate": True}, "messages of one role are sent as one"
        yield {"roles_alternate": True, "system_role": "user"}, "instructions are sent as part of the user message"
    if "tool" in roles and _USER_AFTER_TOOL.search(refused.text):
        yield {"user_after_tool": False}, "an assistant's message is put between a tool's and a user's"
    about = refused.matching(_SYSTEM)
    if not REFUSED.search(about) or not refused.names_only("messages"):
        return
    if "developer" in roles and "developer" in about.lower():
        yield {"system_role": "system"}, "instructions are sent as a system message"
    if roles & {"system", "developer"}:
        if re.search(r"use .{0,12}developer", refused.text, re.IGNORECASE):
            yield {"system_role": "developer"}, "instructions are sent as a developer message"
        yield {"system_role": "user"}, "instructions are sent as part of the user message"


def _tools(refused: RefusedRequest) -> Iterator[Change]:
    """Tools, and whether some or none of them must be called."""
    if "tools" not in refused.body:
        return
    choice = refused.body.get("tool_choice")
    about = refused.matching(re.compile("tool.?choice", re.IGNORECASE))
    if choice is not None and ("tool_choice" in refused.named or REFUSED.search(about)):
        if choice == "none":
            yield {"none_tool_choice": False}, "tools are left out where none may be called"
        elif choice == "required" and re.search(r"\bany\b", about):
            yield {"required_tool_choice": "any"}, "that a tool must be called is said with 'any'"
        yield {"required_tool_choice": None}, "the model is free whether to call a tool"
    if is_of_a_tool(refused):
        return
    text = refused.matching(TOOLS) or refused.text
    if not ("tools" in refused.named or (TOOLS.search(text) and refused.names_only("tool_choice", "stream"))):
        return
    if refused.body.get("stream") and re.search(r"\bstream", text, re.IGNORECASE):
        yield {"streams": False}, "answers are not streamed"
    if UNSUPPORTED.search(text) or re.search("requires? --enable|enable-auto-tool", text):
        yield {"tool_form": "prompted"}, "tools are described in the prompt"


def _max_tokens(refused: RefusedRequest) -> Iterator[Change]:
    """What the model may write: the field for its bound, and the largest one."""
    field = next((each for each in MAX_TOKENS if each in refused.body), None)
    spoken = re.search(r"(completion|output|new) tokens", refused.text, re.IGNORECASE)
    if field is None or not (
        refused.names(*MAX_TOKENS) or (spoken and refused.names_only() and _BOUND.search(refused.text))
    ):
        return
    other = MAX_TOKENS[1 - MAX_TOKENS.index(field)]
    if not re.search(rf"use [^.]{{0,20}}{other}|{other}[^.]{{0,20}} instead", refused.text, re.IGNORECASE):
        sent = refused.body[field]
        fits = [number for number in numbers(refused.text) if 1 < number < sent]
        if fits and _BOUND.search(refused.text):
            yield {"max_output_tokens": int(max(fits))}, f"answers have at most {int(max(fits))} tokens"
    yield {"max_tokens_field": other}, f"{other} is sent instead of {field}"
    yield {"left_out": list(MAX_TOKENS)}, f"{field} is not sent"


def _value(refused: RefusedRequest) -> Iterator[Change]:
    """Values that are too large, or not among those that are known."""
    effort = refused.body.get("reasoning_effort")
    if effort is not None and refused.names("reasoning_effort"):
        told = re.findall(r"['\"`](\w+)['\"`]", refused.text)
        # No effort at all is no substitute for some.
        known: list[JsonValue] = [each for each in EFFORTS if each in told and each not in (effort, "none")]
        if known:
            yield {"efforts": known}, f"reasoning_effort is one of {', '.join(map(str, known))}"
    for field in ("temperature", "top_p", "top_logprobs"):
        sent = refused.body.get(field)
        if sent is None or not refused.names(field):
            continue
        about = refused.about(field) or refused.text
        fits = [number for number in numbers(about) if 0 < number < sent]
        if fits and _BOUND.search(about) and not re.search(r"\bonly\b|default", about, re.IGNORECASE):
            yield {"at_most": {field: max(fits)}}, f"{field} is at most {max(fits):g}"


def _field(refused: RefusedRequest) -> Iterator[Change]:
    """Fields that are not taken."""
    sent = [name for name in refused.body if name not in _NEEDED]
    names = [name for name in sent if name in refused.named]
    if not refused.named:
        names = [name for name in sent if refused.names(name)]
    elif names and _PLURAL.search(refused.about(*names)):
        names = [name for name in sent if name in names or re.search(word_of(name), refused.about(*names))]
    if {"temperature", "top_p"} <= set(names) and re.search(r"\bboth\b|only one", refused.text, re.IGNORECASE):
        names.remove("temperature")
    if "logprobs" in names and "top_logprobs" not in names:
        names.append("top_logprobs")
    if names:
        values: list[JsonValue] = [*names]
        yield {"left_out": values}, f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not sent"


def _stream(refused: RefusedRequest) -> Iterator[Change]:
    """A stream, where there is none."""
    about = refused.matching(re.compile(r"\bstream(ing|ed)?\b", re.IGNORECASE))
    if refused.body.get("stream") and ("stream" in refused.named or UNSUPPORTED.search(about)):
        yield {"streams": False}, "answers are not streamed"


def _unnamed(refused: RefusedRequest) -> Iterator[Change]:
    """Some parameters, where the server does not say which: those first that change an answer the least."""
    if refused.named or not UNSUPPORTED.search(refused.matching(_SOME)):
        return
    for fields in (("seed", "random_seed", "stream_options", "logprobs", "top_logprobs"), SAMPLING):
        names: list[JsonValue] = [each for each in fields if each in refused.body]
        if names:
            yield {"left_out": names}, f"{', '.join(map(str, names))} not sent, as one of the parameters is not taken"
    if refused.response_format is not None:
        yield {"schema_form": "json_object"}, "JSON is asked for, and its schema is told in words"
        yield {"schema_form": "words"}, "schemas are told in words alone"
    if "tools" in refused.body:
        yield {"tool_form": "prompted"}, "tools are described in the prompt"


_RULES: tuple[Callable[[RefusedRequest], Iterator[Change]], ...] = (
    _api,
    _images,
    _reasoning,
    _order,
    about_schemas,
    about_tool_schemas,
    _tools,
    _max_tokens,
    _value,
    _field,
    _stream,
    _unnamed,
)
