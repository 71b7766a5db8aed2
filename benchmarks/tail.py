"""What an early stop and a hedge save: `python -m benchmarks.tail FOLDER`.

Votes of n recorded answers on a virtual clock, whose calls are slow as real ones are: with a heavy tail, and with a
stall now and then. The baseline gathers all n. The second call of a hedge waits anew for its first token, and then says
the same as the first would have said, in the same time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio

from contemplate import Contemplator, Message, ModelSettings, aggregators, answers, planners
from contemplate.aggregators.vote import Stop
from contemplate.models import Hedge, Model, ModelRequest
from contemplate.models.wrappers.hedge import OBSERVATIONS_NEEDED

from .recordings import Question, load
from .virtual import SETTINGS, Timed, Turn, calls_for, decoding, first_token, quantile, run_virtually, taken

SIZES = (8, 16, 64)
FEWEST_SAMPLES = 10
MOST_OF_GATHERED = {8: 0.55, 16: 0.40, 64: 0.25}
ALL_SETS = "all questions"

GATHERED = "gather all"
EXACT = "exact stop + hedge"
BETA = "Beta 0.95 + hedge"
ALL_HEDGED = "full vote + hedge"
EXACT_ALONE = "exact stop"


@dataclass(frozen=True, slots=True)
class Way:
    """A vote of the library's: when it stops, and whether calls are hedged."""

    stop: Stop | None
    hedged: bool


WAYS = {
    EXACT: Way("exact", True),
    BETA: Way("beta", True),
    EXACT_ALONE: Way("exact", False),
    ALL_HEDGED: Way(None, True),
}


@dataclass(frozen=True, slots=True)
class Draw:
    """One question with what n calls say, how slow they are, and how slow to begin a second call would be."""

    question: str
    turns: tuple[Turn, ...]
    second: tuple[float, ...]

    @classmethod
    def of(cls, question: Question, n: int, seed: str) -> Draw:
        """Draw n answers from those recorded, with replacement, and their times."""
        rng = random.Random(seed)
        said = [f"So it is.\n\nAnswer: {sample.answer or ''}" for sample in rng.choices(question.samples, k=n)]
        turns = tuple(Turn(first_token(rng), decoding(rng), each) for each in said)
        return cls(question.question or question.id, turns, tuple(first_token(rng) for _ in said))

    def winner(self) -> str | None:
        """Which answer most calls give, and of several such the one that was asked for first: by hand."""
        keys = [key for key in (answers.final(turn.text) for turn in self.turns) if key is not None]
        return max(keys, key=Counter(keys).__getitem__, default=None)


@dataclass(frozen=True, slots=True)
class Spent:
    """One vote: seconds until its answer, tokens decoded, calls made, and the answer's key."""

    seconds: float
    tokens: float
    calls: int
    winner: str | None


class Simulation:
    """One model, and for each way one wrapper that lives as long as a user's process: it has to learn what is late."""

    def __init__(self) -> None:
        self._model = Timed()
        self._wrapped: dict[str, Model] = {
            name: Hedge(self._model) if way.hedged else self._model for name, way in WAYS.items()
        }

    async def warm_up(self) -> None:
        """Let the wrappers see as many first tokens as they need before they make a second call."""
        rng = random.Random("warm-up")
        self._model.turn = lambda _: Turn(first_token(rng), 0, "warm")
        for wrapped in self._wrapped.values():
            for _ in range(OBSERVATIONS_NEEDED):
                await wrapped.request(ModelRequest((Message.user("hello"),)))

    async def votes(self, draw: Draw) -> dict[str, Spent]:
        """The same draw in every way."""
        spent = {GATHERED: await self._spent(draw, lambda: self._gathered(draw))}
        for name in WAYS:
            spent[name] = await self._spent(draw, lambda: self._voted(draw, name))  # noqa: B023
        return spent

    async def _spent(self, draw: Draw, vote: Callable[[], Awaitable[str | None]]) -> Spent:
        tokens, calls = self._model.tokens, self._model.calls
        self._model.turn = calls_for(draw.turns, draw.second)
        seconds, winner = await taken(vote)
        return Spent(seconds, self._model.tokens - tokens, self._model.calls - calls, winner)

    async def _gathered(self, draw: Draw) -> str | None:
        async with anyio.create_task_group() as group:
            for i in range(len(draw.turns)):
                asked = ModelRequest((Message.user(draw.question),), ModelSettings(seed=i))
                group.start_soon(self._model.request, asked)
        return draw.winner()

    async def _voted(self, draw: Draw, way: str) -> str | None:
        mind = Contemplator(
            self._wrapped[way],
            planner=planners.sample(len(draw.turns)),
            aggregator=aggregators.vote(stop=WAYS[way].stop),
        )
        result = await mind.run(draw.question)
        assert result.complete
        return answers.final(result.text)


