"""The forms in which models write the calls of tools as text: the marks before them, and those after them.

JSON after a mark: Hermes and Qwen, https://github.com/NousResearch/Hermes-Function-Calling; Mistral,
https://github.com/mistralai/cookbook/tree/main/concept-deep-dive/tokenization; Llama, also without any mark,
https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/prompt_format.md; Granite,
Nemotron, Command, InternLM.
Arguments after a name: gpt-oss, https://cookbook.openai.com/articles/openai-harmony; DeepSeek V3,
https://huggingface.co/deepseek-ai/DeepSeek-V3.1; Kimi, https://huggingface.co/moonshotai/Kimi-K2-Instruct.
Markup: Qwen3-Coder, https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct; GLM, MiniMax, Seed, DeepSeek V3.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Literal

from .payloads import JsonPayload, MarkupPayload, Payload
from .pythonic import PythonicPayload

# Where a mark may stand: at the beginning of a line, or after a sentence too, as those do that are single tokens.
Place = Literal["line", "anywhere"]

_BARS, _UNDERSCORES = ("|", "\uff5c"), ("_", "\u2581")


def _deepseek(*names: str) -> tuple[str, ...]:
    """Return DeepSeek's marks, also as servers write them that have no such letters."""
    return tuple(
        f"<{bar}{name.replace('_', underscore)}{bar}>" for name in names for bar in _BARS for underscore in _UNDERSCORES
    )


_HARMONY = ("<|channel|>commentary to=", "<|start|>assistant")
_LINE = (
    *("<tool_call>", "<tool_calls>", "<function_call>", "<function_calls>", "<TOOLCALL>"),
    *("<minimax:tool_call>", "<seed:tool_call>", "<function=", "<invoke name="),
)
_ANYWHERE = (
    *("<|python_start|>", "<|tool_call_start|>"),
    *("[TOOL_CALLS]", "<|python_tag|>", "<|tool_call|>", "<|START_ACTION|>", "<|action_start|>", *_HARMONY),
    *("<|tool_calls_section_begin|>", "<\uff5cDSML\uff5cfunction_calls>", "<\uff5cDSML\uff5cinvoke"),
    *_deepseek("tool_calls_begin", "tool_call_begin"),
)
MARKS: dict[str, Place] = {**dict.fromkeys(_LINE, "line"), **dict.fromkeys(_ANYWHERE, "anywhere")}
# The marks of the end of a call, of all calls, and of the turn.
_CLOSINGS = (
    *(f"</{name}>" for name in ("tool_call", "tool_calls", "function_call", "function_calls", "function", "TOOLCALL")),
    *("</minimax:tool_call>", "</seed:tool_call>", "</\uff5cDSML\uff5cfunction_calls>", "[/TOOL_CALLS]", "```", "</s>"),
    *(
        "<|call|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<|return|>",
        "<|END_ACTION|>",
        "<|action_end|>",
    ),
    *("<|python_end|>", "<|tool_call_end|>"),
    *("<|tool_calls_section_end|>", *_deepseek("tool_call_end", "tool_calls_end", "end_of_sentence")),
)


def _any_of(marks: Iterable[str]) -> str:
    return "|".join(map(re.escape, marks))


def _begun(literal: str) -> str:
    """Return a pattern for all beginnings of `literal`."""
    return "".join(f"(?:{re.escape(letter)}" for letter in literal) + ")?" * len(literal)


BEGINNING = re.compile(_any_of(MARKS))
CLOSINGS = re.compile(rf"(?:[\s;,]|{_any_of(_CLOSINGS)})*+")

