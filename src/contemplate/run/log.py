"""Logs: one structlog event for each call, task and run. No prompt and no answer is logged.

Nothing is configured on import. If the application has configured structlog, its configuration is used; if not, the
events go to the standard logger "contemplate", which is silent until a level is set for it, or one of INFO for all.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from ..errors import CANCELLATIONS
from ..events import (
    ContextCondensed,
    Event,
    LimitReached,
    ModelCalled,
    Noted,
    RunFailed,
    RunFinished,
    RunStarted,
    TaskFinished,
    ToolFinished,
)
from ..result import ErrorInfo
from ..usage import Usage

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def log_event(event: Event) -> None:
    """Log `event`, if it is of a kind that is logged."""
    log = _logger()
    match event:
        case RunStarted():
            log.info("run_started", **_run_fields(event), model=event.model)
        case ModelCalled(name=name):
            log.info(
                "model_called",
                **_run_fields(event),
                role=name.role,
                task=name.task,
                turn=name.turn,
                model=event.model,
                seconds=round(event.seconds, 3),
                finish=event.finish,
                **_usage_fields(event.usage),
                **_error_fields(event.error),
            )
        case TaskFinished(result=result):
            log.info(
                "task_finished",
                **_run_fields(event),
                task=result.id,
                outcome=result.outcome,
                seconds=round(result.seconds, 3),
            )
        case ToolFinished():
            log.info(
                "tool_finished",
                **_run_fields(event),
                task=event.task_id,
                tool=event.tool,
                seconds=round(event.seconds, 3),
                **_error_fields(event.error),
            )
        case ContextCondensed():
            log.info(
                "context_condensed",
                **_run_fields(event),
                task=event.task_id,
                turns=event.turns,
                tokens_before=event.tokens_before,
                tokens_after=event.tokens_after,
            )
        case Noted():
            log.info("noted", **_run_fields(event), note=event.message)
        case LimitReached():
            log.warning("limit_reached", **_run_fields(event), limit=event.limit)
        case RunFinished():
            log.info(
                "run_finished",
                **_run_fields(event),
                complete=event.complete,
                seconds=round(event.seconds, 3),
                calls=event.usage.calls,
                **_usage_fields(event.usage),
            )
        case RunFailed():
            _log_failure(log, event)
        case _:
            pass


def _log_failure(log: FilteringBoundLogger, event: RunFailed) -> None:
    fields = {**_run_fields(event), "seconds": round(event.seconds, 3)}
    # Whoever cancels a run knows why.
    if event.error.kind in CANCELLATIONS:
        log.info("run_cancelled", **fields)
    else:
        log.error("run_failed", **fields, **_error_fields(event.error))


def wanted() -> bool:
    """Return whether logged events would be seen by anybody; does not import structlog."""
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        return True
    standard = logging.getLogger("contemplate")
    # A level of its own was set by somebody: errors are wanted at each.
    return standard.level != logging.NOTSET or standard.isEnabledFor(logging.INFO)


def _logger() -> FilteringBoundLogger:
    import structlog

    if structlog.is_configured():
        configured: FilteringBoundLogger = structlog.get_logger("contemplate")
        return configured
    wrapped: FilteringBoundLogger = structlog.wrap_logger(
        logging.getLogger("contemplate"),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return wrapped


def _run_fields(event: Event) -> dict[str, str]:
    """Return the fields that identify an event's run; the path only for a run within another."""
    return {"run_id": event.run_id} | ({"path": event.path} if event.path else {})


def _usage_fields(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }


def _error_fields(error: ErrorInfo | None) -> dict[str, Any]:
    return {} if error is None else {"error": error.kind, "error_message": error.message}
