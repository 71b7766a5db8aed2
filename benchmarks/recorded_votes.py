"""The library's vote over recorded answers of real models: `python -m benchmarks.recorded_votes FOLDER`.

Needs no model. What is claimed of the exact early stop, the Beta stop, the certificate, the weights, the keys and a
checker is measured here, each question in many orders, and compared with what is known of the same recordings.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import anyio

from contemplate import Answer, Contemplator, RunContext, Task, TaskContext, TaskResult, aggregators, answers
from contemplate.aggregators.certificate import Certificate
from contemplate.aggregators.early_stopping import Ballot
from contemplate.aggregators.weights import log_odds
from contemplate.errors import AggregationError
from contemplate.testing import ScriptedModel

from .game24 import makes_24
from .recordings import Question, load

BETA_CONFIDENCE = 0.95
BETA_CAP = 40
CERTIFIED_ERROR = 0.05
WEIGHTED_SEEDS = 40

# Accuracy in per cent and samples used, measured independently of this library; and how far off is still the same.
KNOWN_BETA = {
    "tot_game24_gpt4_cot": (9.0, 35.3, 0.4),
    "tot_game24_gpt4_io": (9.4, 20.7, 0.4),
    "brumo2025_deepconf_b128": (52.7, 21.5, 1.0),
    "cruxeval_output_codellama7b": (34.3, 6.2, 0.4),
    "zeroeval_gsm": (96.9, 6.5, 0.4),
    "aiw_multi": (74.9, 11.8, 1.0),
}
KNOWN_WEIGHTED = {"zeroeval_gsm": 97.0, "gsm8k_openai_4": 55.5}
KNOWN_CHECKED = {"tot_game24_gpt4_cot": 49, "tot_game24_gpt4_io": 33}
SAMPLES_TOLERANCE = 0.4


@dataclass(slots=True)
class Tries:
    """Sums over questions and orders."""

    tries: int = 0
    samples: int = 0
    right: int = 0
    used: int = 0
    other_answer: int = 0
    beta_right: int = 0
    beta_used: int = 0
    certified: int = 0
    certified_wrong: int = 0
    certificate_right: int = 0
    certificate_used: int = 0

    def add(self, other: Tries) -> None:
        """Add to each sum that of `other`."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Measured:
    """What came out for one set: accuracies in per cent, samples as means per question."""

    questions: int
    samples: float
    single: float
    vote: float
    exact_used: float
    exact_other_answers: int
    beta: float
    beta_used: float
    certificate: float
    certificate_used: float
    certified: float
    certified_wrong: float
    weighted: float | None = None
    weighted_used: float | None = None
    weighted_other_answers: int | None = None
    checked: int | None = None
    raw_vote: float | None = None
    key_vote: float | None = None
    key_differs: int | None = None
    failures: list[str] = field(default_factory=list)


def count(question: Question, seeds: int) -> Tries:
    """Vote on a question in `seeds` orders: in full, and with each stop: exact, Beta, certificate."""
    total = Tries()
    arrivals = list(range(len(question.samples)))
    for given, rng in _orders(question, seeds):
        winner, used = _beta(given, rng)
        total.beta_right += winner in question.right
        total.beta_used += used
        rng.shuffle(arrivals)
        ballot = Ballot()
        ballot.launch(len(given))
        total.add(_exact(ballot, [(answer, 1) for answer in given], arrivals, question.right))
        total.add(_certificate(given, ballot, question.right))
    return total


def count_beta(question: Question, seeds: int) -> Tries:
    """The same of the Beta stop alone, in the same orders."""
    found = [_beta(given, rng) for given, rng in _orders(question, seeds)]
    right = sum(winner in question.right for winner, _ in found)
    return Tries(tries=seeds, beta_right=right, beta_used=sum(used for _, used in found))


def _orders(question: Question, seeds: int) -> Iterator[tuple[list[str | None], random.Random]]:
    """Yield the answers in one order after the other, with the chance that is left of it."""
    given = [sample.answer for sample in question.samples]
    for seed in range(seeds):
        rng = random.Random(f"{seed}:{question.id}")
        rng.shuffle(given)
        yield given, rng


def _certificate(given: Sequence[str | None], full: Ballot, right: frozenset[str]) -> Tries:
    """The stop with a certificate, or with a decided vote; as they come in the order of launch, nothing is random."""
    ballot, certificate = Ballot(), Certificate(CERTIFIED_ERROR)
    ballot.launch(len(given))
    for call, answer in enumerate(given):
        ballot.cast(call, answer)
        certificate.cast(call, answer)
        if certificate.certified is not None or ballot.decided():
            break
    votes, winner = full.votes, ballot.leader()
    certified = certificate.certified
    return Tries(
        certified=certified is not None,
        # Of two answers with as many votes, neither is the more probable one.
        certified_wrong=certified is not None and votes[certified] < max(votes.values()),
        certificate_right=winner in right,
        certificate_used=len(given) - ballot.out,
    )


