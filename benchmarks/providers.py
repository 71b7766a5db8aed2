"""What the library can do with each provider: `python -m benchmarks.providers [--write]`.

Runs it against the imitations of `contemplate.testing.providers`, and prints a table, or writes it into docs/models.md.
For one provider: `python -m benchmarks.providers Groq`. For a real endpoint: `contemplate models check MODEL`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import anyio
from pydantic import BaseModel

from contemplate import Contemplator, aggregators, planners, strategies
from contemplate.events import OutputDelta
from contemplate.models import Model, OpenAIModel
from contemplate.models.openai.hosts import HOSTS, profile_at
from contemplate.models.openai.profile import Profile
from contemplate.models.probes.answers import red_square
from contemplate.modes import Mode
from contemplate.result import RunResult
from contemplate.testing import Provider, providers
from contemplate.testing.providers import ProviderDialect
from contemplate.usage import Usage

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
BEGIN, END = "<!-- providers: begin -->\n", "<!-- providers: end -->\n"
QUESTION = "What is 6 times 7?"
SECONDS = 30
MODES: tuple[Mode, ...] = get_args(Mode)


class Verdict(BaseModel):
    """A typed answer, with a mapping, which strict schemas cannot express."""

    answer: int
    why: str
    parts: dict[str, int]


@dataclass(frozen=True)
class Try:
    """How something is tried: with what model, and whether its calls are streamed."""

    model: Model
    stream: bool

    def mind(self, **options: Any) -> Contemplator[Any]:
        """Return a contemplator with that model."""
        return Contemplator(self.model, stream=self.stream, **options)


Capability = Callable[[Try], Awaitable[Usage]]


def _right(result: RunResult[Any]) -> Usage:
    """Check an answer: it is 42, it is whole, and none of the thoughts before it is part of it."""
    assert result.complete, result.notes
    assert "42" in str(result.output), result.output
    assert "13" not in str(result.output), result.output
    assert "<think>" not in str(result.output), result.output
    return result.usage


def _mode(mode: Mode) -> Capability:
    async def run(way: Try) -> Usage:
        return _right(await way.mind(mode=mode).run(QUESTION))

    return run


async def _programs(way: Try) -> Usage:
    planner = planners.sample(1, strategies=[strategies.code])
    return _right(await way.mind(planner=planner, aggregator=aggregators.first()).run(QUESTION))


async def _tools(way: Try) -> Usage:
    called: list[str] = []

    def multiply(a: int, b: int) -> int:
        """Multiply two numbers."""
        called.append("multiply")
        return a * b

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        called.append("add")
        return a + b

    result = await way.mind(mode="instant", tools=[multiply, add]).run(QUESTION)
    assert sorted(called) == ["add", "multiply"], called
    assert "1764" in result.output, result.output
    assert "84" in result.output, result.output
    return _right(result)


async def _typed(way: Try) -> Usage:
    result = await way.mind(mode="instant", output_type=Verdict).run(QUESTION)
    assert result.complete, result.notes
    assert result.output.answer == 42, result.output
    assert list(result.output.parts.values()) == [42], result.output
    return result.usage


async def _typed_with_tools(way: Try) -> Usage:
    called: list[int] = []

    def double(number: int) -> int:
        """Double a number."""
        called.append(number)
        return 2 * number

    result = await way.mind(mode="instant", tools=[double], output_type=Verdict).run(QUESTION)
    assert called == [42], called
    assert result.output.answer == 42, result.output
    return result.usage


async def _streaming(way: Try) -> Usage:
    text = ""
    async with Contemplator(way.model, mode="instant", stream=True).stream(QUESTION) as run:
        async for event in run:
            if isinstance(event, OutputDelta):
                text = "" if event.restart else text + event.text
    assert text == run.result.output, text
    return _right(run.result)


async def _images(way: Try) -> Usage:
    result = await way.mind(mode="instant").run("Which colour is this image?", images=[red_square(32)])
    assert "Red" in result.output, result.output
    return result.usage


CAPABILITIES: Mapping[str, Capability] = {
    **{mode: _mode(mode) for mode in MODES},
    "programs": _programs,
    "tools": _tools,
    "typed": _typed,
    "typed, with tools": _typed_with_tools,
    "streaming": _streaming,
    "images": _images,
}


@dataclass(frozen=True)
class Outcome:
    """What came of trying something twice.

    Args:
        works: whether both answers were right.
        refused: how many requests were refused in the first run, and in the second.
        counted: whether the library counted what the provider billed.
        problem: what went wrong.
    """

    works: bool
    refused: tuple[int, int]
    counted: bool
    problem: str = ""

    @property
    def word(self) -> str:
        """The outcome in a word."""
        if not self.works:
            return "no"
        return "yes" if not any(self.refused) else "learnt" if not self.refused[1] else "refused"


async def tried(dialect: ProviderDialect, capability: str, *, stream: bool, known: bool = True) -> Outcome:
    """Try something twice on the imitation of a provider.

    Args:
        dialect: the provider.
        capability: what is tried.
        stream: whether calls are streamed.
        known: whether what the library knows of the provider's own address holds at the imitation's, too; else all is
            to be learnt.
    """
    refused, counted = [0, 0], True
    profile = _known(dialect) if known else None
    with Provider(dialect) as server:
        # The imitations know nothing of the Responses API.
        model = OpenAIModel(server.model, base_url=server.url, api_key="key", profile=profile, api="chat")
        for place in (0, 1):
            before, billed = len(server.refused), server.billed
            try:
                with anyio.fail_after(SECONDS):
                    usage = await CAPABILITIES[capability](Try(model, stream))
            except Exception as error:
                return Outcome(False, (len(server.refused), 0), counted, f"{type(error).__name__}: {error}")
            refused[place] = len(server.refused) - before
            counted = counted and _counts(billed + usage) == _counts(server.billed)
    return Outcome(True, (refused[0], refused[1]), counted)


def _known(dialect: ProviderDialect) -> Profile:
    """Return what is known of a provider: what a name such as "groq:NAME" stands for, or else its address."""
    host = next((each for each in HOSTS if each.url == dialect.base_url), None)
    return profile_at(dialect.base_url, dialect.model) if host is None else host.profile_of(dialect.model)


def _counts(usage: Usage) -> tuple[int, ...]:
    return usage.calls, usage.input_tokens, usage.output_tokens, usage.cached_input_tokens


async def row(dialect: ProviderDialect) -> dict[str, str]:
    """Return what works with a provider, streamed and whole, by capability."""
    words: dict[str, str] = {}
    counted, works = True, False
    for capability in CAPABILITIES:
        outcomes = [await tried(dialect, capability, stream=stream) for stream in (False, True)]
        worst = max(outcomes, key=lambda each: ("yes", "learnt", "refused", "no").index(each.word))
        words[capability] = worst.word
        counted = counted and all(each.counted for each in outcomes)
        works = works or any(each.works for each in outcomes)
        if worst.problem:
            sys.stderr.write(f"{dialect.name}, {capability}: {worst.problem[:200]}\n")
    return {**words, "usage": "yes" if counted and works else "no"}


# The columns of the table, and the capabilities of which each tells the worst.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "instant, thinking": ("instant", "thinking"),
    "contemplating, auto": ("contemplating", "auto"),
    "vote": ("vote",),
    "refine, council": ("refine", "council"),
    "programs": ("programs",),
    "tools": ("tools",),
    "typed": ("typed",),
    "both": ("typed, with tools",),
    "streaming": ("streaming",),
    "images": ("images",),
    "usage": ("usage",),
}


def line(dialect: ProviderDialect, words: Mapping[str, str]) -> str:
    """Return a provider's line of the table."""
    order = ("yes", "learnt", "refused", "no")
    cells = [max((words[each] for each in names), key=order.index) for names in COLUMNS.values()]
    sources = " ".join(f"[{place}]({url})" for place, url in enumerate(dialect.sources, start=1))
    return f"| {dialect.name} | `{dialect.model}` | {' | '.join(cells)} | {sources} |"


async def table(dialects: tuple[ProviderDialect, ...]) -> str:
    """Return the table in Markdown."""
    names = ["provider", "model", *COLUMNS, "sources"]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [line(dialect, await row(dialect)) for dialect in dialects]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.providers", description=__doc__)
    parser.add_argument("provider", nargs="?", help="only those whose name begins so")
    parser.add_argument("--write", action="store_true", help="write the table into docs/models.md")
    given = parser.parse_args()
    chosen = tuple(each for each in providers.ALL if each.name.startswith(given.provider or ""))
    text = anyio.run(table, chosen)
    if not given.write or given.provider:
        sys.stdout.write(text)
        return
    page = PAGE.read_text("utf-8")
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}{text}{END}", page, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
