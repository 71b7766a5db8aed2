"""`contemplate models check`: what a model can do, as a table or as JSON."""

from __future__ import annotations

import signal

import anyio

from ..models.probes import Checkup, Finding, Report
from ..views.summary import usage_text
from .console import say, write, write_readable
from .exit_codes import ANSWERED, FAILED, INTERRUPTED
from .run_options import model_named
from .signals import cancel_on_signal

NAME_WIDTH = 20
VERDICT_WIDTH = 7


def check_model(name: str | None, *, seconds: float, as_json: bool) -> int:
    """Check the model called `name`, print what is found as it is found, and return the exit code.

    What is known when Ctrl-C ends it is printed.
    """
    checkup = Checkup(model_named(name), seconds=seconds)
    number = anyio.run(_checked, checkup, as_json)
    report = checkup.report()
    if as_json:
        write(report.model_dump_json(indent=2) + "\n")
    else:
        _write_rest(report)
    if number is not None:
        say("interrupted; this is what is known")
        return INTERRUPTED if number == signal.SIGINT else 128 + number
    return ANSWERED if report.answers else FAILED


async def _checked(checkup: Checkup, as_json: bool) -> signal.Signals | None:
    """Return the signal that ended the check, if one did."""
    with anyio.CancelScope() as scope, cancel_on_signal(scope) as received:
        await checkup.run(None if as_json else _write_row)
    return received[0] if received else None


def _write_row(finding: Finding) -> None:
    took = f"{finding.seconds:5.1f} s" if finding.calls else ""
    row = f"{finding.name:{NAME_WIDTH}} {finding.verdict:{VERDICT_WIDTH}} {took:8} {finding.detail}"
    write_readable(row.rstrip() + "\n")


def _write_rest(report: Report) -> None:
    if report.answers and report.profile_code:
        write_readable(f"\n{report.profile_code}\n")
    write_readable(f"\n{report.model}: {usage_text(report.usage)}, {report.seconds:.1f} s\n")
