"""What came of one question in one way, and whether that says anything of the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from ..batch.items import BatchItem, BatchResult
from ..data import readable
from ..errors import (
    ConfigurationError,
    ContemplateError,
    DownloadError,
    JournalError,
    LimitExceeded,
    ModelAuthError,
    ModelConnectionError,
    ModelRateLimitError,
    ModelServerError,
    ModelTimeoutError,
    error_info,
    revived,
)
from ..limits import BUDGET
from ..redaction import redact
from ..result import RunResult
from ..usage import NOTHING, Usage
from .examples import expected_of
from .metrics import Metric, score_of

# Of the question, the key, the network or the machine: another time there would have been an answer.
_NOT_OF_THE_WAY = (
    ConfigurationError,
    DownloadError,
    JournalError,
    ModelAuthError,
    ModelConnectionError,
    ModelRateLimitError,
    ModelServerError,
    ModelTimeoutError,
)


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of one question in one way.

    Attributes:
        index: the question's place, from 0.
        id: its id, if it was given one.
        question: the question.
        expected: the answer that was expected; None if none was.
        output: the answer; None if there is none.
        score: what the metric gave for it, 0 if the way failed to give an answer. None if nothing can be said of the
            way, as the model could not be reached, the budget was used up, or the metric failed; nor if something is
            missing from the answer for want of these.
        error: why there is no answer or no score; None if there are both.
        complete: whether nothing is missing from the answer.
        usage: what it cost.
        seconds: how long it took.
        run_id: its run; None if there was none.
    """

    index: int
    id: str | None
    question: str
    expected: object
    output: object
    score: float | None
    error: str | None = None
    complete: bool = True
    usage: Usage = NOTHING
    seconds: float = 0.0
    run_id: str | None = None

    @property
    def has_no_metric(self) -> bool:
        """Whether there is an answer, and no score for it, as the metric failed."""
        return self.score is None and self.output is not None and self.complete

    def to_record(self) -> dict[str, JsonValue]:
        """Return it as a row of plain values, such as pandas takes."""
        record: dict[str, JsonValue] = {
            "index": self.index,
            "id": self.id,
            "question": readable(self.question),
            "expected": _plain(self.expected),
            "output": _plain(self.output),
            "score": self.score,
            "error": self.error,
            "complete": self.complete,
            "seconds": round(self.seconds, 3),
            "run_id": self.run_id,
        }
        return record | self.usage.model_dump(mode="json")


async def scored(done: BatchResult[Any], item: BatchItem, metric: Metric) -> Scored:
    """Return what came of a question, with its score."""
    expected, reached = expected_of(item), done.reached
    output, score, error = None, None, done.error
    if done.result is not None and done.result.pending:
        error = ContemplateError(f"it waits for a decision on {'; '.join(map(str, done.result.pending))}")
    elif done.result is not None:
        output, error = done.result.output, _want_of(done.result)
        try:
            score = None if error is not None else await score_of(metric, done.result, expected)
        except Exception as raised:
            error = ContemplateError(f"the metric failed: {_said(raised)}")
    elif error is not None and says_something_of_the_way(error):
        score = 0.0
    return Scored(
        index=done.index,
        id=done.id,
        question=done.question,
        expected=expected,
        output=output,
        score=score,
        error=None if error is None else redact(_said(error)),
        complete=done.result is not None and done.result.complete,
        usage=NOTHING if reached is None else reached.usage,
        seconds=0.0 if reached is None else reached.seconds,
        run_id=None if reached is None else reached.run_id,
    )


def says_something_of_the_way(error: Exception) -> bool:
    """Return whether a run failed as its way did: not for want of a server, a key, money or a file."""
    return isinstance(error, ContemplateError) and not any(map(_is_not_of_the_way, _causes(error)))


def _want_of(result: RunResult[Any]) -> Exception | None:
    """Return for want of what, that is not of the way, something is missing from an answer; None if nothing is."""
    if result.complete:
        return None
    found = next(filter(_is_not_of_the_way, _errors_of(result)), None)
    return None if found is None else ContemplateError(f"something is missing from the answer: {_said(found)}")


def _causes(error: Exception) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
    partial = getattr(error, "partial", None)
    yield from () if partial is None else _errors_of(partial)


def _errors_of(result: RunResult[Any]) -> Iterator[ContemplateError]:
    """Yield the errors of the tasks, and the limit that ended the run, of which those of tasks have no name."""
    yield from (revived(task.error) for task in result.tasks if task.error is not None)
    if result.stopped_by is not None:
        yield LimitExceeded(f"{result.stopped_by} was used up", limit=result.stopped_by)


def _is_not_of_the_way(error: BaseException) -> bool:
    return isinstance(error, _NOT_OF_THE_WAY) or (isinstance(error, LimitExceeded) and error.limit.startswith(BUDGET))


def _said(error: BaseException) -> str:
    info = error_info(error)
    said = str(error) if isinstance(error, ContemplateError) else info.message
    return said if info.kind == ContemplateError.__name__ else f"{info.kind}: {said}"


def _plain(value: object) -> JsonValue:
    plain: JsonValue = to_jsonable_python(value, fallback=str, inf_nan_mode="strings", bytes_mode="base64")
    return plain
