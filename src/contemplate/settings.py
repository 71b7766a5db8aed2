"""Settings of a model call, independent of any provider."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from .data import Data


class ModelSettings(Data):
    """Settings of one call. None leaves the choice to the provider.

    Args:
        temperature: 0 is greedy.
        top_p: nucleus sampling, (0, 1].
        max_tokens: the most tokens the model may write, reasoning included.
        seed: makes sampling repeatable where the provider can.
        stop: strings at which the model stops.
        reasoning_effort: for reasoning models.
        logprobs: how many alternatives to report for each token; 0 reports only the chosen one.
        timeout: the most seconds for a call.
        first_token_timeout: the most seconds until a stream delivers the first piece of the answer.
        idle_timeout: the most seconds between two pieces of a stream.
        extra: additional fields of the request's body, passed through unchanged.
    """

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    logprobs: int | None = Field(default=None, ge=0, le=20)
    timeout: float | None = Field(default=None, gt=0)
    first_token_timeout: float | None = Field(default=None, gt=0)
    idle_timeout: float | None = Field(default=None, gt=0)
    extra: dict[str, JsonValue] | None = None

    def over(self, base: ModelSettings | None) -> ModelSettings:
        """Return these settings, with those of `base` where these are not set."""
        if base is None or not base.model_fields_set:
            return self
        said = {name: value for name in self.model_fields_set if (value := getattr(self, name)) is not None}
        return base.model_copy(update=said) if said else base
