"""Resolve model names: "openai:gpt-5", "local:qwen2.5-coder-1.5b", "ollama:llama3.2", "http://host/v1#NAME"."""

from __future__ import annotations

import os

from ..errors import ConfigurationError
from .base import Model
from .redaction import shown_url
from .wrappers.retry import Retry

DEFAULT_LOCAL = "local:qwen2.5-coder-1.5b"
DEFAULT_OPENAI = "openai:gpt-5-mini"
OLLAMA_URL = "http://localhost:11434/v1"

FORMS = "openai:NAME, local:NAME, local:/path/to.gguf, ollama:NAME, anthropic:NAME, google:NAME, or http://host/v1#NAME"


def default_name() -> str:
    """Return the name of the default model: OpenAI's if `OPENAI_API_KEY` is set, else a local one.

    `CONTEMPLATE_MODEL` overrides both.
    """
    named = os.environ.get("CONTEMPLATE_MODEL")
    if named:
        return named
    return DEFAULT_OPENAI if os.environ.get("OPENAI_API_KEY") else DEFAULT_LOCAL


def resolve(model: str | Model | None) -> Model:
    """Return the model named `model`, with retries. A model object is returned unchanged; None means the default model.

    Raises:
        ConfigurationError: the name has no known form, or the model cannot be set up.
    """
    if model is None:
        model = default_name()
    if not isinstance(model, str):
        return model
    return _named(model)


def _named(model: str) -> Model:
    provider, _, name = model.partition(":")
    if provider in ("http", "https"):
        return _endpoint(model)
    if not name:
        raise ConfigurationError(f"model {model!r} has no provider prefix", hint=f"known forms: {FORMS}")
    if provider == "openai":
        from .openai import OpenAIModel

        return Retry(OpenAIModel(name))
    if provider == "ollama":
        from .openai import OpenAIModel

        url = os.environ.get("OLLAMA_BASE_URL", OLLAMA_URL)
        return Retry(OpenAIModel(name, base_url=url, api_key="ollama", name=model))
    if provider == "local":
        from .local import LocalModel

        # It has its own retries.
        return LocalModel(name)
    from . import pydantic_ai

    if pydantic_ai.is_known(provider):
        return pydantic_ai.named(model)
    raise ConfigurationError(f"model {shown_url(model)!r}: unknown provider {provider!r}", hint=f"known forms: {FORMS}")


def _endpoint(url: str) -> Model:
    from .openai import OpenAIModel

    base_url, _, name = url.partition("#")
    if not name:
        raise ConfigurationError(f"model {shown_url(url)!r} has no model name", hint="write http://host/v1#NAME")
    return Retry(
        OpenAIModel(name, base_url=base_url, api_key=os.environ.get("CONTEMPLATE_API_KEY"), name=shown_url(url))
    )
