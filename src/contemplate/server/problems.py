"""Errors, in the form that the API gives them: a status, a message for people, a code for programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError
from starlette.responses import Response

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
from .wire import UNSUPPORTED, ApiError, ErrorBody

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
_SECRET = re.compile(r"(?<=://)[^/@\s]+(?=@)|\b(?:sk|rk|pk)-[\w*-]{6,}|(?<=bearer )\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error, ready to be sent."""

    status: int
    error: ApiError
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The error as JSON."""
        return ErrorBody(error=self.error).model_dump_json().encode()

    def response(self) -> Response:
        """The error as a response."""
        return Response(self.body, self.status, self.headers, "application/json")


class Refused(Exception):
    """Raised when a request is not carried out."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.error.message)
        self.problem = problem


def refused(message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> Refused:
    """The error for a request that the client should not have made."""
    return Refused(Problem(status, ApiError(message=message, type="invalid_request_error", param=param, code=code)))


def bad_body(error: ValidationError) -> Refused:
    """The error for a body that is no request; it names the first field at fault."""
    first = error.errors(include_url=False, include_input=False)[0]
    param = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in first["loc"]).lstrip(".")
    code = UNSUPPORTED if first["type"] == UNSUPPORTED else None
    return refused(f"{param or 'the body'}: {first['msg']}", param=param or None, code=code)


def failed_run(error: ContemplateError) -> Problem:
    """The error for a run that ended without an answer.

    The official clients ask again by themselves after such a status, and would pay for the whole run once more, though
    every call that may pass was already made again. The header tells them not to.
    """
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {"x-should-retry": "false"}
    if isinstance(error, ModelError) and error.retry_after is not None:
        headers["retry-after"] = str(round(error.retry_after))
    kind = "rate_limit_error" if status == 429 else "server_error"
    return Problem(status, ApiError(message=safe(str(error)), type=kind, code=type(error).__name__), headers)


def broken(message: str, *, status: int = 500, code: str) -> Problem:
    """The error for what went wrong in the server itself."""
    return Problem(status, ApiError(message=message, type="server_error", code=code), {"x-should-retry": "false"})


def safe(message: str) -> str:
    """`message` without what looks like a secret: a URL's user and password, an API key."""
    return _SECRET.sub("[secret]", message)
