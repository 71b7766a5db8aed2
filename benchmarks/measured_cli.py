"""The command line that benchmarks of ways of thinking have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from contemplate.journal import Journal
from contemplate.models import Model, OpenAIModel, resolve
from contemplate.settings import ModelSettings
from contemplate.usage import FREE

from .measured import Kept, Known, Models, Question, Sharing, Ways, ask, made, read, with_shared, write

# For a call, of which many share a machine that may have other work.
SECONDS = 3600


def add_arguments(parser: argparse.ArgumentParser, ways: Ways) -> None:
    """Add what all of them take."""
    parser.add_argument("--journal", type=Path, help="where every call is kept; in memory if not given")
    parser.add_argument("--model", default="local:qwen2.5-coder-1.5b")
    parser.add_argument("--base-url", help="where an OpenAI-compatible server runs it; in this process if not given")
    parser.add_argument("--cheap", default="local:qwen2.5-coder-0.5b", help="the other model of ways of two")
    parser.add_argument("--cheap-base-url", help="where a server runs that one")
    parser.add_argument("--seed", type=int, default=0, help="which questions")
    parser.add_argument("--first", type=int, help="ask no more than so many of the questions")
    parser.add_argument("--ways", nargs="*", default=list(ways), choices=list(ways), metavar="WAY")
    parser.add_argument("--raw", type=Path, help="what all calls brought, *.jsonl.gz: read before, written after")
    parser.add_argument("--offline", action="store_true", help="ask no model: count what --raw has")


def kept_of(given: argparse.Namespace, ways: Ways, questions: Sequence[Question]) -> Kept:
    """Ask what was not asked yet, as the arguments say, and return all that is kept."""
    kept = Kept() if given.raw is None else read(given.raw)
    if given.offline:
        return kept
    journal = Journal(given.journal)
    models = Models(_model(given.model, given.base_url), _model(given.cheap, given.cheap_base_url))
    # One way after the other, each with what those before it have said.
    for name in given.ways:
        chosen, asked = {name: ways[name]}, questions[: given.first]
        try:
            anyio.run(asked_in, chosen, asked, models, journal, kept)
        finally:
            kept = together(ways, questions, journal, kept)
            if given.raw is not None:
                write(given.raw, kept)
    return kept


async def asked_in(ways: Ways, questions: Sequence[Question], models: Models, journal: Journal, kept: Kept) -> None:
    """Ask `questions` in these ways, but for runs that are kept, and for calls that they have in common with those."""
    known = Known(with_shared(ways, questions, kept.calls))

    def models_for(way: str) -> Models:
        return Models(*(Sharing(each, known, way) for each in models))

    found = await ask(ways, questions, models_for, journal, kept.runs)
    for way, report in found.items():
        for each in report.outcomes:
            if each.error is not None:
                print(f"{way}, {each.id}: {each.error}", file=sys.stderr)


def together(ways: Ways, questions: Sequence[Question], journal: Journal, kept: Kept) -> Kept:
    """What is kept, and what the journal has of other runs, but for the calls that they have in common with those."""
    return kept | made(ways, questions, journal, Known(with_shared(ways, questions, kept.calls)))


def _model(name: str, base_url: str | None) -> Model:
    if base_url is None:
        return resolve(name)
    return OpenAIModel(name, base_url=base_url, api_key="none", price=FREE, settings=ModelSettings(timeout=SECONDS))
