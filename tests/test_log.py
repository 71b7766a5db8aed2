"""Logs: every kind of event that is logged can be, with any configuration, and nothing that was said is in them."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from contemplate import Contemplator, RunContext, Task, Usage, aggregators, planners
from contemplate.errors import ModelServerError
from contemplate.events import (
    CallName,
    ContextCondensed,
    Event,
    LimitReached,
    ModelCalled,
    Noted,
    OutputDelta,
    PlanDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    TaskFinished,
    ToolFinished,
)
from contemplate.result import ErrorInfo, TaskResult
from contemplate.run import log
from contemplate.testing import ScriptedModel

SECRET = "nobody-may-read-this"
ERROR = ErrorInfo(kind="ModelServerError", message="down")
LOGGED: list[tuple[Event, str, str]] = [
    (RunStarted(run_id="r", question=SECRET, model="m"), "run_started", "INFO"),
    (
        ModelCalled(
            name=CallName(run="r", role="planner"), model="m", usage=Usage(calls=1), seconds=1.23456, error=ERROR
        ),
        "model_called",
        "INFO",
    ),
    (
        TaskFinished(result=TaskResult(task=Task(id="a", prompt=SECRET), outcome="answered", text=SECRET)),
        "task_finished",
        "INFO",
    ),
    (ToolFinished(task_id="a", tool="t", call_id="1", seconds=0.5, error=ERROR), "tool_finished", "INFO"),
    (ContextCondensed(task_id="a", turns=3, tokens_before=9, tokens_after=4), "context_condensed", "INFO"),
    (Noted(message="mended"), "noted", "INFO"),
    (LimitReached(limit="seconds"), "limit_reached", "WARNING"),
    (RunFinished(run_id="r", text=SECRET, usage=Usage(), seconds=1, complete=True), "run_finished", "INFO"),
    (RunFailed(run_id="r", error=ERROR, usage=Usage(), seconds=1), "run_failed", "ERROR"),
]
SILENT: list[Event] = [OutputDelta(text=SECRET), PlanDelta(text=SECRET)]


@pytest.fixture
def configured() -> Iterator[list[MutableMapping[str, Any]]]:
    """Structlog as an application sets it up for itself."""
    with structlog.testing.capture_logs() as entries:
        yield entries
    structlog.reset_defaults()


@pytest.mark.parametrize(("event", "name", "level"), LOGGED)
def test_to_the_standard_logger(event: Event, name: str, level: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="contemplate"):
        log.log_event(event)
    (record,) = caplog.records
    assert (record.getMessage(), record.levelname, record.name) == (name, level, "contemplate")
    assert SECRET not in str(vars(record))


@pytest.mark.parametrize(("event", "name", "level"), LOGGED)
def test_to_structlog_where_it_is_configured(
    event: Event, name: str, level: str, configured: list[MutableMapping[str, Any]]
) -> None:
    log.log_event(event)
    (entry,) = configured
    assert (entry["event"], entry["log_level"]) == (name, level.lower())
    assert SECRET not in str(entry)


@pytest.mark.parametrize("event", SILENT)
def test_what_was_said_is_not_logged(event: Event, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="contemplate"):
        log.log_event(event)
    assert not caplog.records


def test_an_error_is_logged_at_every_level_and_a_cancelled_run_is_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="contemplate"), pytest.raises(ModelServerError):
        Contemplator(ScriptedModel([ModelServerError("down", model="m")])).run_sync("q")
    assert [record.getMessage() for record in caplog.records] == ["run_failed"]
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="contemplate"):
        error = ERROR.model_copy(update={"kind": "CancelledError"})
        log.log_event(RunFailed(run_id="r", error=error, usage=Usage(), seconds=1))
    assert [(record.getMessage(), record.levelname) for record in caplog.records] == [("run_cancelled", "INFO")]


async def noting(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    ctx.note("mended")
    yield Task(id="a", prompt=question, kind="answer")


def test_a_note_ends_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="contemplate"):
        Contemplator(ScriptedModel("a"), planner=noting, aggregator=aggregators.first()).run_sync("q")
    assert [record.getMessage() for record in caplog.records][:2] == ["run_started", "noted"]
    assert caplog.records[-1].getMessage() == "run_finished"


def test_a_run_is_logged_to_a_structlog_that_is_configured(configured: list[MutableMapping[str, Any]]) -> None:
    with pytest.raises(ModelServerError):
        Contemplator(ScriptedModel([ModelServerError("down", model="m")])).run_sync("q")
    assert [entry["event"] for entry in configured] == ["run_started", "model_called", "run_failed"]
    assert configured[1]["error"] == "ModelServerError"


def test_nobody_listens_unless_somebody_asked_to() -> None:
    assert not structlog.is_configured()
    assert not log.wanted()
    mind = Contemplator(ScriptedModel("a"), planner=planners.direct(), aggregator=aggregators.first())
    loaded = sys.modules.pop("structlog")
    try:
        mind.run_sync("q")
        assert "structlog" not in sys.modules
    finally:
        sys.modules["structlog"] = loaded


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (ToolFinished(task_id="a", tool="t", call_id="1", seconds=0.5), {"task": "a", "tool": "t", "seconds": 0.5}),
        (
            ContextCondensed(task_id="a", turns=3, tokens_before=9, tokens_after=4),
            {"task": "a", "turns": 3, "tokens_before": 9, "tokens_after": 4},
        ),
    ],
)
def test_a_log_names_the_task(event: Event, fields: dict[str, Any], configured: list[MutableMapping[str, Any]]) -> None:
    log.log_event(event)
    (entry,) = configured
    assert fields.items() <= entry.items()
