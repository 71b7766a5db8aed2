"""`contemplate resume`, `replay` and `reaggregate`: a run that was written down, once more."""

from __future__ import annotations

import argparse

import anyio

from .. import aggregators
from ..contemplator import Contemplator
from ..errors import ConfigurationError, ContemplateError, JournalError, error_info
from ..journal import Journal, RunRecord
from ..limits import Limits
from ..models import DeltaSink, ModelRequest, ModelResponse
from ..modes import Mode, preset
from ..run.protocols import Aggregator, needs_a_share
from .exit_codes import exit_code_of_result
from .journal_file import find_run, open_journal
from .models import fetch_if_local
from .run_options import LIMIT_OPTIONS, limits_in, model_named
from .view import view_for
from .watch import watch


def rerun(options: argparse.Namespace) -> int:
    """Resume, replay or reaggregate the run, show it, and return the exit code."""
    journal = open_journal(options)
    run = find_run(journal, options.run)
    if options.command == "resume":
        return _resume(options, journal, run)
    view = view_for(options)
    try:
        if options.command == "replay":
            mind = Contemplator(_OfflineModel(run.model), mode=_mode(run, "mind.replay"), journal=journal)
            result = anyio.run(mind.replay, run.run_id)
        else:
            mind = _reaggregator(options, journal, run)
            result = anyio.run(mind.reaggregate, run.run_id)
    except ContemplateError as error:
        view.stop(error_info(error), error.partial)
        raise
    view.finish(result)
    return exit_code_of_result(result)


def _resume(options: argparse.Namespace, journal: Journal, run: RunRecord) -> int:
    mode = _mode(run, "mind.run")
    name = options.model or str(run.labels.get("model"))
    limits = Limits.model_validate(run.labels.get("limits", {}))
    given = limits_in(options)
    stopped_by = None if run.result is None else run.result.stopped_by
    # Time begins anew; of all else, as much is spent already as there was.
    if stopped_by in LIMIT_OPTIONS and stopped_by != "seconds" and getattr(given, stopped_by) is None:
        option = "--" + LIMIT_OPTIONS[stopped_by].replace("_", "-")
        reached = getattr(limits, stopped_by)
        raise ConfigurationError(f"run {run.run_id!r} was stopped by its limit, {option} {reached}", hint="raise it")
    limits = limits.model_copy(update=given.model_dump(exclude_none=True))
    model = model_named(name)
    fetch_if_local(name, quiet=options.quiet)
    mind = Contemplator(model, mode=mode, limits=limits, journal=journal)
    return watch(mind, run.question, run.images, run.run_id, view_for(options), journal)


def _reaggregator(options: argparse.Namespace, journal: Journal, run: RunRecord) -> Contemplator[str]:
    aggregator: Aggregator = getattr(aggregators, options.aggregator)()
    labels = {"command": "reaggregate", "aggregator": options.aggregator}
    if not needs_a_share(aggregator):
        return Contemplator(_OfflineModel(run.model), aggregator=aggregator, journal=journal, labels=labels)
    name = options.model or run.labels.get("model")
    if not isinstance(name, str):
        raise ConfigurationError(f"run {run.run_id!r} does not say how its model was made", hint="--model MODEL")
    model = model_named(name)
    fetch_if_local(name, quiet=options.quiet)
    return Contemplator(model, aggregator=aggregator, journal=journal, labels=labels)


def _mode(run: RunRecord, function: str) -> Mode:
    if run.labels.get("command") != "ask":
        raise ConfigurationError(
            f"run {run.run_id!r} was not made by `contemplate ask`, and needs the code that made it",
            hint=f"{function}(..., run_id={run.run_id!r})" if function == "mind.run" else f"{function}({run.run_id!r})",
        )
    mode: Mode = run.labels["mode"]  # type: ignore[assignment]
    preset(mode)
    return mode


class _OfflineModel:
    """Bears the name of a model that is not to be called."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Refuse, whatever is asked."""
        raise JournalError(f"{self.name} is not to be called now")
