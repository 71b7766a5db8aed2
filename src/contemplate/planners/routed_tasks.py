"""The tasks of a run that is routed: the probe, and what follows it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from statistics import fmean

from ..errors import ConfigurationError
from ..plan import Program, Task
from ..result import TaskResult
from ..run.answer_keys import Key, key_of
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from .answer_kinds import is_calculation, keys_with_the_first, kind_of
from .planner_size import parts_of
from .routes import Expense, Route, Situation, Way
from .solution_lines import LineRules, Lines

# Tasks over the longest chain.
MIN_BREADTH = 1.5

Choose = Callable[[Situation], Route]


@dataclass(frozen=True, slots=True)
class RouteRules:
    """How a run is routed; `planners.router` says what each of these is."""

    decompose: Planner
    probe: int
    samples: int
    lines: LineRules | None
    check_calls: int
    program: Program | None
    key: Key | None
    choose: Choose
    instructions: str | None
    settings: ModelSettings | None
    seed: int | None


class RoutedTasks:
    """The tasks of one run."""

    def __init__(self, rules: RouteRules, question: str, ctx: RunContext) -> None:
        self._rules = rules
        self._question = question
        self._ctx = ctx
        self._probes: list[TaskResult] = []
        self._keys: tuple[str | None, ...] = ()

    async def tasks(self) -> AsyncGenerator[Task]:
        """Yield the probe, and what follows it."""
        probes = self._to_probe()
        for task in probes:
            yield task.model_copy(update={"held": True})
        self._probes = [await self._ctx.finished(task.id) for task in probes]
        if self._probes:
            self._keys = keys_with_the_first(self._probes, self._rules.key, self._ctx)
        route = await self._route()
        self._ctx.note(f"{route.way}: {route.reason}")
        async with aclosing(self._after(route)) as tasks:
            async for task in tasks:
                yield task

    # The probe

    def _to_probe(self) -> list[Task]:
        """Return the samples of the probe: one where a check follows, or where the limits leave no room for all."""
        rules, ctx = self._rules, self._ctx
        if ctx.side_effects:
            return [] if rules.lines is None else [self._plain()]
        enough = min(ctx.calls_left, ctx.tasks_left) >= rules.probe
        return [self._sample(i) for i in range(rules.probe if enough and rules.lines is None else 1)]

    def _plain(self) -> Task:
        """Return the question as the only task."""
        rules = self._rules
        return Task(
            id="answer",
            prompt=self._question,
            kind="answer",
            title="Answer",
            instructions=rules.instructions,
            settings=rules.settings,
        )

    def _sample(self, i: int) -> Task:
        rules, ctx = self._rules, self._ctx
        ending = rules.instructions
        if ending is None and i == 0:
            # As a plain call, with which it can then be compared.
            ending = ""
        elif ending is None and ctx.output is None:
            ending = ctx.prompts.render("answer_line")
        given = None if rules.settings is None else rules.settings.seed
        return Task(
            id=f"sample-{i + 1}",
            prompt=self._question,
            kind="candidate",
            title=f"Sample {i + 1}",
            instructions=ending,
            settings=ModelSettings(seed=ctx.seed_of(i, rules.seed, given)).over(rules.settings),
        )

    # The route

    async def _route(self) -> Route:
        """Return the route that is chosen, or was, if the run is resumed: it depends on the time that is left."""
        way, reason, samples = json.loads(await self._ctx.recorded("route", lambda: json.dumps(self._chosen())))
        return Route(way, reason, samples)

    def _chosen(self) -> Route:
        """Return the route that is chosen.

        Raises:
            ConfigurationError: it is none, or needs what there is not.
        """
        rules = self._rules
        route = rules.choose(self._situation())
        if not isinstance(route, Route):
            raise ConfigurationError(
                f"planners.router(choose=...) returned {route!r:.100}",
                hint='return a planners.Route(way, reason), such as Route("vote", "they differ"), or `best_route()`',
            )
        if (route.way == "verify" and rules.lines is None) or (route.way == "program" and rules.program is None):
            wanted = {"verify": "check", "program": "program"}[route.way]
            raise ConfigurationError(
                f"planners.router(choose=...) returned the way {route.way!r}, and there is no {wanted}",
                hint=f"give planners.router({wanted}=...), or choose another way",
            )
        return route

    def _situation(self) -> Situation:
        rules, ctx, probes = self._rules, self._ctx, self._probes
        costs = [each.usage for each in probes]
        typed = ctx.output is not None
        return Situation(
            keys=self._keys,
            answered=not probes or any(each.answered for each in probes),
            kind=kind_of(self._keys, [each.text for each in probes], typed=typed),
            checker=rules.lines is not None,
            check_calls=rules.check_calls,
            tools=bool(ctx.tools),
            side_effects=bool(ctx.side_effects),
            programs=rules.program is not None and is_calculation(self._question, self._keys, typed=typed),
            samples=rules.samples,
            sample=Expense(
                calls=1,
                tasks=1,
                tokens=fmean(each.total_tokens for each in costs) if costs else 0,
                usd=fmean(each.cost_usd or 0 for each in costs) if costs else 0,
                seconds=max((each.seconds for each in probes), default=0),
            ),
            left=Expense(
                calls=ctx.calls_left,
                tasks=ctx.tasks_left,
                tokens=ctx.tokens_left,
                usd=ctx.cost_usd_left,
                seconds=ctx.seconds_left,
            ),
        )

    async def _after(self, route: Route) -> AsyncGenerator[Task]:
        """Yield what follows the probe."""
        if not self._probes and route.way == "decompose":
            async for task in self._rules.decompose(self._question, self._ctx):
                yield task
        elif not self._probes:
            yield self._plain()
        elif route.way == "instant" or (self._ctx.side_effects and not self._probes[0].answered):
            # With side effects, there is no second attempt.
            self._release_the_probe()
        elif route.way == "vote":
            self._ctx.release(*(each.id for each in self._probes))
            drawn = len(self._probes)
            last = self._rules.samples if route.samples is None else drawn + route.samples
            for i in range(drawn, last):
                yield self._sample(i)
        elif route.way == "verify" and self._rules.lines is not None:
            async with aclosing(self._lines(self._rules.lines).tasks()) as tasks:
                async for task in tasks:
                    yield task
        else:
            async with aclosing(self._tried(route)) as tasks:
                async for task in tasks:
                    yield task

    def _release_the_probe(self) -> None:
        """Pass on the probe's answers, or only the first where that says what the others do in other words."""
        own = {key_of(each, self._rules.key, self._ctx) for each in self._probes}
        agreed = self._probes[0].answered and len(set(self._keys)) == 1 and len(own) > 1
        self._ctx.release(*(each.id for each in self._probes[: 1 if agreed else None]))

    # Ways that may come to nothing

    async def _tried(self, route: Route) -> AsyncGenerator[Task]:
        """Yield tasks whose results are passed on if any of them is answered; if none is, the probe's are."""
        new: list[str] = []
        try:
            for task in await self._planned(route.way):
                new.append(task.id)
                yield task.model_copy(update={"held": True})
            for task_id in new:
                await self._ctx.finished(task_id)
        finally:
            # Also at the deadline, and where a limit leaves room for no further task.
            if not self._ctx.suspended:
                self._conclude(route.way, new)

    async def _planned(self, way: Way) -> list[Task]:
        """Return the tasks of `way`; none if nothing is to be done but to take the probe's answer."""
        rules, ctx = self._rules, self._ctx
        if way == "program":
            sample = self._sample(rules.samples)
            # Without tools: some of them wait for people, which no program can do.
            how = {"id": "calculation", "title": "A program", "program": rules.program, "tools": ()}
            return [sample.model_copy(update={**how, "instructions": rules.instructions})]
        if way == "decompose":
            parts = await parts_of(rules.decompose, self._question, ctx)
            if breadth(parts) >= MIN_BREADTH:
                return self._as_many_as_fit(parts)
            way = "refine" if len(self._probes) > 1 else "instant"
            merged = "one more call makes the best of them" if way == "refine" else "that is the answer"
            ctx.note(f"{way}: the plan has no parts that are independent: {merged}")
        if way == "instant":
            return []
        merge = ctx.prompts.render("rounds_aggregate" if len(self._probes) > 1 else "rounds_revise")
        needs = tuple(each.id for each in self._probes)
        return [
            Task(id="answer", prompt=self._question, needs=needs, kind="answer", title="Answer", instructions=merge)
        ]

    def _as_many_as_fit(self, parts: list[Task]) -> list[Task]:
        left = self._ctx.tasks_left
        if len(parts) <= left:
            return parts
        self._ctx.give_up(f"the limits leave room for {left:.0f} of the {len(parts)} parts")
        return parts[: int(left)]

    def _conclude(self, way: Way, planned: Sequence[str]) -> None:
        ctx = self._ctx
        results = [ctx.results[each] for each in planned if each in ctx.results]
        if any(each.answered for each in results):
            if way == "program":
                self._release_what_most_say(results[0])
            else:
                ctx.release(*(each.id for each in results))
            return
        if planned:
            ctx.give_up(f"nothing came of the way {way!r}: the best answer so far is given")
        self._release_the_probe()

    def _release_what_most_say(self, calculated: TaskResult) -> None:
        """Pass on all answers; only those that say what the program does where no other has more votes."""
        all_results = (*self._probes, calculated)
        keys = [key_of(each, self._rules.key, self._ctx) for each in all_results]
        votes = Counter(key for key in (*self._keys, keys[-1]) if key is not None)
        if keys[-1] is not None and votes[keys[-1]] == max(votes.values()):
            all_results = tuple(each for each, key in zip(all_results, keys, strict=True) if key == keys[-1])
        self._ctx.release(*(each.id for each in all_results))

    def _lines(self, rules: LineRules) -> Lines:
        """Return the lines of solutions, of which the first begins with the probe's answer."""
        first = self._probes[0]
        if self._ctx.side_effects:
            rules = replace(rules, rejections=1, lines=1)
        return Lines(rules, self._question, self._ctx, first if first.answered else None)


def breadth(tasks: Sequence[Task]) -> float:
    """Return the number of tasks divided by the length of the longest chain: 1 for a chain or a single task."""
    chain: dict[str, int] = {}
    for task in tasks:
        chain[task.id] = 1 + max((chain[need] for need in task.needs), default=0)
    return len(tasks) / max(chain.values(), default=1)
