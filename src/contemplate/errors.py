"""Every error that contemplate raises.

    ContemplateError
    +-- ConfigurationError         the user gave a wrong setting, name, key or file
    |   +-- SideEffectsError       several subagents would each call a tool with side effects
    |   +-- MissingDependencyError an optional extra is not installed
    +-- DownloadError              a local model could not be fetched
    +-- ModelError                 a model call failed
    |   +-- ModelConnectionError   the server could not be reached, or closed the connection
    |   +-- ModelTimeoutError      it did not answer in time
    |   +-- ModelAuthError         it refused the key (401, 403)
    |   +-- ModelRateLimitError    it asked us to slow down (429)
    |   |   +-- ModelQuotaError    the account's money or quota is used up (402, 429)
    |   +-- ModelRequestError      it refused the request (other 4xx)
    |   |   +-- ModelContextError  the prompt does not fit into the model's context
    |   +-- ModelServerError       it failed (5xx)
    |   +-- ModelResponseError     its answer could not be understood
    |   |   +-- ModelRefusalError  the model declined to answer
    +-- PlanError                  a planner raised, or its plan cannot be run
    +-- ToolError                  a tool failed; the model is told and goes on
    |   +-- ToolDenied             a call was not allowed by whoever was asked
    |   +-- ToolServerError        a tool's server cannot be started or reached, or has stopped
    +-- OutputError                the answer does not fit the output type
    +-- ProgramError               no program written by a model gave an answer
    +-- AggregationError           an aggregator raised, or had nothing to conclude from
    |   +-- QuorumNotReached       too few tasks were answered
    +-- LimitExceeded              a limit stopped the run before there was any answer
    +-- BatchStopped               so many questions of a batch failed in a row that the rest was not asked
    +-- ClusterError               what was asked of workers cannot be done
    |   +-- ClusterBusy            its database was away, or had no room, for too long
    |   +-- RunCancelled           the run was cancelled
    |   +-- RunNotOver             the run is not over in the time that was given
    +-- JournalError               a journal cannot be read or written, or its run cannot be continued
        +-- JournalBusy            other processes wrote to it for too long
        +-- RunInProgress          the run is active already, here or in another process
        +-- RunTaken               another process took the run, as this one had not been heard of
        +-- ReplayError            a replayed run differs from the recorded one

Each message says what happened, where (task, model), and what to do next. An error that ends a run carries the results
so far in `partial`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .redaction import redact

if TYPE_CHECKING:
    from pydantic import ValidationError

    from .result import ErrorInfo, RunResult

MAX_PROBLEMS = 8
# Of asyncio and of trio, by name: neither is imported for it.
CANCELLATIONS = ("CancelledError", "Cancelled")


class ContemplateError(Exception):
    """The base of every error raised by this package.

    Attributes:
        hint: what to do next, or None.
        partial: the results of the run when the error ended it; None outside a run.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        # Many repeat what a server, a tool or code of a user's has said.
        message, hint = redact(message), hint and redact(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.partial: RunResult[Any] | None = None

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # By default pickle calls the class with `args`, without the keyword arguments of subclasses.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[ContemplateError], args: tuple[Any, ...], state: dict[str, Any]) -> ContemplateError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def sole(error: BaseException) -> BaseException:
    """Unwrap exception groups of one exception, however deeply nested; return any other exception as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class ConfigurationError(ContemplateError):
    """Raised when the user gave a wrong setting, name, key or file."""


class SideEffectsError(ConfigurationError):
    """Raised when a tool with side effects would be called by each of several subagents that answer one question."""


class MissingDependencyError(ConfigurationError):
    """Raised when a required optional extra is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed",
            hint=f"in a clone: pip install '.[{extra}]'; from an index: pip install 'contemplate-ai[{extra}]'",
        )
        self.extra = extra


class DownloadError(ContemplateError):
    """Raised when a local model could not be fetched, or is not the expected file."""


