"""Settings of a model call, independent of any provider."""

from __future__ import annotations

from hashlib import blake2s
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
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
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


def derived_seed(seed: int | None, path: str, number: int) -> int:
    """Return the seed of sample `number` of a question or task.

    Seeds derived from different seeds, or for different tasks, have nothing in common. Without a seed it is the number
    itself.

    Args:
        seed: the seed given by the user, if any.
        path: the path of the run in which the samples are drawn; "" for the outermost.
        number: the sample's number, from 0.
    """
    if seed is None:
        return number
    digest = blake2s(f"{seed}/{path}/{number}".encode(errors="surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest) & 0x7FFF_FFFF
