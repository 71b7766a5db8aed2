"""How much fits into a model's context, and which prompts are known not to fit."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelContextError
from .base import Model, ModelRequest
from .tokens import request_tokens

# Hardly a text has more than six bytes per token; where a prompt was measured, others like it are near.
LEAST_PER_ESTIMATE = 0.5
NEAR = 0.9


@dataclass(frozen=True, slots=True)
class ContextSize:
    """How much fits into a model's context.

    Args:
        tokens: the model's tokens that fit, prompt and answer together.
        per_estimate: how many of them a prompt had for each that was estimated; None if unknown.
    """

    tokens: int
    per_estimate: float | None = None


def context_of(model: Model) -> ContextSize | None:
    """Return how much fits into `model`'s context, or None if it has no attribute `context_size`."""
    size = getattr(model, "context_size", None)
    return size if isinstance(size, ContextSize) else None


def check_fit(model: Model, request: ModelRequest) -> None:
    """Refuse a prompt as `model` would, where it is known that it does not fit.

    Raises:
        ModelContextError: it does not, by a margin, as an estimate may be far too high.
    """
    context = context_of(model)
    if context is None:
        return
    size, measured = request_tokens(request), context.per_estimate
    if size * (measured * NEAR if measured else LEAST_PER_ESTIMATE) <= context.tokens:
        return
    error = ModelContextError(
        f"the prompt of about {size:,} tokens does not fit into the context of {context.tokens:,}", model=model.name
    )
    error.context_tokens = context.tokens
    error.prompt_tokens = round(size * measured) if measured else None
    raise error
