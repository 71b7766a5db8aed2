"""How servers say that a prompt does not fit: their codes and wordings, and the sizes that they name.

Each wording was said by a server; tests/models/test_openai_errors.py has them with their sources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .error_body import ErrorBody

_CODES = frozenset(
    (
        *("context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"),
        *("string_above_max_length", "model_max_prompt_tokens_exceeded", "context_length_error"),
        *("prompt_too_long", "input_too_long", "contextwindowexceedederror", "outofcontexterror"),
    )
)
_N = r"[\[(`~]{0,2}(\d[\d,_]{0,14})"
_OVERFLOW = re.compile(
    "|".join(
        (
            r"maximum context length",
            r"(?:prompt|input|message|request|text|conversation)s?(?: length)? (?:is|are|was) too (?:long|large|big)",
            r"prompt too (?:long|large)",
            r"too large for (?:the |this )?model",
            r"input tokens? (?:count )?.{0,30}exceed",
            r"token count .{0,40}exceed",
            r"exceed\w* .{0,40}(?:context|max(?:imum)? (?:length|number of tokens)|token limit|maximum prompt length)",
            r"(?:context|prompt|input) (?:length|window|size|limit)\W{0,3} .{0,60}exceed",
            r"(?:context (?:length|window|size)|prompt) exceeds?",
            r"reduce (?:the length of|your) (?:the |your )?(?:messages|input|prompt|message size)",
            r"reduce your message size",
            r"maximum prompt length",
            r"longer than (?:the )?(?:model's )?(?:maximum )?(?:context|model)",
            r"(?<!\w)(?:tokens?|inputs?|prompt|sequence|context)\b.{0,60}must (?:be|have) (?:<=|less than)",
            r"must (?:be|have) (?:<=|less than) .{0,12}(?:tokens|max_seq_len)",
            r"range of input length",
            r"context the overflows|context overflow|overflows the context",
            r"too many (?:input )?tokens",
            r"context length of only",
            r"tokens .{0,40}exceed\w* max message tokens",
        )
    ),
    re.IGNORECASE,
)
_NOT_OVERFLOW = re.compile(r"per (?:min|hour|day|second)|rate.?limit", re.IGNORECASE)
_LIMITS = (
    rf"\d \+ \d+ > {_N}",
    rf"context (?:length|window|size|limit)(?: of this model)?(?:\s*(?:is|of|:|=|only|at)){{0,3}} ?{_N}",
    rf"> ?{_N} ?maximum",
    rf"with {_N} maximum context length",
    rf"> {_N}(?:,|\.|\)|$| )",
    rf"maximum number of tokens allowed \(?{_N}",
    rf"max_seq_len \({_N}",
    rf"context length \({_N}",
    rf"maximum (?:prompt|input) length is {_N}",
    rf"must (?:be|have) (?:<=|less than) {_N}",
    rf"exceed\w* (?:the |model )*(?:limit|maximum|token limit)(?: of|:)? {_N}",
    rf"limit (?:is|of) {_N}",
    rf"should be \[\d+, {_N}",
    rf"exceed context window of {_N}",
    rf"max {_N} tokens",
    rf"cannot exceed {_N}",
)
_PROMPTS = (
    rf"\({_N} (?:in the (?:messages|prompt)|of text input)",
    rf"{_N} tokens from the input",
    rf"(?:request|prompt) (?:has|contains) (?:at least )?{_N}(?: input)?",
    rf"messages resulted in {_N}",
    rf"input token count (?:of )?\(?{_N}",
    rf"token count of {_N}",
    rf"prompt is too long: {_N}",
    rf"prompt_tokens \({_N}",
    rf"the input \({_N}",
    rf"(?:input )?prompt \({_N}",
    rf"context limit: {_N}",
    rf"current length is {_N}",
    rf"given: {_N}",
    rf"you requested (?:about )?{_N}",
    rf"keep the first {_N}",
    rf"requested tokens \({_N}",
    rf"request \({_N}",
    rf"exceed \d+ - received {_N}",
)
_LIMIT = tuple(re.compile(each, re.IGNORECASE) for each in _LIMITS)
_PROMPT = tuple(re.compile(each, re.IGNORECASE) for each in _PROMPTS)
# A rate limit that the request alone exceeds: OpenAI and Groq, "tokens per min (TPM): Limit 30000, Requested 49372".
_ACCOUNT = re.compile(rf"\blimit:? {_N}\W.{{0,60}}?\brequested:? {_N}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Overflow:
    """A prompt that does not fit, with the numbers of tokens that the server named.

    Args:
        context_tokens: how many fit.
        prompt_tokens: how many the prompt has.
        of_account: whether it is the account that may not send as many in a minute, and not the model's context.
    """

    context_tokens: int | None = None
    prompt_tokens: int | None = None
    of_account: bool = False


def overflow(error: ErrorBody) -> Overflow | None:
    """Return what does not fit where; None if the error is another."""
    words = error.words
    account = _ACCOUNT.search(words)
    if account is not None:
        limit, requested = _number(account[1]), _number(account[2])
        return Overflow(limit, requested, of_account=True) if requested > limit else None
    named = any(code.lower() in _CODES for code in error.codes)
    if not (named or (_OVERFLOW.search(words) and not _NOT_OVERFLOW.search(words))):
        return None
    context, prompt = error.sizes
    return Overflow(context or _first(_LIMIT, words), prompt or _first(_PROMPT, words))


def _first(patterns: tuple[re.Pattern[str], ...], words: str) -> int | None:
    return next((_number(found[1]) for each in patterns if (found := each.search(words))), None)


def _number(text: str) -> int:
    return int(text.replace(",", "").replace("_", "")[:12] or 0)
