"""How a model is asked, in terms that every provider knows."""

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
        stop: texts at which the model stops.
        reasoning_effort: for reasoning models.
        logprobs: how many alternatives to report for each token; 0 reports only the chosen one.
        timeout: seconds until a call is given up.
        first_token_timeout: seconds until a stream is given up that has brought nothing of the answer yet.
        idle_timeout: seconds until a stream is given up that has brought nothing more.
        extra: further fields of the request's body, passed through as they are.
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
        """These settings, with `base` where they say nothing."""
        if base is None or not base.model_fields_set:
            return self
        said = {name: value for name in self.model_fields_set if (value := getattr(self, name)) is not None}
        return base.model_copy(update=said) if said else base
