"""Convert the failures of a call to `ModelError`s."""

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
from .transport import BadStatus, NotConnected, Redirected, TransportFailure

MAX_MESSAGE = 500


def model_error(error: TransportFailure | BadCompletion, model: str, account: Account) -> ModelError:
    """Return the `ModelError` subclass for `error`, with secrets removed from its message."""
    if isinstance(error, BadStatus):
        return _status_error(error, model, account)
    if isinstance(error, Redirected):
        message = f"HTTP {error.status}: {account.place} redirects to {_clean(error.place, account)}"
        return ModelRequestError(message, model=model, status=error.status, hint=error.hint)
    if isinstance(error, NotConnected):
        return ModelConnectionError(
            f"no connection to {account.place}: {_clean(_cause(error), account)}",
            model=model,
            hint=_connection_hint(error),
        )
    if isinstance(error, TransportFailure | CutOff):
        return ModelConnectionError(
            f"the connection to {account.place} broke off: {_clean(_cause(error), account)}", model=model
        )
    if isinstance(error, ReportedError):
        return ModelServerError(_clean(str(error), account), model=model)
    return ModelResponseError(
        str(error), model=model, hint=f"is {account.place} the base URL of a chat completions API?"
    )


def _connection_hint(error: BaseException) -> str:
    if "certificate verify failed" in _cause(error).lower():
        return "for an authority of your own: connection=Connection(verify='ca.pem')"
    return "is the server running, and the URL correct?"


def _status_error(error: BadStatus, model: str, account: Account) -> ModelError:
    status, after = error.status, retry_after(error.headers)
    message = f"HTTP {status}: {_clean(_message(error.body) or _phrase(status), account)}"
    if status in (401, 403):
        return ModelAuthError(message, model=model, status=status, hint="check the API key and its permissions")
    if status == 429:
        after = until_reset(error.headers) if after is None else after
        return ModelRateLimitError(message, model=model, status=status, retry_after=after)
    if status == 404:
        hint = f"does {account.place} serve this model?"
        return ModelRequestError(message, model=model, status=status, hint=hint)
    if status >= 500 or status in (408, 409):
        return ModelServerError(message, model=model, status=status, retry_after=after)
    return ModelRequestError(message, model=model, status=status)


def _message(body: bytes) -> str | None:
    """Return the message in an error's body: OpenAI's `{"error": {"message": ...}}`, or a variant of it."""
    try:
        data = json.loads(body)
    except ValueError:
        return None
    error = data.get("error", data) if isinstance(data, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return error if isinstance(error, str) else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"


def _cause(error: BaseException) -> str:
    """Return the message of the root cause of `error`."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split()) or type(error).__name__


def _clean(message: str, account: Account) -> str:
    """Return `message` on one line, shortened, without secrets."""
    flat = " ".join(redact(message, *account.secrets).split())
    return flat if len(flat) <= MAX_MESSAGE else flat[:MAX_MESSAGE] + "..."