@dataclass(frozen=True, slots=True)
class Row:
    """The votes of one draw. `seed` makes the draw again."""

    set: str
    n: int
    seed: str
    spent: dict[str, Spent]


def usable(folder: Path) -> dict[str, list[Question]]:
    """The recorded sets with enough answers of each question that drawing from them is like asking.

    Raises:
        FileNotFoundError: there are none.
    """
    sets = {
        name: questions
        for name, questions in load(folder).items()
        if min(len(each.samples) for each in questions) >= FEWEST_SAMPLES
    }
    if not sets:
        raise FileNotFoundError(f"no set in {folder} has {FEWEST_SAMPLES} answers of each question")
    return sets


def together(sets: Mapping[str, Sequence[Question]]) -> dict[str, list[Question]]:
    """All questions as one set, in which each counts the same."""
    return {ALL_SETS: [each for questions in sets.values() for each in questions]}


def measured(sets: Mapping[str, Sequence[Question]], runs: int, seed: int, sizes: Sequence[int] = SIZES) -> list[Row]:
    """So many votes of each size on random questions of each set, one after the other as one process would.

    A draw in which no answer can be read is left out: there is nothing to vote on.
    """

    async def all_of_them() -> list[Row]:
        simulation, rows = Simulation(), []
        await simulation.warm_up()
        for n in sizes:
            for name, questions in sets.items():
                for number in range(runs):
                    draw_seed = f"{seed}/{name}/{n}/{number}"
                    draw = Draw.of(random.Random(draw_seed).choice(questions), n, draw_seed)
                    if draw.winner() is not None:
                        rows.append(Row(name, n, draw_seed, await simulation.votes(draw)))
        return rows

    return run_virtually(all_of_them)


def show(rows: Sequence[Row]) -> list[str]:
    """Print the table, as markdown, and return what is not as it is required to be."""
    failures = []
    print("| n | Set | Way | seconds: median | 95 % | of gathering all: median | tokens | calls | same answer |")
    print("|--:|---|---|--:|--:|--:|--:|--:|--:|")
    for n, name in dict.fromkeys((row.n, row.set) for row in rows):
        votes = [row.spent for row in rows if (row.n, row.set) == (n, name)]
        gathered = [each[GATHERED] for each in votes]
        for way in votes[0]:
            spent = [each[way] for each in votes]
            seconds, tail = (quantile([each.seconds for each in spent], share) for share in (0.5, 0.95))
            ratio = seconds / quantile([each.seconds for each in gathered], 0.5)
            tokens = sum(each.tokens for each in spent) / sum(each.tokens for each in gathered)
            calls = sum(each.calls for each in spent) / len(spent)
            others = sum(mine.winner != theirs.winner for mine, theirs in zip(spent, gathered, strict=True))
            same = 100 * (1 - others / len(votes))
            print(
                f"| {n} | {name} | {way} | {seconds:.0f} | {tail:.0f} "
                f"| {ratio:.2f} | {tokens:.2f} | {calls:.1f} | {same:.1f} % |"
            )
            if others and way != BETA:
                failures.append(f"n = {n}, {name}, {way}: {others} other answers than all votes give")
            if way == EXACT and name == ALL_SETS and ratio > MOST_OF_GATHERED[n]:
                failures.append(f"n = {n}, {way}: {ratio:.3f} of the time, required are {MOST_OF_GATHERED[n]}")
    return failures


def main() -> int:
    """Print what was measured; 1 if something is not as it is required to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="holds the recordings, *.jsonl.gz")
    parser.add_argument("--runs", type=int, default=1000, help="votes of each size on all sets, and a fifth on each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the raw figures to this file, as JSON")
    given = parser.parse_args()
    sets = usable(given.folder)
    rows = measured(together(sets), given.runs, given.seed) + measured(sets, given.runs // 5, given.seed)
    failures = show(rows)
    if given.out:
        raw = {"settings": SETTINGS, "votes": [asdict(row) for row in rows]}
        given.out.write_text(json.dumps(raw, indent=1) + "\n")
    for failure in failures:
        print(f"MISSED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
