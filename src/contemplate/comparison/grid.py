"""`compare`: each question in each way, one way after the other, gone on with where it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from ..arguments import checked_arguments, is_async
from ..batch.items import BatchItem, BatchResult, run_id
from ..batch.mapping import MapOptions
from ..batch.meter import BatchProgress
from ..budget import Budget
from ..contemplator import Contemplator, opened_journal
from ..errors import BatchStopped, ConfigurationError, ContemplateError
from ..redaction import redact
from ..run.answer_keys import Key
from ..run.sync import run_blocking
from ..usage import NOTHING
from .examples import examples_of
from .metrics import Metric, check_expected, equal_answers
from .outcomes import Scored, scored
from .report import ComparisonReport
from .way_report import WayReport

if TYPE_CHECKING:
    from ..journal import Journal

_NAME = re.compile(r"[A-Za-z0-9._-]{1,23}")
_LONGEST_WAY = 60
# Of a digest, after the name and a "-": a batch is called by at most 32 characters.
_DIGITS = 8

Questions = Iterable[str | BatchItem]
OnProgress = Callable[[str, BatchProgress], object]


@checked_arguments
async def compare(
    ways: Mapping[str, Any],
    questions: Iterable[Any],
    *,
    metric: Metric | None = None,
    key: Key | None = None,
    against: str | None = None,
    name: str = "comparison",
    journal: str | Journal | None = None,
    concurrency: int = 16,
    budget: Budget | None = None,
    give_up_after: int | None = 50,
    on_progress: OnProgress | None = None,
) -> ComparisonReport:
    """Ask each question in each way, score the answers, and return how often each way is right, and what it costs.

    A run that fails as its way does, such as a program that cannot be mended, counts as wrong. One that fails for want
    of a server, a key or money says nothing of the way: it does not count, and the report tells of it.

    Args:
        ways: contemplators by the names of their ways.
        questions: `Example`s, with the answers that are expected; texts do where the metric needs none.
        metric: scores a result: a function of the `RunResult` and what was expected that returns True or False, or a
            number, of which more is better; it may be async. If None, an answer is right if its key is that of the
            expected one.
        key: that key, as for `aggregators.vote`; if None, `answers.final` for text and `answers.typed` for values.
        against: the way with which the others are compared; the first one if None.
        name: what to call it in the journal: 1 to 23 letters, digits, ".", "_" or "-".
        journal: where all runs are recorded, whatever journals the ways have: called again under the same name, it
            goes on where it was. A way that was changed meanwhile is asked anew. Equal requests, of whatever way, are
            asked once: those at temperature 0, and samples with equal seeds. They count for each way as if it were
            alone; what was paid for is the `spent` of the report.
        concurrency: how many runs are in progress at the same time.
        budget: what all runs may spend together.
        give_up_after: if so many questions in a row fail in one way, its rest is not asked; None for never.
        on_progress: is called with the name of the way and its `BatchProgress` after each question.

    Raises:
        ConfigurationError: an argument is wrong; nothing was asked.
        JournalError: the journal cannot be read; nothing was asked.
    """
    _check(ways, metric, key, against, name, on_progress)
    items = examples_of(questions)
    if metric is None:
        check_expected(items, key)
    rules = _Rules(name, metric or equal_answers(key), concurrency, budget, give_up_after, on_progress)
    shared = None
    if journal is not None:
        from ..journal import SharedAnswers

        journal = opened_journal(journal)
        # It is opened when it is first read: an error is to come before anything is asked.
        await anyio.to_thread.run_sync(journal.load, "")
        shared = SharedAnswers(journal)
    # All of them first: what is wrong with the last one is to be said before the first one is paid for.
    started = {
        way: _Way(way, mind if journal is None else mind.with_journal(journal, answers=shared))
        for way, mind in ways.items()
    }
    for each in started.values():
        each.check(rules)
    reports = {way: await each.ask(items, rules) for way, each in started.items()}
    # Without a journal, nothing is known before, nor shared.
    alone = (each.usage for way in reports.values() for each in way.outcomes)
    spent = sum(alone, NOTHING) if shared is None else shared.spent
    return ComparisonReport(name, reports, next(iter(ways)) if against is None else against, spent)


def _check(
    ways: Mapping[str, object],
    metric: Metric | None,
    key: Key | None,
    against: str | None,
    name: str,
    on_progress: OnProgress | None,
) -> None:
    if not ways:
        raise ConfigurationError("compare(ways=...) is empty", hint='{"instant": Contemplator(mode="instant"), ...}')
    for way, mind in ways.items():
        if not isinstance(mind, Contemplator):
            kind = mind.__name__ if isinstance(mind, type) else type(mind).__name__
            raise ConfigurationError(
                f"the way {way!r:.80} is a {kind}", hint='an instance: Contemplator(model, mode="vote")'
            )
        if not isinstance(way, str) or not way.strip() or not way.isprintable() or len(way) > _LONGEST_WAY:
            raise ConfigurationError(f"the way {way!r:.80}", hint=f"a text of one line, of at most {_LONGEST_WAY}")
    if against is not None and against not in ways:
        raise ConfigurationError(f"compare({against=})", hint=f"one of the ways: {', '.join(map(repr, ways))}")
    if metric is not None and key is not None:
        raise ConfigurationError("compare(metric=..., key=...)", hint="a key is for the default metric: give one")
    if is_async(key):
        raise ConfigurationError("compare(key=...) is async", hint="a plain function; a metric may be async")
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"compare(name={name!r:.80})", hint="1 to 23 letters, digits, '.', '_' or '-'")
    if is_async(on_progress):
        raise ConfigurationError("compare(on_progress=...) is async, and progress does not wait", hint="a plain one")


def compare_sync(ways: Mapping[str, Contemplator[Any]], questions: Questions, **options: Any) -> ComparisonReport:
    """Call `compare` from synchronous code. Works where an event loop is running, too, as in a notebook."""
    return run_blocking(lambda: compare(ways, questions, **options))


@dataclass(frozen=True, slots=True)
class _Rules:
    """What holds for all ways."""

    name: str
    metric: Metric
    concurrency: int
    budget: Budget | None
    give_up_after: int | None
    on_progress: OnProgress | None


class _Way:
    def __init__(self, name: str, mind: Contemplator[Any]) -> None:
        self._name = name
        self._mind = mind
        self._found: dict[int, Scored] = {}
        self._unscored = 0

    def check(self, rules: _Rules) -> None:
        """Check what `map` checks, without asking anything."""
        self._mind.map((), **self._options(rules))

    async def ask(self, items: Sequence[BatchItem], rules: _Rules) -> WayReport:
        """Return what comes of all questions; an error that ends them costs neither what came nor the other ways."""
        stopped = None
        try:
            await self._ask(items, rules)
        except ContemplateError as error:
            stopped = redact(str(error))
        return WayReport(self._name, tuple(self._found[index] for index in sorted(self._found)), stopped)

    async def _ask(self, items: Sequence[BatchItem], rules: _Rules) -> None:
        ended = None
        slots = anyio.Semaphore(rules.concurrency)

        async def score(done: BatchResult[Any]) -> None:
            try:
                outcome = await scored(done, items[done.index], rules.metric)
            finally:
                slots.release()
            self._found[done.index] = outcome
            self._unscored = self._unscored + 1 if outcome.has_no_metric else 0

        async with (
            self._mind,
            anyio.create_task_group() as group,
            aclosing(self._mind.map(items, **self._options(rules))) as results,
        ):
            try:
                async for done in results:
                    self._check_metric(rules)
                    # A metric may ask a model, too.
                    await slots.acquire()
                    group.start_soon(score, done)
            except Exception as error:
                # The group would wrap it.
                ended = error
        if ended is not None:
            raise ended

    def _check_metric(self, rules: _Rules) -> None:
        if rules.give_up_after is not None and self._unscored >= rules.give_up_after:
            raise BatchStopped(
                f"the metric failed on {self._unscored} answers in a row, and the rest is not asked",
                hint="mend it, and call it again; with a journal, what was answered is not asked again",
            )

    def _options(self, rules: _Rules) -> MapOptions:
        options = MapOptions(concurrency=rules.concurrency, give_up_after=rules.give_up_after)
        if rules.budget is not None:
            options["budget"] = rules.budget
        if rules.on_progress is not None:
            options["on_progress"] = partial(rules.on_progress, self._name)
        if self._mind.journal is not None:
            options["name"] = _batch(rules.name, self._name, self._mind)
            options["labels"] = {"comparison": rules.name, "way": self._name}
        return options


def run_of(name: str, way: str, mind: Contemplator[Any], question: str, id_: str) -> str:
    """Return what the run of a question in a way is called in the journal.

    Args:
        name: the name of the comparison.
        way: the name of the way.
        mind: its contemplator.
        question: the question.
        id_: its id.
    """
    return run_id(_batch(name, way, mind), 0, BatchItem(question, id=id_))


def _batch(name: str, way: str, mind: Contemplator[Any]) -> str:
    # By what it is made of, too: what another way has answered under this name is not its answer.
    made_of = sha256(f"{way}\0{mind!r}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name}-{made_of[:_DIGITS]}"
