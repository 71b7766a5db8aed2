"""Usage and prices: tokens and USD."""

from __future__ import annotations

from pydantic import Field

from .data import Data


class Usage(Data):
    """The number of calls, their tokens and their cost. Usages can be added and subtracted.

    `cached_input_tokens` is the part of `input_tokens` read from a prefix cache, `reasoning_tokens` the hidden part of
    `output_tokens`. `cost_usd` is None if no price is known; a sum of known and unknown costs is unknown.
    """

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = 0.0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        # Sums of numbers that were checked; one or two are made for each call.
        return Usage._unchecked(
            {
                "calls": self.calls + other.calls,
                "input_tokens": self.input_tokens + other.input_tokens,
                "cached_input_tokens": self.cached_input_tokens + other.cached_input_tokens,
                "output_tokens": self.output_tokens + other.output_tokens,
                "reasoning_tokens": self.reasoning_tokens + other.reasoning_tokens,
                "cost_usd": None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd,
            }
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls - other.calls,
            input_tokens=self.input_tokens - other.input_tokens,
            cached_input_tokens=self.cached_input_tokens - other.cached_input_tokens,
            output_tokens=self.output_tokens - other.output_tokens,
            reasoning_tokens=self.reasoning_tokens - other.reasoning_tokens,
            cost_usd=None if self.cost_usd is None or other.cost_usd is None else self.cost_usd - other.cost_usd,
        )


NOTHING = Usage()


class Price(Data):
    """A model's prices, in USD per million tokens. `cached_input` None: the same as `input`."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)

    def cost(self, usage: Usage) -> float:
        """Return the cost of `usage`, in USD."""
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = usage.input_tokens - usage.cached_input_tokens
        return (fresh * self.input + usage.cached_input_tokens * cached + usage.output_tokens * self.output) / 1e6

    def priced(self, usage: Usage) -> Usage:
        """Return `usage` with its cost filled in, unless it has one."""
        return usage if usage.cost_usd is not None else usage.model_copy(update={"cost_usd": self.cost(usage)})


FREE = Price(input=0, output=0)
