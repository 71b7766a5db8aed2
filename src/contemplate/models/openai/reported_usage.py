"""The tokens and cost that a server reports, under the names of many.

OpenAI, DeepSeek (`prompt_cache_hit_tokens`), Anthropic (`input_tokens`, which excludes cached ones), Ollama
(`prompt_eval_count`), Groq (`x_groq.usage`), Moonshot (within a choice), xAI and Gemini (completion tokens without the
reasoning: https://docs.x.ai/docs/guides/reasoning), Perplexity (`cost.total_cost`), DeepInfra (`estimated_cost`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...usage import Usage
from ..accounting import MOST_TOKENS, NOT_REPORTED
from .completion import mapping, number, whole_number

_INPUT = (
    *("prompt_tokens", "input_tokens", "prompt_eval_count", "inputTokens", "promptTokens", "promptTokenCount"),
    *("inputTokenCount", "prompt_token_count", "input_token_count", "tokens_prompt", "num_prompt_tokens"),
)
_OUTPUT = (
    *("completion_tokens", "output_tokens", "eval_count", "outputTokens", "completionTokens", "candidatesTokenCount"),
    *("outputTokenCount", "completion_token_count", "candidates_token_count", "output_token_count"),
    *("tokens_completion", "num_completion_tokens"),
)
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount")
_CACHED = (
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_input_tokens",
    "cached_prompt_tokens",
    "cache_read_tokens",
    "cachedContentTokenCount",
)
_REASONING = ("reasoning_tokens", "thinking_tokens", "thoughtsTokenCount", "thoughts_token_count")
_COST = ("total_cost", "total", "cost", "estimated_cost")
_COSTS = frozenset(("cost", "estimated_cost", "total_cost", "cost_in_usd_ticks"))
_TICKS_PER_DOLLAR = 1e10
# The fields of a body in which usage may stand.
_NAMES = ("usage", "usageMetadata", "usage_metadata", "token_usage")
_PLACES = frozenset((*_NAMES, "x_groq", "eval_count", "prompt_eval_count"))


class ReportedUsage:
    """The usage of one answer, of which a stream may report more and more; a trailing 0 replaces nothing."""

    def __init__(self) -> None:
        self._reported = self._unreadable = False
        self._counts: dict[str, int] = {}
        self._cost: float | None = None

    def add(self, body: dict[str, Any]) -> None:
        """Add what a response, a chunk or a choice reports."""
        if _PLACES.isdisjoint(body):
            return
        usage = next((body[name] for name in _NAMES if body.get(name) is not None), None)
        if usage is None:
            usage = mapping(body.get("x_groq")).get("usage")
            if usage is None and ("eval_count" in body or "prompt_eval_count" in body):
                usage = body
        if isinstance(usage, dict):
            self._reported = self._reported or any(usage.values())
            self._read(usage)
        elif usage is not None:
            self._unreadable = True

    def notes(self) -> Iterator[str]:
        """Yield what could not be read."""
        if self._unreadable or (self._reported and not self._counts):
            yield "the usage that the server reported cannot be read; it is estimated"

    def _read(self, usage: dict[str, Any]) -> None:
        asked, said = _details(usage, _INPUT_DETAILS), _details(usage, _OUTPUT_DETAILS)
        given, written = _count(usage, _INPUT), _count(usage, _OUTPUT)
        read = _count(usage, _CACHED) or _count(asked, _CACHED)
        if given is not None and "cache_read_input_tokens" in usage and "prompt_tokens" not in usage:
            given += (read or 0) + (_count(usage, ("cache_creation_input_tokens",)) or 0)
        for name, count in (
            ("input", given),
            ("output", written),
            ("total", _count(usage, _TOTAL)),
            ("cached", read),
            ("reasoning", _count(said, _REASONING) or _count(usage, _REASONING)),
        ):
            if count is not None and count > 0:
                self._counts[name] = count
        missing = (*(_INPUT if given is None else ()), *(_OUTPUT if written is None else ()))
        self._unreadable = any(usage.get(name) is not None for name in missing) if missing else False
        cost = _cost(usage)
        self._cost = self._cost if cost is None else cost

    def usage(self, *, reasoning_apart: bool) -> Usage:
        """Return the usage of one call, with -1 for what is not known.

        Args:
            reasoning_apart: whether the reasoning is missing from the completion tokens, where no total shows it.
        """
        counts = self._counts
        given, said = counts.get("input", NOT_REPORTED), counts.get("output", NOT_REPORTED)
        reasoning, total = counts.get("reasoning", 0), counts.get("total", 0)
        if given > 0 and said >= 0 and given + said < total <= MOST_TOKENS:
            # What is in the total but nowhere else, the model has thought.
            reasoning = reasoning or total - given - said
            said = total - given
        elif said >= 0 and (reasoning > said or (reasoning_apart and total != given + said)):
            said += reasoning
        return Usage(
            calls=1,
            input_tokens=given,
            cached_input_tokens=counts.get("cached", 0),
            output_tokens=said,
            reasoning_tokens=reasoning,
            cost_usd=self._cost,
        )


def _details(usage: dict[str, Any], names: tuple[str, str]) -> dict[str, Any]:
    return mapping(usage.get(names[0]) or usage.get(names[1]))


def _count(usage: dict[str, Any], names: Sequence[str]) -> int | None:
    """Return the first count that is not 0, or 0, or None if there is none that can be read."""
    found = None
    if not usage:
        return None
    for name in names:
        if name in usage and (count := whole_number(usage[name])) is not None:
            if count:
                return count
            found = 0
    return found


def _cost(usage: dict[str, Any]) -> float | None:
    if _COSTS.isdisjoint(usage):
        return None
    cost = next((usage[name] for name in ("cost", "estimated_cost", "total_cost") if name in usage), None)
    if isinstance(cost, dict):
        return next((found for name in _COST if (found := number(cost.get(name))) is not None), None)
    ticks = number(usage.get("cost_in_usd_ticks"))
    found = number(cost.strip().lstrip("$") if isinstance(cost, str) else cost)
    return found if found is not None or ticks is None else ticks / _TICKS_PER_DOLLAR
