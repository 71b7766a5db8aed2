"""Names of models that pydantic-ai calls: "anthropic:NAME", "google:NAME", "pydantic-ai:PROVIDER:NAME"."""

from __future__ import annotations

from ..base import Model
from ..wrappers.retry import Retry

# Any other provider that pydantic-ai knows is named after this one.
ANY = "pydantic-ai"

# Those that have an API of their own. https://pydantic.dev/docs/ai/models/overview/
PROVIDERS = frozenset({"anthropic", "bedrock", "cohere", "google", "google-cloud", "huggingface"})

FORMS = "anthropic:NAME, google:NAME, bedrock:NAME, pydantic-ai:PROVIDER:NAME"


def is_known(provider: str) -> bool:
    """Return whether models of `provider` are called with pydantic-ai."""
    return provider == ANY or provider in PROVIDERS


def named(model: str) -> Model:
    """Return the model named `model`, such as "anthropic:claude-opus-5-5", with retries.

    Raises:
        ConfigurationError: the name or its key is missing or wrong, or what it needs is not installed.
    """
    from .model import PydanticAIModel

    return Retry(PydanticAIModel(model.removeprefix(f"{ANY}:"), name=model))
