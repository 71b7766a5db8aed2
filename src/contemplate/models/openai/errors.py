"""From what went wrong with a call to our `ModelError`s: the only place that knows both."""

from __future__ import annotations

import json
from http import HTTPStatus

from ...errors import (
    ModelAuthError,
    ModelConnectionError,
    ModelError,
    ModelRateLimitError,
    ModelRequestError,
    ModelResponseError,
    ModelServerError,
)
from ..redaction import redact
from .account import Account
from .completion import BadCompletion, CutOff, ReportedError
from .retry_after import retry_after, until_reset
from .transport import BadStatus, NotConnected, TransportFailure

MAX_MESSAGE = 500


def model_error(error: TransportFailure | BadCompletion, model: str, account: Account) -> ModelError:
    """Return our error for `error`, without secrets, in the subclass that says what happened."""
    if isinstance(error, BadStatus):
        return _status_error(error, model, account)
    if isinstance(error, NotConnected):
        return ModelConnectionError(
            f"no connection to {account.place}: {_told(_cause(error), account)}",
            model=model,
            hint="is the server up, the URL right?",
        )
    if isinstance(error, TransportFailure | CutOff):
        return ModelConnectionError(f"{account.place} broke off: {_told(_cause(error), account)}", model=model)
    if isinstance(error, ReportedError):
        return ModelServerError(_told(str(error), account), model=model)
    return ModelResponseError(
        str(error), model=model, hint=f"is {account.place} the base URL of a chat completions API?"
    )


def _status_error(error: BadStatus, model: str, account: Account) -> ModelError:
    status, after = error.status, retry_after(error.headers)
    said = f"HTTP {status}: {_told(_message(error.body) or _phrase(status), account)}"
    if status in (401, 403):
        return ModelAuthError(said, model=model, status=status, hint="check the API key, and what it may use")
    if status == 429:
        after = until_reset(error.headers) if after is None else after
        return ModelRateLimitError(said, model=model, status=status, retry_after=after)
    if status == 404:
        hint = f"does {account.place} serve this model?"
        return ModelRequestError(said, model=model, status=status, hint=hint)
    if status >= 500 or status in (408, 409):
        return ModelServerError(said, model=model, status=status, retry_after=after)
    return ModelRequestError(said, model=model, status=status)


def _message(body: bytes) -> str | None:
    """What an error's body says: OpenAI's `{"error": {"message": ...}}`, or what others make of it."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    error = said.get("error", said) if isinstance(said, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return error if isinstance(error, str) else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no success"


def _cause(error: BaseException) -> str:
    """What is at the bottom of `error`, in its own words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split()) or type(error).__name__


def _told(message: str, account: Account) -> str:
    """`message` in one line that is not too long, without secrets."""
    flat = " ".join(redact(message, *account.secrets).split())
    return flat if len(flat) <= MAX_MESSAGE else flat[:MAX_MESSAGE] + "..."
