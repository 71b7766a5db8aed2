"""`contemplate resume`, `replay` and `reaggregate`: a run that was written down, once more."""

from __future__ import annotations

import argparse

from .. import aggregators
from ..contemplator import Contemplator
from ..errors import ConfigurationError, JournalError
from ..journal import Journal, RunRecord
from ..limits import Limits
from ..models import DeltaSink, Model, ModelRequest, ModelResponse
from ..modes import Mode, Preset, preset, program
from ..result import RunResult
from ..run.listeners import Listener
from ..run.protocols import Aggregator, needs_a_share
from .approvals import approve_in, check_tools, decisions_in, tools_in
from .journal_file import find_run, open_journal
from .models import fetch_if_local
from .run_options import LIMIT_OPTIONS, limits_in, model_named, prompts_in
from .save_images import keep_images
from .view import view_for
from .watch import watch


def rerun(options: argparse.Namespace) -> int:
    """Resume, replay or reaggregate the run, show it, and return the exit code."""
    journal = open_journal(options)
    run = find_run(journal, options.run)
    if options.command == "resume":
        return _resume(options, journal, run)
    return _replay(options, journal, run) if options.command == "replay" else _reaggregate(options, journal, run)


def _resume(options: argparse.Namespace, journal: Journal, run: RunRecord) -> int:
    mode = mode_of(run, "mind.run")
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
    tools, decisions = tools_in(options), decisions_in(options)
    check_tools(run.labels, run.run_id, tools)
    model = model_named(name)
    prompts = prompts_in(options, run.labels)
    fetch_if_local(name, quiet=options.quiet)

    async def start(listener: Listener) -> RunResult[str]:
        mind = Contemplator(
            model, mode=mode, prompts=prompts, limits=limits, tools=tools, journal=journal, on_event=listener
        )
        return await mind.resume(run.run_id, decisions, approve=approve_in(options))

    return watch(
        start,
        view_for(options),
        go_on=f"contemplate resume {run.run_id}",
        finished=lambda result: keep_images(result, run.run_id, None),
    )


def _replay(options: argparse.Namespace, journal: Journal, run: RunRecord) -> int:
    mode = mode_of(run, "mind.replay")
    prompts = prompts_in(options, run.labels)

    async def start(listener: Listener) -> RunResult[str]:
        offline = _OfflineModel(run.model)
        mind = Contemplator(offline, mode=mode, prompts=prompts, journal=journal, on_event=listener)
        return await mind.replay(run.run_id)

    return watch(
        start,
        view_for(options),
        go_on=f"contemplate resume {run.run_id}",
        once_more=f"contemplate replay {run.run_id}",
    )


def _reaggregate(options: argparse.Namespace, journal: Journal, run: RunRecord) -> int:
    aggregator: Aggregator = getattr(aggregators, options.aggregator)()
    model: Model = _OfflineModel(run.model)
    if needs_a_share(aggregator):
        name = options.model or run.labels.get("model")
        if not isinstance(name, str):
            raise ConfigurationError(f"run {run.run_id!r} does not say how its model was made", hint="--model MODEL")
        model = model_named(name)
        fetch_if_local(name, quiet=options.quiet)
    labels = {"command": "reaggregate", "aggregator": options.aggregator}
    prompts = prompts_in(options, run.labels)

    async def start(listener: Listener) -> RunResult[str]:
        mind = Contemplator(
            model, aggregator=aggregator, prompts=prompts, journal=journal, labels=labels, on_event=listener
        )
        return await mind.reaggregate(run.run_id)

    again = f"contemplate reaggregate {run.run_id} --aggregator {options.aggregator}"
    return watch(start, view_for(options), go_on=again)


def mode_of(run: RunRecord, function: str) -> Mode | Preset:
    """Return the mode in which a run was asked.

    Raises:
        ConfigurationError: it was not made by `contemplate ask`.
    """
    if run.labels.get("command") != "ask":
        raise ConfigurationError(
            f"run {run.run_id!r} was not made by `contemplate ask`, and needs the code that made it",
            hint=f"{function}(..., run_id={run.run_id!r})" if function == "mind.run" else f"{function}({run.run_id!r})",
        )
    mode: Mode = run.labels["mode"]  # type: ignore[assignment]
    preset(mode)
    source = run.labels.get("program")
    return program(source) if isinstance(source, str) else mode


class _OfflineModel:
    """Bears the name of a model that is not to be called."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Refuse, whatever is asked."""
        raise JournalError(f"{self.name} is not to be called now")
