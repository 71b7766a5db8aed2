"""Errors: a status, a message for people, a code for programs. Each dialect has a form of its own for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from ..errors import (
    AggregationError,
    ContemplateError,
    LimitExceeded,
    ModelError,
    ModelRateLimitError,
    ModelTimeoutError,
    OutputError,
    ProgramError,
    ToolServerError,
)
from ..models.redaction import redact

INTERNAL = "the server failed; its log says why"

_STATUS: tuple[tuple[type[ContemplateError], int], ...] = (
    (ModelRateLimitError, 429),
    (ModelTimeoutError, 504),
    (ModelError, 502),
    (AggregationError, 502),
    (OutputError, 502),
    (ProgramError, 502),
    (ToolServerError, 502),
    (LimitExceeded, 503),
)


# The type of the error of a body that asks for what is not supported.
UNSUPPORTED = "unsupported_parameter"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer.

    Args:
        status: of HTTP.
        message: for people.
        type: the kind of error, as OpenAI calls it.
        param: the field of the request that is at fault.
        code: for programs.
        headers: more headers of the response.
    """

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RequestError(Exception):
    """Raised when a request is not carried out; `failure` is what the client is told."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def invalid_request(
    message: str, *, status: int = 400, param: str | None = None, code: str | None = None
) -> RequestError:
    """Return the error for a request that the client should not have made."""
    return RequestError(Failure(status, message, "invalid_request_error", param, code))


def invalid_body(error: ValidationError) -> RequestError:
    """Return the error for a body that is not a request; it names the first field at fault."""
    first = error.errors(include_url=False, include_input=False)[0]
    param = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in first["loc"]).lstrip(".")
    code = UNSUPPORTED if first["type"] == UNSUPPORTED else None
    return invalid_request(f"{param or 'the body'}: {first['msg']}", param=param or None, code=code)


def run_error(error: ContemplateError) -> Failure:
    """Return the error for a run that ended without an answer.

    The official clients ask again by themselves after such a status, and would pay for the whole run once more, though
    every call that may pass was already made again. The header tells them not to.
    """
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {"x-should-retry": "false"}
    if isinstance(error, ModelError) and error.retry_after is not None:
        headers["retry-after"] = str(round(error.retry_after))
    kind = "rate_limit_error" if status == 429 else "server_error"
    return Failure(status, redact(str(error)), kind, None, type(error).__name__, headers)


def server_error(message: str, *, status: int = 500, code: str) -> Failure:
    """Return the error for what went wrong in the server itself."""
    return Failure(status, message, "server_error", None, code, {"x-should-retry": "false"})