def _exact(
    ballot: Ballot, votes: Sequence[tuple[str | None, float]], arrivals: Iterable[int], right: frozenset[str]
) -> Tries:
    """`votes` in launch order, which come in as `arrivals` says."""
    used, early = 0, None
    for call in arrivals:
        if not used and ballot.decided():
            used, early = len(votes) - ballot.out, ballot.leader()
        ballot.cast(call, *votes[call])
    winner = ballot.leader()
    stopped_wrong = used > 0 and early != winner
    return Tries(1, len(votes), winner in right, used or len(votes), stopped_wrong)


def _beta(given: Sequence[str | None], rng: random.Random) -> tuple[str | None, int]:
    ballot = Ballot()
    drawn = given[:BETA_CAP]
    ballot.launch(len(drawn))
    for call, answer in enumerate(drawn):
        ballot.cast(call, answer)
        if ballot.confidence() >= BETA_CONFIDENCE:
            break
    votes = ballot.votes
    # Uniformly among the leaders, unlike the library: the figures to compare with were made so.
    best = sorted(key for key in votes if votes[key] == max(votes.values()))
    return rng.choice(best) if best else None, len(drawn) - ballot.out


def weigh(questions: Sequence[Question], seeds: int) -> tuple[float, Tries]:
    """The accuracy in per cent of a vote weighted by log-odds that were learnt on the other half of the questions.

    And the exact stop with these weights, in `seeds` orders.
    """
    halves = questions[::2], questions[1::2]
    right, total = 0, Tries()
    for learnt_on, voted_on in (halves, halves[::-1]):
        weights = learn(learnt_on)
        for question in voted_on:
            votes = [(sample.answer, weights[str(sample.model)]) for sample in question.samples]
            right += _weighted(votes, range(len(votes)), question.right).right
            for seed in range(seeds):
                rng = random.Random(f"{seed}:{question.id}")
                rng.shuffle(votes)
                total.add(_weighted(votes, rng.sample(range(len(votes)), len(votes)), question.right))
    return 100 * right / len(questions), total


def learn(questions: Sequence[Question]) -> dict[str, float]:
    """The weight of each model's vote."""
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for question in questions:
        for sample in question.samples:
            outcomes[str(sample.model)].append(sample.correct)
    return {model: log_odds((sum(seen) + 1) / (len(seen) + 2)) for model, seen in outcomes.items()}


def _weighted(votes: Sequence[tuple[str | None, float]], arrivals: Iterable[int], right: frozenset[str]) -> Tries:
    ballot = Ballot()
    for launched, (_, weight) in enumerate(votes, start=1):
        ballot.launch(launched, heaviest=weight)
    return _exact(ballot, votes, arrivals, right)


def compare_keys(questions: Sequence[Question]) -> tuple[float, float, int]:
    """Votes over the completed answers, in per cent right: as strings, and by `answers.math`.

    And how many samples `answers.math` counts for another answer than the recording does.
    """
    by_string = by_key = differs = 0
    for question in questions:
        gold = answers.math(_boxed(question.gold or ""))
        strings, keys = Ballot(), Ballot()
        classes: dict[str | None, list[str | None]] = defaultdict(list)
        for call, sample in enumerate(question.samples):
            raw = sample.raw if sample.raw is not None else sample.answer
            key = None if raw is None else answers.math(_boxed(raw))
            classes[key].append(sample.answer)
            strings.launch(call + 1)
            keys.launch(call + 1)
            strings.cast(call, raw if sample.group == "completed" else None)
            keys.cast(call, key if sample.group == "completed" else None)
        by_string += strings.leader() == question.gold
        by_key += keys.leader() == gold
        differs += _misplaced(classes)
    return 100 * by_string / len(questions), 100 * by_key / len(questions), differs


def _boxed(raw: str) -> str:
    return f"\\boxed{{{raw}}}"


def _misplaced(classes: Mapping[str | None, Sequence[str | None]]) -> int:
    """How many samples would have to move for two ways of sorting them into classes to be one."""
    best: dict[str | None, int] = defaultdict(int)
    for recorded in classes.values():
        most = max(set(recorded), key=recorded.count)
        best[most] = max(best[most], recorded.count(most))
    return sum(map(len, classes.values())) - sum(best.values())


