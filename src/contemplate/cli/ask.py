"""`contemplate ask`: one question."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping

from pydantic import JsonValue

from ..contemplator import Contemplator
from ..errors import ConfigurationError, error_info
from ..limits import Limits
from ..models.registry import default_name
from ..redaction import shown_url
from ..result import RunResult
from ..run.listeners import Listener
from ..run.run import new_run_id
from .approvals import approve_in, tools_in
from .console import say
from .exit_codes import ANSWERED
from .journal_file import journal_or_none
from .models import fetch_if_local
from .print_estimate import expectation, print_estimate
from .run_options import limits_in, mode_in, model_named, program_in, prompts_in
from .save_images import ImageFolder, keep_images
from .view import view_for
from .watch import watch


def ask(options: argparse.Namespace) -> int:
    """Ask the question, show the run, and return the exit code."""
    view = view_for(options)
    try:
        question = question_in(options.question)
        model = model_named(options.model)
        limits = limits_in(options)
        prompts, tools = prompts_in(options), tools_in(options)
        program = program_in(options)
        mode = mode_in(options, program)
        folder = None if options.save_images is None else ImageFolder(options.save_images)
        if options.estimate:
            mind = Contemplator(model, mode=mode, limits=limits, prompts=prompts, tools=tools)
            print_estimate(mind.estimate(question, images=options.image), as_json=options.json)
            return ANSWERED
        fetch_if_local(options.model, quiet=options.quiet)
        journal = journal_or_none(options)
        labels = _labels(options, limits, program, [each.name for each in tools])
        goes_on = journal is not None and options.run_id in journal.run_ids(options.run_id or "")
        if not (options.quiet or options.events or goes_on):
            mind = Contemplator(model, mode=mode, limits=limits, prompts=prompts, tools=tools)
            _say_what_to_expect(mind, question, options)
    except Exception as error:
        view.stop(error_info(error), None)
        raise
    run_id = options.run_id or new_run_id()

    async def start(listener: Listener) -> RunResult[str]:
        mind = Contemplator(
            model,
            mode=mode,
            prompts=prompts,
            tools=tools,
            limits=limits,
            journal=journal,
            labels=labels,
        )
        approve = approve_in(options)
        return await mind.run(question, images=options.image, run_id=run_id, on_event=listener, approve=approve)

    return watch(
        start,
        view,
        go_on=None if journal is None else f"contemplate resume {run_id}",
        finished=lambda result: keep_images(result, run_id, folder),
    )


def _say_what_to_expect(mind: Contemplator[str], question: str, options: argparse.Namespace) -> None:
    local = (options.model or default_name()).startswith("local:")
    say(expectation(mind.estimate(question, images=options.image), local=local))


def _labels(
    options: argparse.Namespace, limits: Limits, program: str | None, tools: list[JsonValue]
) -> Mapping[str, JsonValue]:
    """Return how the question was asked, so that the run can be resumed."""
    name = options.model or default_name()
    folder = {} if options.prompts is None else {"prompts": os.path.abspath(options.prompts)}
    return folder | {
        "command": "ask",
        "mode": options.mode if program is None else "program",
        "model": shown_url(name) if "://" in name else name,
        "limits": limits.model_dump(mode="json", exclude_none=True),
        **({} if program is None else {"program": program}),
        # By their names, which hold no secrets: the commands may.
        **({"tools": tools} if tools else {}),
    }


def question_in(given: str) -> str:
    """Return the question that was given, or standard input for "-".

    Raises:
        ConfigurationError: it is empty.
    """
    # An argument that Python could not decode in the locale's encoding holds its bytes as surrogates.
    question = sys.stdin.read() if given == "-" else os.fsencode(given).decode("utf-8", errors="replace")
    if not question.strip():
        raise ConfigurationError("the question is empty", hint="contemplate ask 'Why is the sky blue?'")
    return question.strip()
