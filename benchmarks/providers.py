"""What the library can do with each provider: `python -m benchmarks.providers [--write]`.

Runs it against the imitations of `contemplate.testing.providers`, and prints a table, or writes it into docs/models.md.
For one provider: `python -m benchmarks.providers Groq`. For real servers: `python -m benchmarks.real_servers`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from benchmarks.capabilities import CAPABILITIES, Try
from contemplate.models import OpenAIModel
from contemplate.models.openai.hosts import HOSTS, profile_at
from contemplate.models.openai.profile import Profile
from contemplate.testing import Provider, providers
from contemplate.testing.providers import ProviderDialect
from contemplate.usage import Usage

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
BEGIN, END = "<!-- providers: begin -->\n", "<!-- providers: end -->\n"
SECONDS = 30
WORDS = ("yes", "learnt", "refused", "wrong", "no")


@dataclass(frozen=True)
class Outcome:
    """What came of trying something twice.

    Args:
        works: whether both answers came.
        right: whether both were right.
        refused: how many requests were refused in the first run, and in the second.
        counted: whether the library counted what the provider billed.
        problem: what went wrong.
    """

    works: bool
    refused: tuple[int, int]
    counted: bool
    problem: str = ""
    right: bool = True

    @property
    def word(self) -> str:
        """The outcome in a word."""
        if not self.works:
            return "no" if self.right else "wrong"
        return "yes" if not any(self.refused) else "learnt" if not self.refused[1] else "refused"


@dataclass(frozen=True)
class Endpoint:
    """Where something is tried.

    Args:
        model: the model there.
        refused: how many requests were refused so far; None if that is seen from what the model learns.
        billed: what was billed so far; None if nobody but the server knows.
    """

    model: OpenAIModel
    refused: Callable[[], int] | None = None
    billed: Callable[[], Usage] | None = None


async def tried(dialect: ProviderDialect, capability: str, *, stream: bool, known: bool = True) -> Outcome:
    """Try something twice on the imitation of a provider.

    Args:
        dialect: the provider.
        capability: what is tried.
        stream: whether calls are streamed.
        known: whether what the library knows of the provider's own address holds at the imitation's, too; else all is
            to be learnt.
    """
    profile = _known(dialect) if known else None
    with Provider(dialect) as server:
        # The imitations know nothing of the Responses API.
        model = OpenAIModel(server.model, base_url=server.url, api_key="key", profile=profile, api="chat")
        outcome = await tried_at(at_imitation(model, server), capability, stream=stream)
    # What an imitation says is right.
    return replace(outcome, right=True)


def at_imitation(model: OpenAIModel, server: Provider) -> Endpoint:
    """Return the endpoint of a model whose answers come from an imitation, which counts."""
    return Endpoint(model, lambda: len(server.refused), lambda: server.billed)


async def tried_at(endpoint: Endpoint, capability: str, *, stream: bool, seconds: float = SECONDS) -> Outcome:
    """Try something twice at an endpoint."""
    refused, counted = [0, 0], True
    for place in (0, 1):
        profile = endpoint.model.profile
        before = endpoint.refused() if endpoint.refused else 0
        billed = endpoint.billed() if endpoint.billed else None
        try:
            with anyio.fail_after(seconds):
                usage = await CAPABILITIES[capability](Try(endpoint.model, stream))
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            return Outcome(False, (refused[0], 0), counted, problem, right=not isinstance(error, AssertionError))
        learnt = int(endpoint.model.profile != profile)
        refused[place] = endpoint.refused() - before if endpoint.refused else learnt
        if billed is None or endpoint.billed is None:
            counted = counted and usage.input_tokens > 0 and usage.output_tokens > 0
        else:
            counted = counted and _counts(billed + usage) == _counts(endpoint.billed())
    return Outcome(True, (refused[0], refused[1]), counted)


def _known(dialect: ProviderDialect) -> Profile:
    """Return what is known of a provider: what a name such as "groq:NAME" stands for, or else its address."""
    host = next((each for each in HOSTS if each.url == dialect.base_url), None)
    return profile_at(dialect.base_url, dialect.model) if host is None else host.profile_of(dialect.model)


def _counts(usage: Usage) -> tuple[int, ...]:
    return usage.calls, usage.input_tokens, usage.output_tokens, usage.cached_input_tokens


async def row(dialect: ProviderDialect) -> dict[str, str]:
    """Return what works with a provider, streamed and whole, by capability."""
    return await row_of(dialect.name, lambda capability, stream: tried(dialect, capability, stream=stream))


async def row_of(name: str, tries: Callable[[str, bool], Awaitable[Outcome]]) -> dict[str, str]:
    """Return what works, streamed and whole, by capability; problems are told as they come.

    Args:
        name: what is tried.
        tries: tries a capability, streamed or whole.
    """
    words: dict[str, str] = {}
    counted, works = True, False
    for capability in CAPABILITIES:
        outcomes = [await tries(capability, stream) for stream in (False, True)]
        worst = max(outcomes, key=lambda each: WORDS.index(each.word))
        words[capability] = worst.word
        counted = counted and all(each.counted for each in outcomes)
        works = works or any(each.works for each in outcomes)
        if worst.problem:
            sys.stderr.write(f"{name}, {capability}: {worst.problem[:300]}\n")
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
    sources = " ".join(f"[{place}]({url})" for place, url in enumerate(dialect.sources, start=1))
    return f"| {dialect.name} | `{dialect.model}` | {cells(words)} | {sources} |"


def cells(words: Mapping[str, str]) -> str:
    """Return the cells of a line, of which each tells the worst of its capabilities."""
    return " | ".join(max((words[each] for each in names), key=WORDS.index) for names in COLUMNS.values())


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
