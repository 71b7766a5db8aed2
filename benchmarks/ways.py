"""The ways of thinking that `benchmarks.gsm8k` compares."""

from __future__ import annotations

from collections.abc import Callable

from contemplate import Contemplator, ModelSettings, aggregators, answers, planners, strategies
from contemplate.aggregators.vote import Stop
from contemplate.journal import Journal

from .measured import Models, Way, Ways

SAMPLES = 8
# A tournament, or rounds, among as many samples as every vote that stops early has drawn.
CANDIDATES = 4
REJECTIONS = 2
VOTE = "vote, exact stop"
MIXED = "mixed"
ROUNDS = "rounds"
# Samples with log-probabilities, of which none were kept for the votes.
CONFIDENT = 6
BRIEFLY = (
    "Think step by step, briefly: one short sentence with one calculation for each step. "
    'Then end with one line of the form "Answer: ..." that holds the final number and nothing else.'
)
GREEDY = ModelSettings(temperature=0, max_tokens=320)
SAMPLED = ModelSettings(temperature=0.7, max_tokens=320)
# A comparison that is cut off has no verdict, and a verdict on all steps is long.
COMPARED = ModelSettings(temperature=0, max_tokens=160, logprobs=3)
VERIFIED = ModelSettings(temperature=0, max_tokens=640)


def _greedy(models: Models, journal: Journal) -> Contemplator[str]:
    once = planners.direct(instructions=BRIEFLY, settings=GREEDY)
    return Contemplator(models.main, planner=once, aggregator=aggregators.first(), journal=journal)


def _code(models: Models, journal: Journal) -> Contemplator[str]:
    once = planners.sample(1, strategies=[strategies.code], settings=GREEDY)
    return Contemplator(models.main, planner=once, aggregator=aggregators.first(), journal=journal)


def _votes(stop: Stop) -> Callable[[Models, Journal], Contemplator[str]]:
    # One after the other: many questions at once keep the machine busy, and each keeps its prompt in the cache.
    def set_up(models: Models, journal: Journal) -> Contemplator[str]:
        samples = planners.sample(SAMPLES, wave=1, instructions=BRIEFLY, settings=SAMPLED)
        return Contemplator(
            models.main, planner=samples, aggregator=aggregators.vote(key=answers.math, stop=stop), journal=journal
        )

    return set_up


def _routed(models: Models, journal: Journal) -> Contemplator[str]:
    routed = planners.router(
        planners.model(), samples=SAMPLES, key=answers.math, instructions=BRIEFLY, settings=SAMPLED
    )
    concluded = aggregators.by_kind(candidates=aggregators.vote(key=answers.math), others=aggregators.synthesize())
    return Contemplator(models.main, planner=routed, aggregator=concluded, journal=journal)


def _mixed(models: Models, journal: Journal) -> Contemplator[str]:
    others = [f"{way}\n\n{BRIEFLY}" for way in (strategies.work_backwards, strategies.analogy)]
    ways: tuple[str | strategies.Program, ...] = (BRIEFLY, strategies.code, *others, strategies.code)
    # The strategies say how to answer, and a program answers otherwise: so there are no instructions for all.
    samples = planners.sample(5, wave=1, strategies=ways, instructions="", settings=SAMPLED)
    return Contemplator(models.main, planner=samples, aggregator=aggregators.vote(key=answers.math), journal=journal)


def _tournament(models: Models, journal: Journal) -> Contemplator[str]:
    samples = planners.sample(CANDIDATES, instructions=BRIEFLY, settings=SAMPLED)
    best = aggregators.tournament(system="knockout", key=answers.math, settings=COMPARED)
    return Contemplator(models.main, planner=samples, aggregator=best, journal=journal)


