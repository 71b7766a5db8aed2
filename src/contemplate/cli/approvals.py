"""Tools on the command line: MCP servers, whose calls are allowed by option, asked for on the terminal, or wait."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Mapping, Sequence

import anyio
from anyio.lowlevel import current_token
from pydantic import JsonValue

from ..decisions import Approve, Approved, Decision, Denied, PendingCall, Returned
from ..errors import ConfigurationError
from ..event_loops import call_soon
from ..redaction import redact
from ..result import RunResult
from ..tools.mcp import mcp_tools
from ..tools.toolset import Toolset
from .console import say

YES = ("y", "yes")


def tools_in(options: argparse.Namespace) -> Sequence[Toolset]:
    """Return the tools of the servers that were given; calls of others than --yes-to names need an approval."""
    allowed = frozenset(options.yes_to)

    def approval(tool: str, arguments: Mapping[str, JsonValue]) -> bool | str:
        return tool not in allowed and f"it is not among --yes-to; allow it always: --yes-to {tool}"

    return tuple(mcp_tools(server, approval=approval) for server in options.mcp)


def approve_in(options: argparse.Namespace) -> Approve | None:
    """Return what asks on the terminal; None where nobody sits at one, so that the call waits."""
    return OnTerminal() if options.mcp and sys.stdin.isatty() else None


class OnTerminal:
    """Asks whoever sits at the terminal, one question at a time."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()

    async def __call__(self, call: PendingCall) -> Decision | None:
        """Return what was answered; None if nothing was, so that the call waits."""
        async with self._lock:
            say(f"task {call.task}: {redact(f'{call.tool}({_arguments(call)})')}")
            say("allow it? y: yes; n, or why not: no; an empty line: later")
            answer = (await _line()).strip()
        if not answer:
            return None
        if answer.casefold() in YES:
            return Approved()
        return Denied("" if answer.casefold() in ("n", "no") else answer)


async def _line() -> str:
    """Return a line of standard input. The thread that waits for it is a daemon, so that Ctrl-C ends the process."""
    read, lines, token = anyio.Event(), [], current_token()

    def wait() -> None:
        lines.append(sys.stdin.readline())
        call_soon(token, read.set)

    threading.Thread(target=wait, daemon=True, name="contemplate-terminal").start()
    await read.wait()
    return lines[0]


def decisions_in(options: argparse.Namespace) -> dict[str, Decision | bool]:
    """Return what the options of `resume` decide, by the ids of the calls.

    Raises:
        ConfigurationError: of one call, two things are decided.
    """
    given: list[tuple[str, Decision]] = [(each, Approved()) for each in options.approve]
    given += [(name, Denied(why)) for name, _, why in (each.partition("=") for each in options.deny)]
    given += [(name, Returned(value)) for name, _, value in (each.partition("=") for each in options.returned)]
    decisions: dict[str, Decision | bool] = {}
    for name, decision in given:
        if name in decisions:
            raise ConfigurationError(f"call {name!r} is decided twice", hint="say one of them")
        decisions[name] = decision
    return decisions


def check_tools(labels: Mapping[str, JsonValue], run_id: str, tools: Sequence[Toolset]) -> None:
    """Check that a run goes on with the tools that it had: with others, it would ask everything anew.

    Raises:
        ConfigurationError: it would not.
    """
    before, now = labels.get("tools", []), [each.name for each in tools]
    if before != now:
        had = f"the tools of {before}" if before else "no tools"
        raise ConfigurationError(f"run {run_id!r} was asked with {had}, and not of {now}", hint="give --mcp as before")


def say_what_waits(result: RunResult[str]) -> None:
    """Say for which calls a run waits, and how to go on with each."""
    say("these tool calls wait for a decision:")
    for call in result.pending:
        say(f"  {redact(str(call))}")
    first = result.pending[0]
    decide = f"--return {first.id}=VALUE" if first.kind == "external" else f"--approve {first.id}"
    say(f"to go on: contemplate resume {result.run_id} {decide}, or --deny {first.id}=WHY")


def _arguments(call: PendingCall) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
