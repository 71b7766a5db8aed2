"""Convert the failures of a call to `ModelError`s."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from ...errors import (
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelRequestError,
    ModelResponseError,
    ModelServerError,
)
from ...redaction import redact
from .completion import BadCompletion, CutOff, GivenUp, ReportedError
from .context_overflow import overflow
from .endpoint import Endpoint
from .error_body import ErrorBody, error_body
from .error_codes import is_about_key, is_quota, status_of
from .retry_after import retry_after, until_reset
from .transport import BadStatus, NotConnected, Redirected, TransportFailure

MAX_MESSAGE = 500
# Timeout, Conflict, Too Early, and Groq's "capacity exceeded": the same request may succeed later.
_MAY_PASS = (408, 409, 425, 498)
# "No endpoints found that support tool use", OpenRouter says of models that it serves.
_NOT_THE_MODEL = re.compile(r"\bsupport|parameters|policy", re.IGNORECASE)


def model_error(error: TransportFailure | BadCompletion, model: str, account: Endpoint) -> ModelError:
    """Return the `ModelError` subclass for `error`, with secrets removed from its message."""
    if isinstance(error, BadStatus):
        told = error_body(error.body)
        words = told.words or (told.codes[0] if told.codes else _phrase(error.status))
        message = f"HTTP {error.status}: {_clean(words, account)}"
        return _told(told, message, error.status, error.headers, model, account)
    if isinstance(error, ReportedError):
        told = error_body(error.body)
        words = told.words or (told.codes[0] if told.codes else str(error))
        return _told(told, _clean(words, account), status_of(told), {}, model, account)
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
    if isinstance(error, GivenUp):
        return ModelServerError(_clean(str(error), account), model=model)
    return ModelResponseError(
        _clean(str(error), account), model=model, hint=f"is {account.place} the base URL of a chat completions API?"
    )


def _connection_hint(error: BaseException) -> str:
    if "certificate verify failed" in _cause(error).lower():
        return "for an authority of your own: connection=Connection(verify='ca.pem')"
    return "is the server running, and the URL correct?"


def _told(
    told: ErrorBody, message: str, status: int | None, headers: Mapping[str, str], model: str, account: Endpoint
) -> ModelError:
    """Return the error that a server told, by its status or, where that says too little, by its code and words.

    Args:
        told: what the server says.
        message: the words for people.
        status: the HTTP status, or what takes its place in a response without an error's status.
        headers: the headers of the response.
        model: the model's name.
        account: the endpoint.
    """
    code = told.codes[0] if told.codes else None
    kind: type[ModelError] = _kind(told, status)
    if kind is ModelRequestError and (sizes := overflow(told)) is not None:
        too_long = ModelContextError(
            message, model=model, status=status, code=code, hint="shorten the prompt, or lower max_tokens"
        )
        too_long.context_tokens, too_long.prompt_tokens = sizes.context_tokens, sizes.prompt_tokens
        return too_long
    after = hint = None
    if kind.transient:
        after = retry_after(headers)
        if after is None and status == HTTPStatus.TOO_MANY_REQUESTS:
            after = told.wait if told.wait is not None else until_reset(headers)
        elif after is None:
            after = told.wait
    elif kind is ModelAuthError:
        hint = "check the API key and its permissions"
    elif kind is ModelQuotaError:
        hint = f"check the plan and billing of the account at {account.place}"
    elif status == HTTPStatus.NOT_FOUND and _NOT_THE_MODEL.search(told.words) is None:
        hint = f"does {account.place} serve this model?"
    return kind(message, model=model, hint=hint, status=status, retry_after=after, code=code)


def _kind(told: ErrorBody, status: int | None) -> type[ModelError]:
    if is_quota(told, status):
        return ModelQuotaError
    if overflow(told) is not None:
        # Whatever the status: llama.cpp says 500, Groq 413, and OpenAI 429 of what exceeds a minute's tokens.
        return ModelRequestError
    if status in (401, 403) or (status == HTTPStatus.BAD_REQUEST and is_about_key(told)):
        return ModelAuthError
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ModelRateLimitError
    # An error without a status or a known code may pass.
    if status is None or (status >= 500 and status != HTTPStatus.NOT_IMPLEMENTED) or status in _MAY_PASS:
        return ModelServerError
    return ModelRequestError


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


def _clean(message: str, account: Endpoint) -> str:
    """Return `message` on one line, shortened, without secrets."""
    flat = " ".join(redact(message, *account.secrets).split())
    return flat if len(flat) <= MAX_MESSAGE else flat[:MAX_MESSAGE] + "..."
