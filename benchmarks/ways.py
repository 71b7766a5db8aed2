"""The ways of thinking that `benchmarks.gsm8k` compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contemplate import Contemplator, ModelSettings, aggregators, answers, planners, strategies
from contemplate.aggregators.vote import Stop
from contemplate.journal import Journal
from contemplate.models import Model

SAMPLES = 8
BRIEFLY = (
    "Think step by step, briefly: one short sentence with one calculation for each step. "
    'Then end with one line of the form "Answer: ..." that holds the final number and nothing else.'
)
GREEDY = ModelSettings(temperature=0, max_tokens=320)
SAMPLED = ModelSettings(temperature=0.7, max_tokens=320)


@dataclass(frozen=True)
class Way:
    """A way of thinking: how to set it up, and whose samples it counts if it makes none of its own."""

    set_up: Callable[[Model, Journal], Contemplator[str]]
    samples_of: str | None = None


def _greedy(model: Model, journal: Journal) -> Contemplator[str]:
    once = planners.direct(instructions=BRIEFLY, settings=GREEDY)
    return Contemplator(model, planner=once, aggregator=aggregators.first(), journal=journal)


def _code(model: Model, journal: Journal) -> Contemplator[str]:
    once = planners.sample(1, strategies=[strategies.code], settings=GREEDY)
    return Contemplator(model, planner=once, aggregator=aggregators.first(), journal=journal)


def _votes(stop: Stop) -> Callable[[Model, Journal], Contemplator[str]]:
    # One after the other: many questions at once keep the machine busy, and each keeps its prompt in the cache.
    def set_up(model: Model, journal: Journal) -> Contemplator[str]:
        samples = planners.sample(SAMPLES, wave=1, instructions=BRIEFLY, settings=SAMPLED)
        return Contemplator(
            model, planner=samples, aggregator=aggregators.vote(key=answers.math, stop=stop), journal=journal
        )

    return set_up


def _routed(model: Model, journal: Journal) -> Contemplator[str]:
    routed = planners.router(
        planners.model(), samples=SAMPLES, key=answers.math, instructions=BRIEFLY, settings=SAMPLED
    )
    concluded = aggregators.by_kind(candidates=aggregators.vote(key=answers.math), others=aggregators.synthesize())
    return Contemplator(model, planner=routed, aggregator=concluded, journal=journal)


def _mixed(model: Model, journal: Journal) -> Contemplator[str]:
    others = [f"{way}\n\n{BRIEFLY}" for way in (strategies.work_backwards, strategies.analogy)]
    ways: tuple[str | strategies.Program, ...] = (BRIEFLY, strategies.code, *others, strategies.code)
    # The strategies say how to answer, and a program answers otherwise: so there are no instructions for all.
    samples = planners.sample(5, wave=1, strategies=ways, instructions="", settings=SAMPLED)
    return Contemplator(model, planner=samples, aggregator=aggregators.vote(key=answers.math), journal=journal)


WAYS: Mapping[str, Way] = {
    "greedy": Way(_greedy),
    "vote, exact stop": Way(_votes("exact")),
    "vote, beta stop": Way(_votes("beta"), "vote, exact stop"),
    "router": Way(_routed, "vote, exact stop"),
    "code": Way(_code),
    "mixed": Way(_mixed),
}