class ModelError(ContemplateError):
    """Raised when a model call failed.

    Attributes:
        model: the model's name.
        transient: whether the same call may succeed later.
        status: the HTTP status, or None where there was no response.
        retry_after: seconds the server asked us to wait, or None.
        code: what the server calls the error, such as "insufficient_quota", or None.
    """

    transient = False

    def __init__(
        self,
        message: str,
        *,
        model: str,
        hint: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(f"{model}: {message}", hint=hint)
        self.model = model
        self.status = status
        self.retry_after = retry_after
        self.code = code


class ModelConnectionError(ModelError):
    """Raised when the server could not be reached, or closed the connection."""

    transient = True


class ModelTimeoutError(ModelError):
    """Raised when the server did not answer in time."""

    transient = True


class ModelAuthError(ModelError):
    """Raised when the server refused the API key."""


class ModelRateLimitError(ModelError):
    """Raised when the server asked for fewer requests or tokens."""

    transient = True


class ModelQuotaError(ModelRateLimitError):
    """Raised when the account has no credit or quota left, which no waiting brings back."""

    transient = False


class ModelRequestError(ModelError):
    """Raised when the server refused the request as wrong."""


class ModelContextError(ModelRequestError):
    """Raised when a prompt does not fit into the model's context, with the tokens that it may write.

    Attributes:
        context_tokens: how many tokens the server says that fit, or None.
        prompt_tokens: how many tokens it says that the prompt has, or None.
    """

    context_tokens: int | None = None
    prompt_tokens: int | None = None


class ModelServerError(ModelError):
    """Raised when the server failed."""

    transient = True


class ModelResponseError(ModelError):
    """Raised when the server's answer could not be understood."""


class ModelRefusalError(ModelResponseError):
    """Raised when the model declined to answer. The message has its words."""


class PlanError(ContemplateError):
    """Raised when a planner failed, or when its plan cannot be run."""


class ToolError(ContemplateError):
    """Raised by a tool to tell the model, in words, why a call failed."""


class ToolDenied(ToolError):
    """Raised in place of a call that was not allowed by whoever was asked; the model is told the reason."""


class ToolServerError(ToolError):
    """Raised when the server of a tool cannot be started or reached, or has stopped."""


class OutputError(ContemplateError):
    """Raised when an answer does not fit the output type, after all allowed repairs."""


class ProgramError(ContemplateError):
    """Raised when a program written by a model gave no answer, after all allowed repairs."""


class AggregationError(ContemplateError):
    """Raised when an aggregator failed, or had nothing to conclude from."""


class QuorumNotReached(AggregationError):
    """Raised when fewer tasks were answered than the aggregator needs."""


class LimitExceeded(ContemplateError):
    """Raised when a limit stopped the run before anything was answered.

    Attributes:
        limit: the name of the field of `Limits` that was reached, or "budget:" and the name of a `Budget`; "" if only
            the message is known.
    """

    limit: str = ""

    def __init__(self, message: str, *, limit: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class BatchStopped(ContemplateError):
    """Raised when so many questions of a batch failed in a row that the rest was not asked."""


class ClusterError(ContemplateError):
    """Raised when what was asked of workers cannot be done."""


class ClusterBusy(ClusterError):
    """Raised when the database of a cluster was away, or had no room for a connection, for too long: try it later."""


class RunCancelled(ClusterError):
    """Raised in place of the result of a run that was cancelled; what there was of it is in `partial`."""


class RunNotOver(ClusterError):
    """Raised when a run is not over in the time that was given; it goes on."""


class JournalError(ContemplateError):
    """Raised when a journal cannot be read or written, or when a run in it cannot be continued."""


class JournalBusy(JournalError):
    """Raised when other processes wrote to a journal for too long."""


class RunInProgress(JournalError):
    """Raised when a run of that id is active already, in this process or in another one."""


class RunTaken(JournalError):
    """Raised when another process has taken a run, as this one was silent for too long: it goes on there."""


class ReplayError(JournalError):
    """Raised when a replayed run makes a call that the recorded run did not make, or ends differently."""


def revived(info: ErrorInfo) -> ContemplateError:
    """Return the error that `error_info` described. One from outside this package becomes a `ContemplateError`."""
    found = globals().get(info.kind)
    if not (isinstance(found, type) and issubclass(found, ContemplateError)):
        return ContemplateError(f"{info.kind}: {info.message}", hint=info.hint)
    error = found.__new__(found, info.message)
    ContemplateError.__init__(error, info.message, hint=info.hint)
    if isinstance(error, ModelError):
        error.status, error.code, error.retry_after = info.status, info.code, info.retry_after
    if isinstance(error, LimitExceeded):
        error.limit = info.code or ""
    return error


def error_info(error: BaseException) -> ErrorInfo:
    """Describe `error` as data, without secrets; for a group of one exception, that exception.

    It goes into events, logs and journals, and what users' code raises may have a key in it.
    """
    # Imported here, so that code that only catches errors does not load the classes of results.
    from .result import ErrorInfo

    error = sole(error)
    kind = type(error).__name__
    if isinstance(error, ContemplateError):
        if not isinstance(error, ModelError):
            code = error.limit if isinstance(error, LimitExceeded) else None
            return ErrorInfo(kind=kind, message=error.message, hint=error.hint, code=code or None)
        return ErrorInfo(
            kind=kind,
            message=error.message,
            hint=error.hint,
            status=error.status,
            code=error.code,
            retry_after=error.retry_after,
        )
    if kind in CANCELLATIONS and not isinstance(error, Exception):
        # What an event loop says of it, the address of a cancel scope, helps nobody.
        return ErrorInfo(kind=kind, message="it was cancelled")
    try:
        message = str(error) or repr(error)
    except Exception:
        # An exception of a user's, which cannot say what it is.
        message = "it has no message"
    return ErrorInfo(kind=kind, message=redact(message))


def validation_problems(error: ValidationError) -> str:
    """Return what pydantic found wrong, without the values: `field: what is wrong; ...`."""
    found = error.errors(include_url=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}" for each in found[:MAX_PROBLEMS]]
    more = len(found) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")
