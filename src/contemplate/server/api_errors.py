"""Errors, in the form that the API gives them: a status, a message for people, a code for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError
from starlette.responses import Response

from ..decisions import PendingCall
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
from .chat_schema import UNSUPPORTED, ApiError, ErrorBody

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


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error, ready to be sent."""

    status: int
    error: ApiError
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """Return the error as JSON."""
        return ErrorBody(error=self.error).model_dump_json().encode()

    def response(self) -> Response:
        """Return the error as a response."""
        return Response(self.body, self.status, self.headers, "application/json")


class RequestError(Exception):
    """Raised when a request is not carried out; `reply` is what the client gets."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply.error.message)
        self.reply = reply


def invalid_request(
    message: str, *, status: int = 400, param: str | None = None, code: str | None = None
) -> RequestError:
    """Return the error for a request that the client should not have made."""
    error = ApiError(message=message, type="invalid_request_error", param=param, code=code)
    return RequestError(ErrorReply(status, error))


def invalid_body(error: ValidationError) -> RequestError:
    """Return the error for a body that is not a request; it names the first field at fault."""
    first = error.errors(include_url=False, include_input=False)[0]
    param = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in first["loc"]).lstrip(".")
    code = UNSUPPORTED if first["type"] == UNSUPPORTED else None
    return invalid_request(f"{param or 'the body'}: {first['msg']}", param=param or None, code=code)


def run_error(error: ContemplateError) -> ErrorReply:
    """Return the error for a run that ended without an answer.

    The official clients ask again by themselves after such a status, and would pay for the whole run once more, though
    every call that may pass was already made again. The header tells them not to.
    """
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {"x-should-retry": "false"}
    if isinstance(error, ModelError) and error.retry_after is not None:
        headers["retry-after"] = str(round(error.retry_after))
    kind = "rate_limit_error" if status == 429 else "server_error"
    return ErrorReply(status, ApiError(message=redact(str(error)), type=kind, code=type(error).__name__), headers)


def waits(pending: Sequence[PendingCall]) -> ErrorReply:
    """Return the error for a run that waits for decisions on tool calls, which no client can give here."""
    calls = "; ".join(f"{call.tool} ({call.id})" for call in pending)
    message = f"run {pending[0].run_id} waits for decisions on tool calls, which this endpoint cannot take: {calls}"
    return server_error(redact(message), status=501, code="run_suspended")


def server_error(message: str, *, status: int = 500, code: str) -> ErrorReply:
    """Return the error for what went wrong in the server itself."""
    return ErrorReply(status, ApiError(message=message, type="server_error", code=code), {"x-should-retry": "false"})
