"""The commands and their options. Imports nothing but argparse, so that --help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from .cluster.options import add_cluster_commands
from .serve_options import DESCRIPTION, add_serve_options

MODES = ("instant", "thinking", "contemplating", "auto", "vote", "refine", "council", "verify", "program")
MODE = "contemplating"
WAYS = "instant,vote,auto"
ROW_FORMS = ("jsonl", "csv", "tsv", "txt")
KEYS = ("final", "math", "choice", "text")
AGGREGATORS = ("first", "vote", "synthesize")
FORMS = "openai:NAME, groq:NAME or another provider's, local:NAME, local:/path/to.gguf, or http://host/v1#NAME"
LAST_PORT = 65_535
EPILOG = """\
exit codes: 0 answered; 1 no answer; 2 wrong usage; 3 an incomplete answer, a run
that waits for a decision, or a limit that left none; 130 interrupted
environment: OPENAI_API_KEY, OPENAI_BASE_URL; CONTEMPLATE_MODEL, the default model; CONTEMPLATE_API_KEY, for
http://host/v1#NAME; CONTEMPLATE_CACHE, where local models are kept; CONTEMPLATE_JOURNAL, where runs
are written down; CONTEMPLATE_SERVER_KEYS, of clients of serve"""
SECONDS_IN = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options in `arguments`; wrong usage ends the process with exit code 2."""
    options = parser().parse_args(arguments)
    if options.command in ("ask", "submit"):
        options.question = " ".join(options.question)
        if options.json and options.events:
            parser().error("--json and --events exclude each other")
    if getattr(options, "no_journal", False) and options.journal:
        parser().error("--journal and --no-journal exclude each other")
    return options


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = argparse.ArgumentParser(
        prog="contemplate",
        description="A contemplating mode for any chat model: plan, fan out to parallel subagents, merge.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="store_true", help="print the version and exit")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_ask(commands)
    _add_batch(commands)
    _add_compare(commands)
    _add_runs(commands)
    _add_reruns(commands)
    _add_view(commands)
    _add_models(commands)
    _add_prompts(commands)
    _add_serve(commands)
    add_cluster_commands(commands, MODES, _above_zero, _add_debugging)
    _add_completion(commands)
    return whole


def _add_ask(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ask = commands.add_parser(
        "ask",
        help="ask a question",
        description="Contemplate a question. On a terminal the run is shown live; in a pipe, standard output holds "
        "the answer alone.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ask.add_argument("question", nargs="+", help="the question, in quotes or not; - reads it from standard input")
    _add_thinking(ask)
    ask.add_argument("--image", action="append", default=[], metavar="FILE", help="an image file or URL; repeatable")
    ask.add_argument("--save-images", metavar="DIR", help="write the answer's images there; nothing is overwritten")
    ask.add_argument("--json", action="store_true", help="print one JSON document: output, plan, tasks, usage, ...")
    ask.add_argument("--events", action="store_true", help="print the run's events as JSON lines, as they happen")
    ask.add_argument("--estimate", action="store_true", help="print what the run may take, and make no call")
    _add_look(ask)
    ask.add_argument("--run-id", metavar="ID", help="what to call the run; one of that name goes on")
    _add_tools(ask)
    ask.add_argument("--no-journal", action="store_true", help="write nothing down")
    _add_journal(ask)
    _add_limits(ask)
    _add_debugging(ask)


def _add_batch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    batch, rows = _of_rows(
        commands,
        "batch",
        help_="ask each row of a file; the same command again goes on where it was",
        description="Ask each row of a file of JSON lines, CSV, TSV or plain lines, and write a line of JSON for each "
        "into another, as they are answered. Given again, the same command asks what is missing, and what failed.",
    )
    batch.add_argument("--out", required=True, metavar="FILE", help="where the answers go, as JSON lines")
    rows.add_argument("--keep-failed", action="store_true", help="do not ask again what failed before")
    _add_thinking(batch)
    batch.add_argument("--no-journal", action="store_true", help="write down nothing but the answers")
    batch.add_argument(
        "--journal", metavar="FILE", help="where runs are written down, so that half-done rows go on (default: OUT.db)"
    )
    batch.add_argument(
        "--name",
        metavar="NAME",
        help="of the batch in the journal, where it goes on under that name (default: batch; with --cluster, as OUT)",
    )
    workers = batch.add_argument_group("workers")
    workers.add_argument(
        "--cluster",
        action="store_true",
        help="let workers answer that share the --journal, such as postgresql://me@db/app (see worker)",
    )
    workers.add_argument("--mind", metavar="MIND", help="which Contemplator (default: the only one that workers have)")
    _add_asking_of_rows(batch)
    # With --cluster, what is not said is as the workers have it.
    batch.set_defaults(mode=None, batch_concurrency=None)


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    compare, rows = _of_rows(
        commands,
        "compare",
        help_="ask each row of a file in several ways, and print how often each is right, and what it costs",
        description="Ask each row of a file in several ways, and print how often each is right, with intervals, what "
        "it costs, and how it differs from the first. Given again, the same command goes on where it was.",
    )
    compare.add_argument(
        "--ways",
        default=WAYS,
        metavar="MODES|FILE",
        help='modes, with commas, or a file of Python with ways = {"name": Contemplator(...), ...}, and with a metric '
        "or a key, if answers are not to be compared as they are (default: %(default)s)",
    )
    compare.add_argument("--against", metavar="WAY", help="the way with which the others are compared (default: first)")
    compare.add_argument("--plot", metavar="FILE", help="draw how often each is right, and what it costs, as *.svg")
    compare.add_argument("--records", metavar="FILE", help="write each question in each way there, as JSON lines")
    rows.add_argument("--answer-column", metavar="NAME", help="the answer that is expected (default: answer)")
    rows.add_argument(
        "--key",
        choices=KEYS,
        help="by what two answers are equal: all that is said; the number, whatever its unit; the option; the words "
        "(default: final)",
    )
    _add_model(compare)
    _add_own_prompts(compare)
    compare.add_argument("--name", default="comparison", help="of the comparison in the journal (default: %(default)s)")
    compare.add_argument("--no-journal", action="store_true", help="write nothing down: nothing can go on then")
    compare.add_argument("--journal", metavar="FILE", help="where runs are written down (default: FILE.compare.db)")
    _add_asking_of_rows(compare)


def _of_rows(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, *, help_: str, description: str
) -> tuple[argparse.ArgumentParser, argparse._ArgumentGroup]:
    """Add a command that asks the rows of a file, and return it with the options of these rows."""
    parser = commands.add_parser(
        name,
        help=help_,
        description=description,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the rows; - reads them from standard input")
    rows = parser.add_argument_group("rows")
    rows.add_argument("--format", choices=ROW_FORMS, help="of FILE (default: by its name; of - jsonl)")
    rows.add_argument("--question-column", metavar="NAME", help="what is asked (default: question, or the only column)")
    rows.add_argument("--id-column", metavar="NAME", help="by what a row is known when rows have been added or moved")
    rows.add_argument("--prompt", metavar="TEXT", help='what is asked, with columns: "Review this: {text}"')
    rows.add_argument("--first", type=_above_zero(int), metavar="N", help="only the first N rows")
    return parser, rows


def _add_asking_of_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--estimate", action="store_true", help="print what it may take, and make no call")
    _add_look(parser)
    _add_tools(parser)
    limits = _add_limits(parser, concurrency=False)
    limits.add_argument("--total-cost", type=_above_zero(float), metavar="USD", help="what all rows may cost together")
    limits.add_argument(
        "--concurrency",
        type=_above_zero(int),
        default=16,
        dest="batch_concurrency",
        metavar="N",
        help="rows in progress at one moment (default: 16)",
    )
    parser.set_defaults(concurrency=None)
    _add_debugging(parser)


def _add_thinking(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    _add_own_prompts(parser)
    parser.add_argument("--mode", choices=MODES, default=MODE, help=f"how to think (default: {MODE})")
    parser.add_argument(
        "--program",
        metavar="FILE",
        help="a program that organises the subagents, in place of --mode (docs/programs.md)",
    )


def _add_look(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    parser.add_argument(
        "--plain", action="store_true", help="on a terminal as in a pipe: lines, and the answer as the model wrote it"
    )


def _add_tools(parser: argparse.ArgumentParser) -> None:
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


def _add_decisions(parser: argparse.ArgumentParser) -> None:
    decisions = parser.add_argument_group("decisions on tool calls for which the run waits")
    decisions.add_argument("--approve", action="append", default=[], metavar="ID", help="make the call")
    decisions.add_argument("--deny", action="append", default=[], metavar="ID[=WHY]", help="do not make it")
    decisions.add_argument(
        "--return",
        action="append",
        default=[],
        type=_with_value,
        dest="returned",
        metavar="ID=VALUE",
        help="what it returned, as it was made elsewhere",
    )


def _add_limits(parser: argparse.ArgumentParser, *, concurrency: bool = True) -> argparse._ArgumentGroup:
    limits = parser.add_argument_group("limits" if concurrency else "limits of each row, and of all")
    limits.add_argument("--max-seconds", type=_above_zero(float), metavar="S", help="wall-clock time")
    limits.add_argument("--max-tokens", type=_above_zero(int), metavar="N", help="tokens of all calls together")
    limits.add_argument("--max-output-tokens", type=_above_zero(int), metavar="N", help="what the models write")
    limits.add_argument("--max-cost", type=_above_zero(float), metavar="USD", help="what all calls cost together")
    limits.add_argument("--max-calls", type=_above_zero(int), metavar="N", help="model calls")
    if concurrency:
        limits.add_argument("--concurrency", type=_above_zero(int), metavar="N", help="calls in flight at one moment")
    return limits


def _add_runs(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    runs = commands.add_parser("runs", help="list the runs that were written down, the newest first")
    runs.add_argument("--limit", type=_above_zero(int), default=20, metavar="N", help="so many (default: %(default)s)")
    runs.add_argument("--json", action="store_true", help="print JSON")
    actions = runs.add_subparsers(dest="action", metavar="ACTION")
    prune = actions.add_parser("prune", help="delete runs that are over and old")
    prune.add_argument(
        "--older-than", type=_age, required=True, metavar="AGE", help="how long ago they began, such as 12h or 30d"
    )
    prune.add_argument("--dry-run", action="store_true", help="only say how many")
    show = commands.add_parser("show", help="show a run as a tree, with times, tokens and texts")
    _add_run(show)
    show.add_argument("--requests", action="store_true", help="with what was asked")
    show.add_argument("--program", action="store_true", help="print the program that organised the run, and no more")
    show.add_argument("--json", action="store_true", help="print one JSON document")
    # What stands before it is not forgotten.
    _add_journal(prune, default=argparse.SUPPRESS)
    _add_debugging(prune)
    for parser in (runs, show):
        _add_journal(parser)
        _add_debugging(parser)


def _add_view(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    view = commands.add_parser(
        "view",
        help="show runs in a browser: their timelines, plans, texts, votes and costs",
        description="Show runs in a browser, on this machine only, until Ctrl-C. A run that waits for a decision can "
        "be approved there, and goes on with the options that are given here, as with resume.",
    )
    view.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="the run's id, or its beginning, or last; or a file that was exported, or has events (ask --events); or "
        "the URL of a running serve; all runs that were written down without it",
    )
    view.add_argument("--port", type=_port, default=0, help="port; 0 picks one (default: %(default)s)")
    view.add_argument("--no-browser", action="store_false", dest="browser", help="only print the address")
    view.add_argument("--export", metavar="FILE", help="write RUN as one page of HTML instead; nothing is overwritten")
    _add_journal(view)
    _add_model(view)
    _add_own_prompts(view)
    _add_tools(view)
    _add_limits(view)
    _add_debugging(view)


def _add_reruns(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    resume = commands.add_parser("resume", help="go on with a run: what was answered is not paid for again")
    replay = commands.add_parser("replay", help="go through a run again, offline, as it was")
    reaggregate = commands.add_parser("reaggregate", help="aggregate again what a run's subagents answered")
    reaggregate.add_argument("--aggregator", choices=AGGREGATORS, required=True, help="how to conclude")
    for parser in (resume, replay, reaggregate):
        _add_run(parser)
        if parser is not replay:
            _add_model(parser)
        _add_own_prompts(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        _add_look(parser)
        parser.set_defaults(events=False)
        _add_journal(parser)
        if parser is resume:
            _add_decisions(parser)
            _add_tools(parser)
            _add_limits(parser)
        _add_debugging(parser)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run's id, or its beginning, or last")


def _add_journal(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--journal",
        metavar="FILE",
        default=default,
        help="where runs are written down, or postgresql://HOST/DATABASE (default: in your data directory)",
    )


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    models = commands.add_parser("models", help="list local models and providers; fetch, check or forget one")
    actions = models.add_subparsers(dest="action", metavar="ACTION")
    pull = actions.add_parser("pull", help="fetch a local model")
    pull.add_argument("name", help="its name, as in the list")
    check = actions.add_parser(
        "check",
        help="find out what a model can do, and how it wants to be asked",
        description="Make about thirty small calls, and print what works, the profile as code, and the cost.",
    )
    check.add_argument("model", nargs="?", metavar="MODEL", help=FORMS)
    check.add_argument(
        "--seconds", type=_above_zero(float), default=60.0, metavar="S", help="for each thing (default: %(default)g)"
    )
    check.add_argument("--json", action="store_true", help="print one JSON document")
    forget = actions.add_parser(
        "forget",
        help="forget what was learnt from refusals",
        description="Forget what was learnt of how endpoints want to be asked, and print of which.",
    )
    forget.add_argument("part", nargs="?", default="", metavar="PART", help="only of URL#MODEL that contain it")
    for parser in (models, pull, check, forget):
        parser.set_defaults(log_level=None)
        parser.add_argument("--traceback", action="store_true", help="show where an error came from")


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve an OpenAI-compatible endpoint",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_model(serve)
    _add_own_prompts(serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8400, help="port; 0 picks one (default: %(default)s)")
    add_serve_options(serve, _above_zero)
    _add_debugging(serve)


def _add_prompts(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    prompts = commands.add_parser(
        "prompts",
        help="list the prompts, each with its placeholders",
        description="List the prompts, each with its placeholders, and the words in it that code reads in answers.",
    )
    prompts.add_argument("--copy-to", metavar="DIR", help="write the defaults there; nothing is overwritten")
    prompts.set_defaults(log_level=None)
    prompts.add_argument("--traceback", action="store_true", help="show where an error came from")


def _add_own_prompts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prompts", metavar="DIR", help="prompts of your own, NAME.md each, instead of those that `prompts` lists"
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="MODEL", help=f"{FORMS} (default: OpenAI's if OPENAI_API_KEY is set, else a local one)"
    )


def _add_debugging(parser: argparse.ArgumentParser) -> None:
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", choices=levels, help="log to standard error")
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")


def _with_value(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not ID=VALUE")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _above_zero(kind: Callable[[str], float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
        return value

    return convert


def _age(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit not in SECONDS_IN or not number.isascii() or not number.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no age, such as 90m, 12h or 30d")
    return int(number) * SECONDS_IN[unit]


def _add_completion(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    completion = commands.add_parser(
        "completion",
        help="print what completes commands and options in a shell",
        description="Print a script by which a shell completes commands and options. Try it: "
        'eval "$(contemplate completion bash)"',
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    _add_debugging(completion)
