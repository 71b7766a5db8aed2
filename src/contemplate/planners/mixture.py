"""Subagents with different tools and strategies, who see each other's answers in rounds until they agree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from .. import strategies
from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..models import Model
from ..plan import Task
from ..run.answer_keys import Key
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from ..strategies import Strategy, strategy_parts
from .agreement import agreement
from .planner_size import Sized, most_repairs


class Member(NamedTuple):
    """One subagent of a mixture.

    Args:
        strategy: how it goes about the question; its own way if None.
        tools: the names of the agent's tools that it may use; all of them if None.
        model: the model; the subagents' default if None.
    """

    strategy: Strategy | None = None
    tools: Sequence[str] | None = None
    model: str | Model | None = None


DEFAULT_MEMBERS = tuple(
    Member(each) for each in (strategies.step_by_step, strategies.work_backwards, strategies.analogy)
)


@checked_arguments
def mixture(
    *members: Member,
    rounds: int = 3,
    agree: float = 1.0,
    key: Key | None = None,
    instructions: str | None = None,
    settings: ModelSettings | None = None,
    seed: int | None = None,
) -> Planner:
    """Let `members` answer the question, see all answers, and answer again, until they agree or `rounds` are over.

    The aggregator, such as `aggregators.vote`, receives the answers of the last round.

    TUMIX, Chen et al. 2025, https://arxiv.org/abs/2510.01279, with the agreement counted instead of judged by a model.
    Costs a call for each member and round, of depth one for each round; prompts grow by the members' answers.

    Args:
        members: the subagents; three with different strategies if none are given.
        rounds: maximum number of rounds, the first included.
        agree: the share of members that has to give the same answer for the rounds to end, above 0 and at most 1.
        key: canonical key of an answer, as for `aggregators.vote`.
        instructions: how to state the answer. If None: on a last line "Answer: ...", so that votes can parse it; empty
            if the run has an output type.
        settings: settings of every call. Without a temperature, the provider's default applies.
        seed: what the seeds are derived from; that of `settings`, or of the contemplator, if None.

    Raises:
        ConfigurationError: `rounds` is less than one, or `agree` is not above 0 and at most 1.
        MissingDependencyError: `strategies.code` is among the strategies, and its extra is not installed.
    """
    if rounds < 1 or not 0 < agree <= 1:
        raise ConfigurationError(f"planners.mixture({rounds=}, {agree=}): rounds >= 1 and 0 < agree <= 1 must hold")
    team = members or DEFAULT_MEMBERS
    approaches = [(None, None) if each.strategy is None else strategy_parts(each.strategy) for each in team]
    given = None if settings is None else settings.seed

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        _check_tools(team, ctx)
        models = [None if each.model is None else ctx.use(each.model) for each in team]
        ending = instructions
        if ending is None and ctx.output is None:
            ending = ctx.prompts.render("answer_line")
        earlier: tuple[str, ...] = ()
        for number in range(rounds):
            improve = ctx.prompts.render("rounds_aggregate") if earlier else None
            for i, (member, (strategy, program)) in enumerate(zip(team, approaches, strict=True)):
                own = None if strategy is None else ctx.prompts.instead_of(strategy)
                parts = (own, improve, instructions if program else ending)
                yield Task(
                    id=_name(number, i),
                    prompt=question,
                    needs=earlier,
                    kind="candidate",
                    title=f"Round {number + 1}, member {i + 1}",
                    instructions="\n\n".join(filter(None, parts)) or None,
                    model=models[i],
                    program=program,
                    tools=None if member.tools is None else tuple(member.tools),
                    settings=ModelSettings(seed=ctx.seed_of(number * len(team) + i, seed, given)).over(settings),
                    held=True,
                )
            earlier = tuple(_name(number, i) for i in range(len(team)))
            results = [await ctx.finished(each) for each in earlier]
            if agreement(results, key, ctx) >= agree or not any(each.answered for each in results):
                break
        ctx.release(*earlier)

    most = len(team) * rounds
    return Sized(
        plan,
        calls=(0, 0),
        tasks=(len(team), most),
        repairs=most_repairs(program for _, program in approaches),
        models=tuple(each.model for each in team),
    )


def _check_tools(team: Sequence[Member], ctx: RunContext) -> None:
    """Check the names of the members' tools before anything is paid for.

    Raises:
        ConfigurationError: the agent has declared its tools, and one that a member names is none of them.
    """
    known = [each.name for each in ctx.tools]
    for i, member in enumerate(team):
        for name in member.tools or ():
            if known and name not in known:
                raise ConfigurationError(
                    f"member {i + 1} of planners.mixture names {name!r}, which is not a tool",
                    hint=f"the agent's tools: {', '.join(known)}",
                )


def _name(number: int, i: int) -> str:
    return f"round-{number + 1}-{i + 1}"
