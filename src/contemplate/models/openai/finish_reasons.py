"""Why an answer ended, in the words of many servers."""

from __future__ import annotations

import re
from typing import Literal

from ..base import Finish

# "failed": the server gave up, and what it wrote until then is no answer.
Ended = Finish | Literal["failed"]

# OpenAI, Anthropic, Gemini, Mistral, Cohere, DeepSeek, Zhipu, Together, vLLM, SGLang, TGI and Bedrock, in lower case.
_REASONS: dict[Ended, tuple[str, ...]] = {
    "stop": (
        "stop eos eos_token end_turn stop_sequence stop_token complete completed done end finished pause_turn",
        "tool_calls tool_call tool_use function_call finish_reason_stop finish_reason_unspecified unspecified",
    ),
    "length": (
        "length max_tokens model_length max_length max_output_tokens max_new_tokens token_limit incomplete",
        "model_context_window_exceeded context_window_exceeded finish_reason_max_tokens",
    ),
    "content_filter": (
        "content_filter content_filtered filtered sensitive safety prohibited_content recitation blocklist spii",
        "image_safety image_prohibited_content image_recitation guardrail_intervened guardrails error_toxic moderation",
        "finish_reason_safety finish_reason_recitation",
    ),
    "refusal": ("refusal refused",),
    "failed": (
        "error insufficient_system_resource network_error engine_error internal_error server_error failed failure",
        "abort aborted cancelled canceled timeout overloaded malformed_function_call unexpected_tool_call",
        "malformed_response other_error",
    ),
}
_MEANING: dict[str, Ended] = {
    reason: ended for ended, lines in _REASONS.items() for line in lines for reason in line.split()
}


# What is told apart by a part of it, the first that fits: nothing that failed or was cut off may look complete.
_PARTS: tuple[tuple[re.Pattern[str], Ended], ...] = (
    (
        re.compile(
            r"error|exception|fail|abort|cancel|interrupt|overload|timeout|deadline|rate_limit|unavailable"
            r"|insufficient|quota|preempt|\boom\b|out_of_memory|too_many_tool"
        ),
        "failed",
    ),
    (re.compile(r"refus"), "refusal"),
    (
        re.compile(r"filter|safety|sensitive|block|guardrail|prohibit|moderat|policy|recitation|language"),
        "content_filter",
    ),
    (re.compile(r"max_|length|limit|truncat|incomplete|context_window|repetition"), "length"),
)


def ended(reason: object) -> Ended | None:
    """Return what the finish reason of a server means; None if it is not known."""
    if isinstance(reason, dict):
        reason = reason.get("type") or reason.get("reason")
    if not isinstance(reason, str):
        return None
    if (meaning := _MEANING.get(reason)) is not None:
        return meaning
    word = reason.strip().lower().replace("-", "_")
    return _MEANING.get(word) or next((meaning for part, meaning in _PARTS if part.search(word)), None)
