"""The forms in which servers refuse fields, values and combinations, and what each may be answered with.

Each rule yields changes of the profile with what they mean in words, the one that gives up least first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from .profile import Profile
from .refusals import Refusal, any_of

MAX_TOKENS = ("max_tokens", "max_completion_tokens")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

Change = tuple[dict[str, JsonValue], str]


_UNKNOWN_WORDS = (
    r"unknown|unrecogni[sz]ed|unexpected|\bextra\b|not permitted|additional propert|cannot find|no such",
    r"not allowed|forbidden",
)
_UNSUPPORTED_WORDS = (
    *_UNKNOWN_WORDS,
    r"un-?supported|not (currently |yet |be )*(support|available|implemented|accept|enabled|valid|compatible)",
    r"support that|no longer support|unavailable|incompatible|deprecated|disabled|no endpoints",
)
_REFUSED_WORDS = (
    *_UNSUPPORTED_WORDS,
    r"invalid|\bonly\b|\bmust\b|should|requires?|greater|\bless\b|range|between|at most|exceed|too (large|high|big)",
    r"maximum|too many|not one of|not in|cannot|can't|fail|does(n't| not)|[<>≤≥]",
)
_UNKNOWN, _UNSUPPORTED, _REFUSED = any_of(*_UNKNOWN_WORDS), any_of(*_UNSUPPORTED_WORDS), any_of(*_REFUSED_WORDS)
_BOUND = any_of(
    r"between|at most|\bless\b|[<>≤≥\[]|range|exceed|maximum|\blarg|up to|greater|too (high|big)|above|higher"
)
_SCHEMA = any_of(
    r"response[_ ]?(format|mime|schema)|json[ _-]?(schema|mode|object)|structured[ _-]output|guided|grammar",
    r"text\.format|\bschemas?\b",
)
_BAD_SCHEMA = any_of(
    r"invalid schema|additionalproperties|\bstrict\b|invalid[ _]json[ _]schema|schema.{0,80}(keyword|nesting|depth)",
    r"\$ref|oneof|anyof|'required'|schema (is|was) (invalid|not valid)",
)
_TOOLS = any_of(r"\btools?\b|\bfunctions?\b|tool[ _-](use|call)")
_TOGETHER = any_of(r"combin|together|\bwith\b|\bboth\b|same (request|time)|\bwhen\b|cannot|and tool|tools? and")
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
_PLURAL = any_of(r"parameters|fields|arguments|properties|options|keys")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n")

# What a request cannot do without; some of it has rules of its own.
_NEEDED = frozenset(
    {"model", "messages", "input", "stream", "tools", "tool_choice", "response_format", "text", *MAX_TOKENS}
    | {"max_output_tokens"}
)


def possible_changes(refusal: Refusal, body: Mapping[str, Any], profile: Profile) -> Iterator[Change]:
    """Yield what the refusal of `body`, written in the dialect `profile`, may be answered with, the best first."""
    refused = _Refused(refusal, body, profile)
    if refusal.status < 500 or refusal.status == 501 or _UNSUPPORTED.search(refusal.text):
        for rule in _RULES:
            yield from rule(refused)


def numbers(text: str) -> list[float]:
    """Return the numbers in a text."""
    return [float(number) for number in _NUMBER.findall(re.sub(r"(?<=\d),(?=\d{3})", "", text))]


class _Refused:
    """A refused request, with what the server said of it. `named`: the fields that it names in their place."""

    def __init__(self, refusal: Refusal, body: Mapping[str, Any], profile: Profile) -> None:
        self.status = refusal.status
        self.text = refusal.text
        self.codes = refusal.codes
        self.places = refusal.places
        self.body = body
        self.profile = profile
        self.messages: list[Mapping[str, Any]] = list(body.get("messages", ()))
        plain = {_plain(name): name for name in body}
        roots = dict.fromkeys(_plain(re.split(r"[.\[]", place, maxsplit=1)[0]) for place in refusal.places)
        self.named = [plain[root] for root in roots if root in plain]
        self._sentences = [each for each in _SENTENCE.split(refusal.text) if each]

    def about(self, *fields: str) -> str:
        """Return the sentences that name one of `fields`."""
        return self.matching(re.compile("|".join(map(_word, fields)), re.IGNORECASE))

    def matching(self, pattern: re.Pattern[str]) -> str:
        """Return the sentences that match `pattern`."""
        return " ".join(each for each in self._sentences if pattern.search(each))

    def names(self, *fields: str) -> bool:
        """Return whether one of `fields` is named: in its place or, without such a place, in a refusing sentence."""
        if self.named:
            return any(each in self.named for each in fields)
        return _REFUSED.search(self.about(*fields)) is not None

    def names_only(self, *fields: str) -> bool:
        """Return whether no place names another field than `fields`."""
        return all(each in fields for each in self.named)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _word(field: str) -> str:
    if field == "stop":
        return r"""['"`]stop['"`]|\bstop[ _]?(sequence|param|words?|is\b|are\b)|: stop\b"""
    return rf"(?<![\w-]){re.escape(field).replace('_', '_?')}(?![\w-])"


def _api(refused: _Refused) -> Iterator[Change]:
    """The API, where a model or a server has only the other one."""
    if refused.profile.api == "chat" and _RESPONSES_INSTEAD.search(refused.text):
        yield {"api": "responses"}, "the Responses API is used"
    elif refused.profile.api == "responses" and (
        _CHAT_INSTEAD.search(refused.text) or (refused.status in (404, 405, 501) and not refused.named)
    ):
        yield {"api": "chat"}, "chat completions are used"


def _reasoning(refused: _Refused) -> Iterator[Change]:
    """Reasoning that must go back, or must not."""
    for name in ("reasoning_content", "reasoning_details"):
        about = refused.about(name)
        if re.search(r"missing|must be|required|pass(ed)? back", about, re.IGNORECASE):
            yield {"reasoning_field": name}, "reasoning goes back with tool calls"
        elif _REFUSED.search(about) and any(name in message for message in refused.messages):
            signed: list[JsonValue] = [name] if name == "reasoning_details" else []
            yield {"reasoning_field": None, "left_out": signed}, "reasoning does not go back"


def _order(refused: _Refused) -> Iterator[Change]:
    """The order of messages, and the role of instructions."""
    roles = {message.get("role") for message in refused.messages}
    if re.search(r"roles?\b.{0,60}alternat|alternat.{0,60}\broles?\b", refused.text, re.IGNORECASE):
        yield {"roles_alternate": True}, "messages of one role are sent as one"
        yield {"roles_alternate": True, "system_role": "user"}, "instructions are sent as part of the user message"
    if "tool" in roles and _USER_AFTER_TOOL.search(refused.text):
        yield {"user_after_tool": False}, "an assistant's message is put between a tool's and a user's"
    about = refused.matching(_SYSTEM)
    if not _REFUSED.search(about) or not refused.names_only("messages"):
        return
    if "developer" in roles and "developer" in about.lower():
        yield {"system_role": "system"}, "instructions are sent as a system message"
    if roles & {"system", "developer"}:
        if re.search(r"use .{0,12}developer", refused.text, re.IGNORECASE):
            yield {"system_role": "developer"}, "instructions are sent as a developer message"
        yield {"system_role": "user"}, "instructions are sent as part of the user message"


def _schema(refused: _Refused) -> Iterator[Change]:
    """The form in which an answer is held to a schema, and what it does not go together with."""
    # In the Responses API it stands elsewhere.
    wanted = refused.body.get("response_format") or refused.body.get("text", {}).get("format")
    about = refused.matching(_SCHEMA)
    named = "response_format" in refused.named or "text" in refused.named
    if (
        wanted is None
        or _is_of_a_tool(refused)
        or not (named or (_REFUSED.search(about) and refused.names_only("tools", "stream")))
    ):
        return
    text = about or refused.text
    if "tools" in refused.body and _TOOLS.search(text) and _TOGETHER.search(text):
        yield {"schema_with_tools": False}, "a schema is told in words where there are tools"
    if refused.body.get("stream") and re.search(r"\bstream", text, re.IGNORECASE):
        yield {"schema_streams": False}, "answers with a schema are not streamed"
    unknown = "response_format" in refused.places and _UNKNOWN.search(text) and not re.search("json_", text)
    if wanted.get("type") == "json_schema" and not unknown:
        if "strict" in wanted.get("json_schema", wanted) and _BAD_SCHEMA.search(refused.text):
            yield {"schema_form": "plain"}, "schemas are sent without strict mode"
        yield {"schema_form": "json_object"}, "JSON is asked for, and its schema is told in words"
    yield {"schema_form": "words"}, "schemas are told in words alone"


def _is_of_a_tool(refused: _Refused) -> bool:
    """Return whether the schema of a tool's arguments is refused, which no other form can mend."""
    text = re.search("schema for (function|tool)", refused.text, re.IGNORECASE)
    return "invalid_function_parameters" in refused.codes or text is not None


def _tools(refused: _Refused) -> Iterator[Change]:
    """Tools, and whether some or none of them must be called."""
    if "tools" not in refused.body:
        return
    choice = refused.body.get("tool_choice")
    about = refused.matching(re.compile("tool.?choice", re.IGNORECASE))
    if choice is not None and ("tool_choice" in refused.named or _REFUSED.search(about)):
        if choice == "none":
            yield {"none_tool_choice": False}, "tools are left out where none may be called"
        elif choice == "required" and re.search(r"\bany\b", about):
            yield {"required_tool_choice": "any"}, "that a tool must be called is said with 'any'"
        yield {"required_tool_choice": None}, "the model is free whether to call a tool"
    if _is_of_a_tool(refused):
        return
    text = refused.matching(_TOOLS) or refused.text
    if not ("tools" in refused.named or (_TOOLS.search(text) and refused.names_only("tool_choice", "stream"))):
        return
    if refused.body.get("stream") and re.search(r"\bstream", text, re.IGNORECASE):
        yield {"streams": False}, "answers are not streamed"
    if _UNSUPPORTED.search(text) or re.search("requires? --enable|enable-auto-tool", text):
        yield {"tool_form": "prompted"}, "tools are described in the prompt"


def _max_tokens(refused: _Refused) -> Iterator[Change]:
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


def _value(refused: _Refused) -> Iterator[Change]:
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


def _field(refused: _Refused) -> Iterator[Change]:
    """Fields that are not taken."""
    sent = [name for name in refused.body if name not in _NEEDED]
    names = [name for name in sent if name in refused.named]
    if not refused.named:
        names = [name for name in sent if refused.names(name)]
    elif names and _PLURAL.search(refused.about(*names)):
        names = [name for name in sent if name in names or re.search(_word(name), refused.about(*names))]
    if {"temperature", "top_p"} <= set(names) and re.search(r"\bboth\b|only one", refused.text, re.IGNORECASE):
        names.remove("temperature")
    if "logprobs" in names and "top_logprobs" not in names:
        names.append("top_logprobs")
    if names:
        values: list[JsonValue] = [*names]
        yield {"left_out": values}, f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not sent"


def _stream(refused: _Refused) -> Iterator[Change]:
    """A stream, where there is none."""
    about = refused.matching(re.compile(r"\bstream(ing|ed)?\b", re.IGNORECASE))
    if refused.body.get("stream") and ("stream" in refused.named or _UNSUPPORTED.search(about)):
        yield {"streams": False}, "answers are not streamed"


_RULES: tuple[Callable[[_Refused], Iterator[Change]], ...] = (
    _api,
    _reasoning,
    _order,
    _schema,
    _tools,
    _max_tokens,
    _value,
    _field,
    _stream,
)