_NAME = r"(?:functions?\.)?(?P<name>[\w.-]+?)"
_BAR, _UNDERSCORE = (f"[{''.join(each)}]" for each in (_BARS, _UNDERSCORES))
_SEPARATOR = f"<{_BAR}tool{_UNDERSCORE}sep{_BAR}>"
_CALLS, _CALL = (f"<{_BAR}tool{_UNDERSCORE}{each}{_UNDERSCORE}begin{_BAR}>" for each in ("calls", "call"))
_JSON = (
    r"(?:<\|python_start\|>|<\|tool_call_start\|>|<tool_calls?>|<function_calls?>|<TOOLCALL>|\[TOOL_CALLS\]|<\|python_tag\|>|<\|tool_call\|>|<\|START_ACTION\|>"
    r'|<\|action_start\|>\s*<\|plugin\|>)\s*(?=\{\s*["}]|\[\s*\{\s*")'
)
_BARE = (
    r'(?=(?:\[\s*)?\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?'
    r'"(?:name|function)"\s*:\s*"(?P<called>[\w.-]+)"\s*,\s*"(?:arguments|parameters)"\s*:)'
)
_PYTHONIC = r"(?:<\|python_start\|>|<\|tool_call_start\|>|<\|python_tag\|>)?\s*(?=\[\s*(?P<called>[\w.-]+)\()"
# What is left of gpt-oss's marks where they are not shown.
_UNMARKED = "commentary to=functions."
_ARGUMENTS = (
    rf"{re.escape(_UNMARKED)}(?P<name>[\w.-]+?)\s*(?:<\|constrain\|>)?(?:json|code)?\s*(?:<\|message\|>)?\s*(?=\{{)",
    r"(?:<\|start\|>assistant)?(?: to=functions\.(?P<first>[\w.-]+))?<\|channel\|>commentary"
    r"(?: to=functions\.(?P<name>[\w.-]+))?\s*(?:<\|constrain\|>)?(?:json|code)?\s*<\|message\|>\s*(?=\{)",
    rf"(?:{_CALLS})?\s*{_CALL}\s*(?:function{_SEPARATOR})?{_NAME}\s*(?:{_SEPARATOR})?\s*(?:```json)?\s*(?=\{{)",
    rf"(?:<\|tool_calls_section_begin\|>)?\s*<\|tool_call_begin\|>\s*{_NAME}(?::\d+)?\s*<\|tool_call_argument_begin\|>\s*(?=\{{)",
    rf"\[TOOL_CALLS\]\s*{_NAME}(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*(?=\{{)",
)
_WRAPPERS = (
    r"(?:(?:<(?:tool_call|function_calls|minimax:tool_call|seed:tool_call|\uff5cDSML\uff5cfunction_calls)>)\s*)*"
)
_MARKUP = (
    rf"{_WRAPPERS}<(?:\uff5cDSML\uff5c)?(?:function=|invoke\s+name=)[\"']?{_NAME}[\"']?\s*>",
    rf"<tool_call>\s*{_NAME}\s*(?=<arg_key>|</tool_call>)",
)
_HEADERS: tuple[tuple[re.Pattern[str], Callable[[str | None], Payload]], ...] = (
    *((re.compile(each), JsonPayload) for each in (_JSON, _BARE, *_ARGUMENTS)),
    *((re.compile(each), MarkupPayload) for each in _MARKUP),
    (re.compile(_PYTHONIC), PythonicPayload),
)

_LONGEST_HEADER = 200
# Marks within which a name stands.
_OPEN = ("<function=", "<invoke name=", "<\uff5cDSML\uff5cinvoke")
_MARKS_READ = re.compile(
    rf"\A(?:\s|{_any_of(each for each in MARKS if each not in _OPEN)}|<\|plugin\|>|(?:function)?{_SEPARATOR})*+"
)
_UNFINISHED = re.compile(r"[\w.:-]*\s*(?:<[^<>\n{]*>?|\[[\w\[\]]*|`{1,3}\w*)?\s*[\[{\s]*")
_TYPED, _NAMED, _CALLED = '"type"', '"name"', '"function"'
_CALL_BEGUN = (
    rf'(?:"type"\s*:\s*"function"\s*,\s*)?(?:{_begun(_NAMED)}|{_begun(_CALLED)}|"(?:name|function)"\s*:?\s*|'
    r'"(?:name|function)"\s*:\s*"[\w.-]*(?:"\s*,?\s*(?:"\w*"?\s*)?)?)'
)
_TYPE_BEGUN = rf'(?:{_begun(_TYPED)}|"type"\s*:?\s*|"type"\s*:\s*"\w*"?\s*)'
_UNFINISHED_BARE = re.compile(
    rf"\[\s*[\w.-]*|(?:\[\s*)?\{{\s*(?:{_CALL_BEGUN}|{_TYPE_BEGUN})|"
    rf"{_begun(_UNMARKED)}|{re.escape(_UNMARKED)}[\w.-]*\s*[<|>\w]*\s*"
)


def header_of(text: str, tools: Collection[str]) -> tuple[Payload, str] | None:
    """Return what `text` begins to call, and the text after its header; None if it begins with no header."""
    for pattern, payload in _HEADERS:
        header = pattern.match(text)
        if header is None or len(header[0]) > _LONGEST_HEADER:
            continue
        groups = header.groupdict()
        name = groups.get("name") or groups.get("first")
        told = name or groups.get("called")
        if told is None or told in tools:
            return payload(name), text[header.end() :]
    return None


def may_begin(text: str, *, again: bool) -> bool:
    """Return whether `text` may be the beginning of a header, or of what stands between two calls (`again`)."""
    if len(text) > _LONGEST_HEADER:
        return False
    if not text or text.startswith(_HARMONY) or any(mark.startswith(text) for mark in MARKS):
        return True
    if again and any(mark.startswith(text) for mark in _CLOSINGS):
        return True
    rest = _MARKS_READ.sub("", text, count=1)
    if _UNFINISHED_BARE.fullmatch(rest):
        return True
    return (rest != text or text.startswith(_OPEN)) and _UNFINISHED.fullmatch(rest) is not None