async def found_by_check(recorded: Question) -> bool:
    """Whether `aggregators.check` finds an answer that makes 24 among the recorded ones; each run is a whole one."""

    async def answer(task: Task, ctx: TaskContext) -> Answer:
        return Answer(given[task.id])

    async def makes_24_of_these(result: TaskResult) -> bool:
        return makes_24(recorded.question, result.text)

    async def samples(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for name in given:
            yield Task(id=name, prompt=question, kind="candidate")

    given = {f"sample-{number}": sample.answer or "" for number, sample in enumerate(recorded.samples, start=1)}
    mind = Contemplator(
        ScriptedModel([]), planner=samples, agent=answer, aggregator=aggregators.check(makes_24_of_these)
    )
    try:
        result = await mind.run(recorded.question)
    except AggregationError:
        return False
    return result.support[0] in given and makes_24(recorded.question, result.output)


def measure(name: str, questions: Sequence[Question], tries: Tries) -> Measured:
    """All that is measured of a set; `tries` are the sums of `count` over its questions."""
    single = [sum(each.correct for each in question.samples) / len(question.samples) for question in questions]
    measured = Measured(
        questions=len(questions),
        samples=tries.samples / tries.tries,
        single=100 * sum(single) / len(single),
        vote=100 * tries.right / tries.tries,
        exact_used=tries.used / tries.tries,
        exact_other_answers=tries.other_answer,
        beta=100 * tries.beta_right / tries.tries,
        beta_used=tries.beta_used / tries.tries,
        certificate=100 * tries.certificate_right / tries.tries,
        certificate_used=tries.certificate_used / tries.tries,
        certified=100 * tries.certified / tries.tries,
        certified_wrong=100 * tries.certified_wrong / tries.tries,
    )
    if name in KNOWN_WEIGHTED:
        measured.weighted, weighted = weigh(questions, min(WEIGHTED_SEEDS, tries.tries // len(questions)))
        measured.weighted_used = weighted.used / weighted.tries
        measured.weighted_other_answers = weighted.other_answer
    if name in KNOWN_CHECKED:
        measured.checked = sum(anyio.run(found_by_check, question) for question in questions)
    if any(sample.raw is not None for question in questions for sample in question.samples):
        measured.raw_vote, measured.key_vote, measured.key_differs = compare_keys(questions)
    measured.failures = list(_failures(name, measured))
    return measured


def _failures(name: str, measured: Measured) -> list[str]:
    failures = []
    if measured.exact_other_answers or measured.weighted_other_answers:
        failures.append("the exact stop gave another answer than the full vote")
    if measured.certified_wrong > 100 * CERTIFIED_ERROR:
        failures.append(f"the certificate was wrong in {measured.certified_wrong:.2f} % of the votes")
    if name in KNOWN_BETA:
        accuracy, used, tolerance = KNOWN_BETA[name]
        if abs(measured.beta - accuracy) > tolerance or abs(measured.beta_used - used) > SAMPLES_TOLERANCE:
            failures.append(f"Beta: known are {accuracy} % at {used} samples")
    if measured.weighted is not None and measured.weighted < KNOWN_WEIGHTED[name]:
        failures.append(f"log-odds: known are {KNOWN_WEIGHTED[name]} %")
    if measured.checked is not None and measured.checked != KNOWN_CHECKED[name]:
        failures.append(f"checker: known are {KNOWN_CHECKED[name]}")
    return failures


def main() -> int:
    """Print what was measured; 1 if something is not as it is known to be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="holds the recordings, *.jsonl.gz")
    parser.add_argument(
        "--seeds", type=int, default=400, help="orders of each question; far fewer leave chance too much"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", type=Path, help="also write what was measured to this file")
    given = parser.parse_args()
    results: dict[str, Measured] = {}
    with ProcessPoolExecutor(given.jobs) as pool:
        for name, questions in load(given.folder).items():
            tries = Tries()
            for each in pool.map(partial(count, seeds=given.seeds), questions, chunksize=8):
                tries.add(each)
            results[name] = measure(name, questions, tries)
            print(f"{name}: {given.seeds} orders of {len(questions)} questions", file=sys.stderr)
    show(results)
    if given.json:
        given.json.write_text(json.dumps({name: asdict(each) for name, each in results.items()}, indent=2) + "\n")
    return 1 if any(each.failures for each in results.values()) else 0


def show(results: Mapping[str, Measured]) -> None:
    """Print the tables, as markdown."""
    print(
        "\n| Set | Questions | Samples | Single | Vote | Exact stop: samples | other answers | Beta 0.95 | samples |",
        end="",
    )
    print(" Certificate 0.05 | samples | certified | wrongly |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, each in results.items():
        print(
            f"| {name} | {each.questions} | {each.samples:.1f} | {each.single:.2f} % | {each.vote:.2f} % "
            f"| {each.exact_used:.2f} | {each.exact_other_answers} | {each.beta:.2f} % | {each.beta_used:.2f} "
            f"| {each.certificate:.2f} % | {each.certificate_used:.2f} | {each.certified:.2f} % "
            f"| {each.certified_wrong:.3f} % |"
        )
    print()
    for name, each in results.items():
        if each.weighted is not None:
            print(f"{name}: log-odds weights {each.vote:.2f} -> {each.weighted:.2f} %; exact stop at", end=" ")
            print(f"{each.weighted_used:.2f} samples, other answers {each.weighted_other_answers}")
        if each.checked is not None:
            print(f"{name}: a checker finds {each.checked} of {each.questions}, the vote {each.vote:.1f}")
        if each.key_vote is not None:
            print(f"{name}: completed answers, vote by string {each.raw_vote:.1f} %, by answers.math", end=" ")
            print(f"{each.key_vote:.1f} %; {each.key_differs} samples in another class than recorded")
        for failure in each.failures:
            print(f"{name}: NOT AS KNOWN: {failure}")


if __name__ == "__main__":
    sys.exit(main())
