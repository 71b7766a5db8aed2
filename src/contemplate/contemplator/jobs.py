"""What one run is asked, checked, with what its contemplator says of all its runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from ..arguments import checked_as, is_async
from ..budget import Budget
from ..data import readable, to_json_text
from ..decisions import Approve
from ..errors import ConfigurationError, validation_problems
from ..images import ImageSource, load_image
from ..limits import Limits
from ..models import Model
from ..modes import Mode, Preset
from ..options import AnyTool
from ..prompts.instructions import Instructions
from ..run.current_run import current_scope
from ..run.history import checked_history
from ..run.listeners import Listener
from ..run.protocols import needing_deps
from ..run.run import Job, Parts
from ..settings import ModelSettings

if TYPE_CHECKING:
    from ..journal.shared_answers import SharedAnswers

_LABELS = TypeAdapter(dict[str, JsonValue])
_RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EachRun:
    """What holds for each run of a contemplator, unless the run is given something else."""

    limits: Limits
    budgets: tuple[Budget, ...]
    listeners: tuple[Listener, ...]
    labels: dict[str, JsonValue]
    approve: Approve | None
    answers: SharedAnswers | None = None


# What changes the parts of a run is checked with the rest, so that each wrong argument is found at once.
@checked_as("Contemplator")
def job_of(
    each: EachRun,
    question: str,
    *,
    images: Sequence[ImageSource] = (),
    history: Any = (),
    model: str | Model | None = None,
    mode: Mode | Preset | None = None,
    tools: Sequence[AnyTool] = (),
    instructions: str | Instructions | None = None,
    settings: ModelSettings | None = None,
    answer_settings: ModelSettings | None = None,
    seed: int | None = None,
    limits: Limits | None = None,
    deps: Any = None,
    budget: Budget | Sequence[Budget] | None = None,
    labels: Mapping[str, JsonValue] | None = None,
    on_event: Listener | None = None,
    approve: Approve | None = None,
    run_id: str | None = None,
) -> Job:
    """Return the job of a run of `question` with the options of `Contemplator.run`.

    Raises:
        ConfigurationError: an option is wrong.
    """
    if not question.strip():
        raise ConfigurationError("the question is empty", hint="ask something")
    if run_id is not None and not _RUN_ID.fullmatch(run_id):
        raise ConfigurationError(f"run_id {run_id!r:.80}", hint="1 to 64 letters, digits, '.', '_' or '-'")
    return Job(
        run_id=run_id,
        question=readable(question),
        images=tuple(map(load_image, images)),
        history=checked_history(history),
        answer_settings=answer_settings,
        limits=limits or each.limits,
        deps=deps,
        budgets=(*each.budgets, *_each_budget(budget)),
        listeners=(*each.listeners, *checked_listeners(on_event)),
        labels=each.labels | checked_labels(labels),
        approve=approve or each.approve,
        answers=each.answers,
    )


def check_deps(parts: Parts, job: Job) -> None:
    """Refuse a run before anything is paid for if its tools will ask for deps that it has not.

    Raises:
        ConfigurationError: it is such a run.
    """
    named = needing_deps(parts.agent)
    if named and job.deps is None and current_scope() is None:
        raise ConfigurationError(
            f"{', '.join(named)}: asks for deps, by the type of its ToolContext, and the run was given none",
            hint="give them: run(deps=...), or annotate the parameter as ToolContext[... | None]",
        )


def checked_listeners(on_event: Listener | None) -> tuple[Listener, ...]:
    """Return who listens, if somebody does.

    Raises:
        ConfigurationError: it is async.
    """
    if is_async(on_event):
        raise ConfigurationError(
            "on_event is async, and events do not wait",
            hint="give a plain function, or iterate over the events: async with mind.stream(question) as events",
        )
    return () if on_event is None else (on_event,)


def checked_labels(labels: Mapping[str, JsonValue] | None) -> dict[str, JsonValue]:
    """Return labels as the journal stores them.

    Raises:
        ConfigurationError: they are not JSON.
    """
    try:
        # As text, so that no half of a surrogate pair is left, which cannot be written.
        return _LABELS.validate_json(to_json_text(_LABELS.validate_python(labels or {})))
    except ValidationError as error:
        raise ConfigurationError(
            f"labels are not JSON: {validation_problems(error)}", hint="give what JSON can say"
        ) from None


def _each_budget(budget: Budget | Sequence[Budget] | None) -> tuple[Budget, ...]:
    if budget is None:
        return ()
    return (budget,) if isinstance(budget, Budget) else tuple(budget)
