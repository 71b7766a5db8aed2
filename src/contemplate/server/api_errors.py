"""Errors: a status, a message for people, a code for programs. Each dialect has a form of its own for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from ..budget import Budget
from ..decisions import PendingCall
from ..errors import ContemplateError, LimitExceeded, error_info
from ..redaction import redact
from ..result import ErrorInfo

SERVER_STOPPED = "server_stopped"
SUSPENDED = "run_suspended"
CANCELLED = "run_cancelled"
NO_WORKER = "no_worker"
INTERNAL = "the server failed; its log says why"

# Of errors that a model's server did not give a status. All others of a run are those of what stands behind it.
_STATUS = {
    "ModelRateLimitError": 429,
    "ModelQuotaError": 429,
    "ModelTimeoutError": 504,
    "LimitExceeded": 503,
    "ClusterError": 503,
    "ConfigurationError": 500,
    "SideEffectsError": 500,
}
_BAD_GATEWAY = 502
# After which a busy server is asked again, in seconds.
BUSY_SECONDS = 5
# The official clients wait no longer than this before they ask again, whatever they are told, in seconds.
MOST_PATIENCE = 60
# What a model's server refuses for what the client sent stays the client's to mend.
_CLIENTS = frozenset({400, 413, 422})
_UPSTREAM_AUTH = "upstream_authentication"

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

    If all calls on which the answer rested failed in one way, it is that of the model's server: a client must know that
    it asks too much, or too often. A key that is refused there is not the client's, and said to be another.

    The official clients ask again by themselves after such a status, and would pay for the whole run once more, though
    every call that may pass was already made again. The header tells them not to.
    """
    cause = _cause(error)
    status, code = _STATUS.get(cause.kind, _BAD_GATEWAY), cause.code or cause.kind
    if cause.kind == LimitExceeded.__name__:
        code = cause.kind
    if cause.status in _CLIENTS or cause.kind == "ModelContextError":
        status = cause.status if cause.status in _CLIENTS else 400
    elif cause.kind == "ModelAuthError":
        code = _UPSTREAM_AUTH
    headers = {"x-should-retry": "false"}
    if cause.retry_after is not None:
        headers["retry-after"] = str(math.ceil(cause.retry_after))
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    return Failure(status, redact(str(error)), kind, None, code, headers)


def waits(pending: Sequence[PendingCall]) -> Failure:
    """Return the error for a run that waits for decisions on tool calls, which no client can give here."""
    calls = "; ".join(f"{call.tool} ({call.id})" for call in pending)
    message = f"run {pending[0].run_id} waits for decisions on tool calls, which this endpoint cannot take: {calls}"
    return server_error(redact(message), status=501, code=SUSPENDED)


def key_refused(why: str) -> Failure:
    """Return the error for a client that has no key of this server."""
    headers = {"www-authenticate": "Bearer", "x-should-retry": "false"}
    return Failure(401, why, "invalid_request_error", None, "invalid_api_key", headers)


def busy(queued: int) -> Failure:
    """Return the error for a run for which there is no room in the queue."""
    message = f"the server is busy, and {queued} requests wait already; ask again in {BUSY_SECONDS} seconds"
    headers = {"retry-after": str(BUSY_SECONDS), "x-should-retry": "true"}
    return Failure(429, message, "rate_limit_error", None, "server_busy", headers)


def draining() -> Failure:
    """Return the error for a run that would begin while the server stops. Another server may be there by then."""
    headers = {"retry-after": str(BUSY_SECONDS), "x-should-retry": "true"}
    message = "the server is stopping, and begins nothing new"
    return Failure(503, message, "server_error", None, SERVER_STOPPED, headers)


def run_cancelled() -> Failure:
    """Return the error for a run that somebody cancelled."""
    return server_error("the run was cancelled", status=503, code=CANCELLED)


def no_worker(mind: str, seconds: float) -> Failure:
    """Return the error for a run whose contemplator no worker has that lives. There may be one soon."""
    headers = {"retry-after": str(BUSY_SECONDS), "x-should-retry": "true"}
    message = f"no worker with {mind!r} has been alive for {seconds:g} seconds"
    return Failure(503, message, "server_error", None, NO_WORKER, headers)


def budget_spent(budget: Budget) -> Failure:
    """Return the error for a key that has spent a budget of its own."""
    seconds = budget.window().ends - budget.now()
    message = f"this key has nothing left of its budget {budget.name!r}"
    if seconds == math.inf:
        return Failure(429, message, "insufficient_quota", None, "insufficient_quota", {"x-should-retry": "false"})
    wait = max(1, math.ceil(seconds))
    retry = "true" if wait <= MOST_PATIENCE else "false"
    headers = {"retry-after": str(wait), "x-should-retry": retry}
    return Failure(
        429, f"{message}; there is more in {wait} seconds", "rate_limit_error", None, "budget_spent", headers
    )


def _cause(error: ContemplateError) -> ErrorInfo:
    """Return what a run failed for: its error, or the one in which all its failed tasks ended."""
    own = error_info(error)
    tasks = () if error.partial is None or own.status is not None else error.partial.tasks
    failed = [each.error for each in tasks if each.error is not None]
    if isinstance(error, LimitExceeded) or not failed or len({(each.kind, each.status) for each in failed}) > 1:
        return own
    return max(failed, key=lambda each: each.retry_after or 0.0)


def server_error(message: str, *, status: int = 500, code: str) -> Failure:
    """Return the error for what went wrong in the server itself."""
    return Failure(status, message, "server_error", None, code, {"x-should-retry": "false"})
