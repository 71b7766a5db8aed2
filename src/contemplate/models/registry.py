"""Resolve model names: "openai:gpt-5", "groq:NAME", "local:qwen2.5-coder-1.5b", "http://host/v1#NAME"."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..redaction import shown_url
from .base import Model
from .wrappers.retry import Retry

if TYPE_CHECKING:
    from .openai.hosts import Host

DEFAULT_LOCAL = "local:qwen2.5-coder-1.5b"
DEFAULT_OPENAI = "openai:gpt-5-mini"

FORMS = (
    "openai:NAME, groq:NAME or another provider's, local:NAME, local:/path/to.gguf, ollama:NAME, http://host/v1#NAME"
)


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
        missing = "names no model after its provider" if model.endswith(":") else "has no provider prefix"
        raise ConfigurationError(f"model {model!r} {missing}", hint=f"known forms: {FORMS}")
    if provider == "openai":
        from .openai import OpenAIModel

        return Retry(OpenAIModel(name))
    if provider == "local":
        from .local import LocalModel

        # It has its own retries.
        return LocalModel(name)
    from .openai.hosts import host_named

    host = host_named(provider)
    if host is not None:
        return Retry(_at(host, name, model))
    from . import pydantic_ai

    if pydantic_ai.is_known(provider):
        return pydantic_ai.named(model)
    raise _unknown(model, provider)


def _at(host: Host, name: str, model: str) -> Model:
    """Return the model `name` of a provider, with the address and the key that the environment holds."""
    from .openai import OpenAIModel

    url = os.environ.get(host.url_variable) or host.url
    if url is None:
        raise ConfigurationError(
            f"{model} needs the address of your endpoint, and {host.url_variable} is not set",
            hint=f"export {host.url_variable}=https://...",
        )
    key = os.environ.get(host.key_variable)
    if host.needs_key and not key and url == host.url:
        raise ConfigurationError(
            f"{model} needs an API key, and {host.key_variable} is not set", hint=f"export {host.key_variable}=..."
        )
    url = host.completed(url)
    return OpenAIModel(name, base_url=url, api_key=key or "none", name=model, profile=host.profile_of(name))


def _unknown(model: str, provider: str) -> ConfigurationError:
    from difflib import get_close_matches

    from . import pydantic_ai
    from .openai.hosts import ALIASES, HOSTS

    known = [*(host.name for host in HOSTS), *sorted(pydantic_ai.PROVIDERS)]
    near = get_close_matches(provider.lower(), [*known, *ALIASES, "local"], n=3)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return ConfigurationError(
        f"model {shown_url(model)!r}: unknown provider {provider!r}",
        hint=f"{meant}providers: {', '.join(known)}; other forms: local:NAME, http://host/v1#NAME",
    )


def _endpoint(url: str) -> Model:
    from .openai import OpenAIModel

    base_url, _, name = url.partition("#")
    if not name:
        raise ConfigurationError(f"model {shown_url(url)!r} has no model name", hint="write http://host/v1#NAME")
    return Retry(
        OpenAIModel(name, base_url=base_url, api_key=os.environ.get("CONTEMPLATE_API_KEY"), name=shown_url(url))
    )
