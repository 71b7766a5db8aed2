"""The log-probabilities of an answer's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ...messages import TokenLogprob
from .completion import mapping


def read_logprobs(logprobs: object) -> list[TokenLogprob]:
    """Return the tokens of a choice: OpenAI's `content`, or the lists of the older completions API.

    Raises:
        ValueError: they cannot be read.
    """
    found = mapping(logprobs)
    content = found.get("content")
    if isinstance(content, list):
        return [_token(entry) for entry in content]
    tokens, values = found.get("tokens"), found.get("token_logprobs")
    if isinstance(tokens, list) and isinstance(values, list) and len(tokens) == len(values):
        return [_token({"token": token, "logprob": value}) for token, value in zip(tokens, values, strict=True)]
    if found and content is None:
        return []
    raise ValueError("the log-probabilities have an unknown form")


def _token(entry: Any) -> TokenLogprob:
    match entry:
        case {"token": str(token), "logprob": int() | float() as logprob}:
            others = entry.get("top_logprobs")
            top = {
                other["token"]: float(other["logprob"])
                for other in (others if isinstance(others, list) else ())
                if isinstance(other, dict) and isinstance(other.get("token"), str) and _is_number(other.get("logprob"))
            }
            return TokenLogprob(token=token, logprob=logprob, top=top)
        case _:
            raise ValueError("an entry of the log-probabilities is none")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def tokens_of(text: str, tokens: Sequence[TokenLogprob]) -> tuple[TokenLogprob, ...]:
    """Return those of `tokens` that `text`, the answer at their end, consists of, without those of thoughts before it.

    All of them, if they do not spell it: a token may be half a character.
    """
    written = "".join(each.token for each in tokens)
    start = written.rfind(text)
    if not text or start < 0:
        return tuple(tokens)
    ends = accumulate(len(each.token) for each in tokens)
    return tuple(
        each
        for each, end in zip(tokens, ends, strict=True)
        if end > start and end - len(each.token) < start + len(text)
    )
