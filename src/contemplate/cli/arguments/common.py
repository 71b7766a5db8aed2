"""The options that several commands have."""

from __future__ import annotations

import argparse

from .values import above_zero, with_value

MODES = ("instant", "thinking", "contemplating", "auto", "vote", "refine", "council", "verify", "program")
MODE = "contemplating"
FORMS = "openai:NAME, groq:NAME or another provider's, local:NAME, local:/path/to.gguf, or http://host/v1#NAME"
EPILOG = """\
exit codes: 0 answered; 1 no answer; 2 wrong usage; 3 an incomplete answer, a run
that waits for a decision, or a limit that left none; 130 interrupted
environment: OPENAI_API_KEY, OPENAI_BASE_URL; CONTEMPLATE_MODEL, the default model; CONTEMPLATE_API_KEY, for
http://host/v1#NAME; CONTEMPLATE_CACHE, where local models are kept; CONTEMPLATE_JOURNAL, where runs
are written down; CONTEMPLATE_SERVER_KEYS, of clients of serve"""


def add_thinking(parser: argparse.ArgumentParser) -> None:
    """Add how to think: the model, the prompts, and the mode or a program."""
    add_model(parser)
    add_own_prompts(parser)
    parser.add_argument("--mode", choices=MODES, default=MODE, help=f"how to think (default: {MODE})")
    parser.add_argument(
        "--program",
        metavar="FILE",
        help="a program that organises the subagents, in place of --mode (docs/programs.md)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add `--model`."""
    parser.add_argument(
        "--model", metavar="MODEL", help=f"{FORMS} (default: OpenAI's if OPENAI_API_KEY is set, else a local one)"
    )


def add_own_prompts(parser: argparse.ArgumentParser) -> None:
    """Add `--prompts`."""
    parser.add_argument(
        "--prompts", metavar="DIR", help="prompts of your own, NAME.md each, instead of those that `prompts` lists"
    )


def add_look(parser: argparse.ArgumentParser) -> None:
    """Add how much is shown of a run that goes on."""
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    parser.add_argument(
        "--plain", action="store_true", help="on a terminal as in a pipe: lines, and the answer as the model wrote it"
    )


def add_tools(parser: argparse.ArgumentParser) -> None:
    """Add where tools come from, and which are allowed."""
    tools = parser.add_argument_group("tools")
    tools.add_argument(
        "--mcp", action="append", default=[], metavar="SERVER", help="tools of an MCP server, a command or a URL"
    )
    tools.add_argument(
        "--yes-to",
        action="append",
        default=[],
        metavar="TOOL",
        help="allow its calls; others are asked for on the terminal, or wait (see resume); repeatable",
    )


def add_decisions(parser: argparse.ArgumentParser) -> None:
    """Add what is decided on tool calls."""
    decisions = parser.add_argument_group("decisions on tool calls for which the run waits")
    decisions.add_argument("--approve", action="append", default=[], metavar="ID", help="make the call")
    decisions.add_argument("--deny", action="append", default=[], metavar="ID[=WHY]", help="do not make it")
    decisions.add_argument(
        "--return",
        action="append",
        default=[],
        type=with_value,
        dest="returned",
        metavar="ID=VALUE",
        help="what it returned, as it was made elsewhere",
    )


def add_limits(parser: argparse.ArgumentParser, *, concurrency: bool = True) -> argparse._ArgumentGroup:
    """Add a run's limits, and return their group."""
    limits = parser.add_argument_group("limits" if concurrency else "limits of each row, and of all")
    limits.add_argument("--max-seconds", type=above_zero(float), metavar="S", help="wall-clock time")
    limits.add_argument("--max-tokens", type=above_zero(int), metavar="N", help="tokens of all calls together")
    limits.add_argument("--max-output-tokens", type=above_zero(int), metavar="N", help="what the models write")
    limits.add_argument("--max-cost", type=above_zero(float), metavar="USD", help="what all calls cost together")
    limits.add_argument("--max-calls", type=above_zero(int), metavar="N", help="model calls")
    if concurrency:
        limits.add_argument("--concurrency", type=above_zero(int), metavar="N", help="calls in flight at one moment")
    return limits


def add_run_id(parser: argparse.ArgumentParser) -> None:
    """Add the run that is meant."""
    parser.add_argument("run", metavar="RUN", help="the run's id, or its beginning, or last")


def add_journal(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add `--journal`."""
    parser.add_argument(
        "--journal",
        metavar="FILE",
        default=default,
        help="where runs are written down, or postgresql://HOST/DATABASE (default: in your data directory)",
    )


def add_debugging(parser: argparse.ArgumentParser) -> None:
    """Add what all commands have: logs, and where an error came from."""
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", choices=levels, help="log to standard error")
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
