"""Routing by a few probe samples: if they agree, they are the answer; if not, their answers select the method."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..plan import Task
from ..result import TaskResult
from ..run.answer_keys import Key, key_of
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .planner_size import Sized, most, parts_of

Route = Literal["answer", "vote", "refine", "decompose"]

SHORT_WORDS = 6
MIN_BREADTH = 1.5


@dataclass(frozen=True, slots=True)
class Probe:
    """The outcome of the probe samples.

    Attributes:
        keys: the canonical key of each sample's answer; None if it could not be parsed.
        typed: whether the run has an output type.
        seconds: duration of the slowest sample.
        seconds_left: seconds until the deadline; `math.inf` without one.
        calls_left: model calls left within the limits; `math.inf` without a limit.
    """

    keys: tuple[str | None, ...]
    typed: bool
    seconds: float
    seconds_left: float
    calls_left: float

    @property
    def unanimous(self) -> bool:
        """Whether all samples gave the same answer."""
        return len(self.keys) > 1 and len(set(self.keys)) == 1 and self.keys[0] is not None

    @property
    def short(self) -> bool:
        """Whether most answers are short texts or typed values, so that a vote can count them."""
        votable = [key for key in self.keys if key is not None and (self.typed or len(key.split()) <= SHORT_WORDS)]
        return 2 * len(votable) > len(self.keys)


def default_route(probe: Probe) -> Route:
    """Return "answer" if the samples agree or no budget is left, "vote" if they are short, else "decompose"."""
    if probe.unanimous or probe.calls_left < 1 or probe.seconds_left < 2 * probe.seconds:
        return "answer"
    return "vote" if probe.short else "decompose"


@checked_arguments
def router(
    decompose: Planner,
    *,
    probe: int = 3,
    samples: int = 9,
    key: Key | None = None,
    choose: Callable[[Probe], Route] = default_route,
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    seed: int | None = None,
) -> Planner:
    """Draw `probe` samples; then stop ("answer"), draw more and "vote", "refine" them, or "decompose" the question.

    A decomposition that is a chain is not run, since multiple agents harm sequential work (Kim et al. 2025,
    https://arxiv.org/abs/2512.08296). Instead, as for "refine", one more call merges the probe's answers. The results
    are candidates, parts or one answer: `aggregators.by_kind` handles all three.

    Costs `probe` calls of depth one if they agree; `samples` of depth two to vote, probe + 1 to refine, and
    probe + 1 + parts to decompose.

    Args:
        decompose: planner of the parts, such as `planners.model()`; it must not wait for results.
        probe: number of probe samples.
        samples: total number of samples of a vote.
        key: canonical key of an answer, as for `aggregators.vote`.
        choose: selects the route.
        instructions: how to state the answer, as for `planners.sample`.
        settings: settings of every sample.
        seed: what the seeds of the samples are derived from; that of `settings`, or of the contemplator, if None.

    Raises:
        ConfigurationError: not 2 <= probe <= samples.
    """
    if not 2 <= probe <= samples:
        raise ConfigurationError(f"planners.router({probe=}, {samples=}): 2 <= probe <= samples must hold")

    calls, parts, repairs = most(decompose)
    return Sized(
        _Router(decompose, probe, samples, key, choose, instructions, settings, seed),
        calls=(0, calls),
        tasks=(probe, None if parts is None else max(samples, probe + max(1, parts))),
        repairs=repairs,
        likely=(probe, samples),
    )


class _Router:
    def __init__(
        self,
        decompose: Planner,
        probe: int,
        samples: int,
        key: Key | None,
        choose: Callable[[Probe], Route],
        instructions: str | None,
        settings: ModelSettings | None,
        seed: int | None,
    ) -> None:
        self._decompose = decompose
        self._probe = probe
        self._samples = samples
        self._key = key
        self._choose = choose
        self._instructions = instructions
        self._settings = settings
        self._seed = seed

    async def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        probes = [self._sample(i, question, ctx) for i in range(self._probe)]
        for task in probes:
            yield task.model_copy(update={"held": True})
        ids = tuple(task.id for task in probes)
        route = self._choose(_probe_of([await ctx.finished(each) for each in ids], self._key, ctx))
        if route == "decompose":
            parts = await parts_of(self._decompose, question, ctx)
            if breadth(parts) >= MIN_BREADTH:
                for task in parts:
                    yield task
                return
        if route in ("decompose", "refine"):
            merge = ctx.prompts.render("rounds_aggregate")
            yield Task(id="answer", prompt=question, needs=ids, kind="answer", title="Answer", instructions=merge)
            return
        ctx.release(*ids)
        if route == "vote":
            for i in range(self._probe, self._samples):
                yield self._sample(i, question, ctx)

    def _sample(self, i: int, question: str, ctx: RunContext) -> Task:
        ending = self._instructions
        if ending is None and ctx.output is None:
            ending = ctx.prompts.render("answer_line")
        given = None if self._settings is None else self._settings.seed
        return Task(
            id=f"sample-{i + 1}",
            prompt=question,
            kind="candidate",
            title=f"Sample {i + 1}",
            instructions=ending,
            settings=ModelSettings(seed=ctx.seed_of(i, self._seed, given)).over(self._settings),
        )


def breadth(tasks: Sequence[Task]) -> float:
    """Return the number of tasks divided by the length of the longest chain: 1 for a chain or a single task."""
    chain: dict[str, int] = {}
    for task in tasks:
        chain[task.id] = 1 + max((chain[need] for need in task.needs), default=0)
    return len(tasks) / max(chain.values(), default=1)


def _probe_of(results: Sequence[TaskResult], key: Key | None, ctx: RunContext) -> Probe:
    return Probe(
        keys=tuple(key_of(result, key, ctx) for result in results),
        typed=ctx.output is not None,
        seconds=max(result.seconds for result in results),
        seconds_left=ctx.seconds_left,
        calls_left=ctx.calls_left,
    )
