"""Convert what pydantic-ai and the clients of providers raise to our errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import sniffio
from pydantic_ai import exceptions as foreign
from pydantic_ai.models import Model as ForeignModel

from ...errors import (
    ConfigurationError,
    ContemplateError,
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelRateLimitError,
    ModelRequestError,
    ModelResponseError,
    ModelServerError,
    ModelTimeoutError,
    sole,
)
from ...redaction import redact
from ..openai.context_overflow import overflow
from ..openai.error_body import ErrorBody, error_body
from .response import Broken, IncompleteResponse

MAX_MESSAGE = 500

# The first that fits counts.
_KINDS: tuple[tuple[type[Exception], type[ModelError]], ...] = (
    (foreign.ModelContextWindowExceededError, ModelContextError),
    (foreign.ModelAuthenticationError, ModelAuthError),
    (foreign.ModelRateLimitError, ModelRateLimitError),
    (foreign.ModelQuotaExceededError, ModelRateLimitError),
    (foreign.ModelUnavailableError, ModelServerError),
    (foreign.ModelServerError, ModelServerError),
    (foreign.ModelTimeoutError, ModelTimeoutError),
    (foreign.ModelRequestTimeout, ModelTimeoutError),
    (foreign.ModelConnectionError, ModelConnectionError),
    (foreign.ModelRequestRejectedError, ModelRequestError),
    (foreign.UserError, ModelRequestError),
    (IncompleteResponse, ModelConnectionError),
    (Broken, ModelServerError),
)
_HINTS: dict[type[Exception], str] = {
    foreign.ModelAuthenticationError: "check the API key and its permissions",
    foreign.ModelQuotaExceededError: "the account's quota or credit is used up",
    foreign.ModelNotFoundError: "does the provider have this model?",
}
_TRANSIENT = frozenset({408, 409, 425, 500, 502, 503, 504, 529})
# Where the class of the error does not say it.
_BY_STATUS: dict[object, type[ModelError]] = {
    **dict.fromkeys((400, 404, 405, 413, 422), ModelRequestError),
    **dict.fromkeys((401, 403), ModelAuthError),
    429: ModelRateLimitError,
}
_NUMBER = re.compile(r"\d[\d,]{2,}")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)
_GROUP = re.compile(r"pydantic-ai-slim\[[\w-]+\]")
_VARIABLE = re.compile(r"[Ss]et the `(\w+)` environment variable")


def error_of(error: Exception, name: str, model: ForeignModel) -> ContemplateError:
    """Return the error of ours for `error`, with the server's words and without secrets.

    Args:
        error: what was raised.
        name: the name of the model.
        model: the model.
    """
    error = _last(error)
    if isinstance(error, ContemplateError):
        return error
    if isinstance(error, RuntimeError) and "event loop" in str(error) and _library() != "asyncio":
        return ConfigurationError(
            f"{name} cannot be called on {_library()}: its provider's client needs asyncio", hint="run it on asyncio"
        )
    status = getattr(error, "status_code", None)
    kind = next(
        (ours for theirs, ours in _KINDS if isinstance(error, theirs)), _BY_STATUS.get(status, ModelResponseError)
    )
    if status in _TRANSIENT and not issubclass(kind, ModelRateLimitError):
        kind = ModelServerError
    if kind is ModelRequestError and overflow(_told(error)) is not None:
        kind = ModelContextError
    words = _clean(_words(error), model)
    if kind is ModelResponseError:
        words = f"{type(error).__name__}: {words}"
    result = kind(
        f"HTTP {status}: {words}" if status else words,
        model=name,
        hint=next((hint for theirs, hint in _HINTS.items() if isinstance(error, theirs)), None),
        status=status,
        retry_after=getattr(error, "retry_after", None),
        code=getattr(error, "provider_error_code", None) or getattr(error, "provider_error_type", None),
    )
    if isinstance(error, foreign.ModelQuotaExceededError):
        # Waiting brings no credit.
        result.transient = False
    if isinstance(result, ModelContextError):
        result.context_tokens, result.prompt_tokens = _sizes(words)
    return result


def setup_error(error: Exception, name: str) -> ConfigurationError:
    """Return the error for a model that cannot be made."""
    words = redact(" ".join(str(error).split()), *_secrets_of_environment())
    if isinstance(error, ImportError):
        group = _GROUP.search(str(error))
        return ConfigurationError(
            f"{name} needs packages that are not installed", hint=f"pip install '{group[0]}'" if group else words
        )
    variable = _VARIABLE.search(words)
    if variable is not None:
        # Its own words go on about what is to be written in its own code.
        return ConfigurationError(
            f"{name} needs an API key, and {variable[1]} is not set", hint=f"export {variable[1]}=..."
        )
    return ConfigurationError(f"{name}: {words}")


def _last(error: Exception) -> Exception:
    """Return the error that ended a call; a model that falls back on others raises all of theirs."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[-1]
    inner = sole(error)
    return inner if isinstance(inner, Exception) else error


def _library() -> str:
    return sniffio.current_async_library()


def _words(error: Exception) -> str:
    """Return the server's own words in an error's body; else those of the error."""
    if isinstance(error, IncompleteResponse):
        return "the connection broke off: the response ended before it was complete"
    if isinstance(error, Broken):
        return f"the model ended with an error: {error}"
    if told := _told(error).words:
        return told
    if isinstance(error, foreign.ModelConnectionError | foreign.ModelTimeoutError):
        return f"no answer from the provider: {_cause(error)}"
    return str(getattr(error, "message", "") or error) or type(error).__name__


def _told(error: Exception) -> ErrorBody:
    """Return what the server said: clients keep it parsed, as a text or as bytes."""
    return error_body(getattr(error, "body", None) or "")


def _cause(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__


def _sizes(words: str) -> tuple[int | None, int | None]:
    """Return how many tokens fit, and how many the prompt has: in whatever order they are told, fewer fit."""
    numbers = sorted({int(number.replace(",", "")) for number in _NUMBER.findall(words)})
    if "+" in words or len(numbers) != 2:
        return (numbers[-1] if numbers else None), None
    return numbers[0], numbers[1]


def _clean(words: str, model: ForeignModel) -> str:
    """Return `words` on one line, shortened, without secrets."""
    flat = " ".join(redact(words, *_secrets_of(model), *_secrets_of_environment()).split())
    return flat if len(flat) <= MAX_MESSAGE else flat[:MAX_MESSAGE] + "..."


def _secrets_of(model: ForeignModel) -> Iterator[str]:
    """Yield the keys of a model's client, as far as they can be found: clients keep them in different places."""
    client = getattr(model.provider, "client", None)
    for place in (client, getattr(client, "_api_client", None)):
        for name in ("api_key", "auth_token", "token"):
            value = getattr(place, name, None)
            if isinstance(value, str):
                yield value


def _secrets_of_environment() -> Iterator[str]:
    return (value for name, value in os.environ.items() if _SECRET_NAME.search(name))
