"""Errors in the API's form: https://platform.claude.com/docs/en/api/errors."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..api_errors import Failure
from ..visits import Visit

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
REQUEST_ID = "request-id"


class ErrorDetails(BaseModel):
    """The error for programs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_code: str


class ApiError(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    message: str
    details: ErrorDetails | None = Field(default=None, exclude_if=lambda details: details is None)


class ErrorBody(BaseModel):
    """An error as a body, or as an event of a stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["error"] = "error"
    error: ApiError
    request_id: str

    @classmethod
    def of(cls, failure: Failure, request_id: str) -> ErrorBody:
        """Return `failure` in the API's terms."""
        details = None if failure.code is None else ErrorDetails(error_code=failure.code)
        error = ApiError(type=_type_of(failure), message=failure.message, details=details)
        return cls(error=error, request_id=request_id)


def request_id(scope: Scope) -> str:
    """Return the id of a request."""
    return Visit.of(scope).id


class ErrorResponse(Response):
    """An error as a response, which tells the id of the request that it answers."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(None, failure.status, failure.headers, "application/json")
        self._failure = failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the error."""
        id_ = request_id(scope)
        self.body = ErrorBody.of(self._failure, id_).model_dump_json().encode()
        self.headers.update({REQUEST_ID: id_, "content-length": str(len(self.body))})
        await super().__call__(scope, receive, send)


def _type_of(failure: Failure) -> str:
    kind = _TYPES.get(failure.status, "invalid_request_error" if failure.status < 500 else "api_error")
    # Clients take it for a reason to ask again whatever else they are told.
    again = failure.headers.get("x-should-retry") != "false"
    return kind if again or kind != "overloaded_error" else "api_error"