def _verified(verifier: strategies.Program | None) -> Callable[[Models, Journal], Contemplator[str]]:
    def set_up(models: Models, journal: Journal) -> Contemplator[str]:
        mended = planners.verified(
            verifier,
            passes=1,
            rejections=REJECTIONS,
            lines=1,
            instructions=BRIEFLY,
            settings=GREEDY,
            verifier_settings=VERIFIED,
        )
        return Contemplator(models.main, planner=mended, aggregator=aggregators.first(), journal=journal)

    return set_up


def _mixture(models: Models, journal: Journal) -> Contemplator[str]:
    backwards = f"{strategies.work_backwards}\n\n{BRIEFLY}"
    members = [planners.Member(each) for each in (BRIEFLY, strategies.code, backwards)]
    rounds = planners.mixture(*members, rounds=2, key=answers.math, instructions="", settings=SAMPLED)
    return Contemplator(models.main, planner=rounds, aggregator=aggregators.vote(key=answers.math), journal=journal)


def _confident(models: Models, journal: Journal) -> Contemplator[str]:
    samples = planners.sample(CONFIDENT, instructions=BRIEFLY, settings=SAMPLED)
    # Of all samples: an answer is some hundred tokens long, of which a group is to be a quarter.
    weighed = aggregators.vote(key=answers.math, weights=aggregators.by_logprobs(window=32), stop=None)
    return Contemplator(models.main, planner=samples, aggregator=weighed, journal=journal)


def _bests(models: Models, journal: Journal) -> Contemplator[str]:
    samples = planners.sample(CONFIDENT, instructions=BRIEFLY, settings=SAMPLED)
    best = aggregators.majority_of_bests(aggregators.by_logprobs(window=32), key=answers.math)
    return Contemplator(models.main, planner=samples, aggregator=best, journal=journal)


def _all_votes(models: Models, journal: Journal) -> Contemplator[str]:
    samples = planners.sample(CONFIDENT, instructions=BRIEFLY, settings=SAMPLED)
    return Contemplator(
        models.main, planner=samples, aggregator=aggregators.vote(key=answers.math, stop=None), journal=journal
    )


def _rounds(*, squeezed: bool) -> Callable[[Models, Journal], Contemplator[str]]:
    def set_up(models: Models, journal: Journal) -> Contemplator[str]:
        evolved = planners.rounds(
            CANDIDATES,
            2,
            3,
            instructions=BRIEFLY,
            settings=SAMPLED,
            strong=models.main if squeezed else None,
            key=answers.math,
        )
        usual = models.cheap if squeezed else models.main
        return Contemplator(usual, planner=evolved, aggregator=aggregators.vote(key=answers.math), journal=journal)

    return set_up


_ATTEMPTS = {f"round-1-{n}": f"sample-{n}" for n in range(1, CANDIDATES + 1)}
_SOLVED = {"solution-1-1": "answer"}

WAYS: Ways = {
    "greedy": Way(_greedy),
    VOTE: Way(_votes("exact")),
    "vote, beta stop": Way(_votes("beta"), VOTE),
    "vote, certificate stop": Way(_votes("certificate"), VOTE),
    "router": Way(_routed, VOTE),
    "code": Way(_code),
    MIXED: Way(_mixed),
    "tournament of 4": Way(_tournament, VOTE, {f"sample-{n}": f"sample-{n}" for n in range(1, CANDIDATES + 1)}),
    "verify": Way(_verified(None), "greedy", _SOLVED),
    "verify by a program": Way(_verified(strategies.code), "greedy", _SOLVED),
    ROUNDS: Way(_rounds(squeezed=False), VOTE, _ATTEMPTS),
    "rounds of a cheap and a strong model": Way(_rounds(squeezed=True), VOTE, _ATTEMPTS),
    "mixture of 3": Way(_mixture, MIXED, {f"round-1-{n}": f"sample-{n}" for n in range(1, 4)}),
    "vote by log-probabilities": Way(_confident),
    "majority of the bests": Way(_bests, "vote by log-probabilities"),
    "vote on the same": Way(_all_votes, "vote by log-probabilities"),
}
