"""Modes: predefined pairs of a planner and an aggregator."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from . import aggregators, planners, strategies
from .arguments import checked_arguments
from .errors import ConfigurationError
from .models import Model
from .prompts import render
from .run.protocols import Aggregator, Planner

Mode = Literal["instant", "thinking", "contemplating", "auto", "vote", "refine", "council"]

_STRATEGIES = (strategies.step_by_step, strategies.work_backwards, strategies.critique_and_revise, strategies.analogy)


class Preset(NamedTuple):
    """A planner and the aggregator that goes with it."""

    planner: Planner
    aggregator: Aggregator


@checked_arguments
def council(*members: str | Model) -> Preset:
    """Return a preset in which several models answer independently and the contemplator's own model merges the answers.

    The merging model sees them anonymised and shuffled. Costs one call per member and one more, of depth two. Without
    members, the contemplator's model answers four times, each time with another strategy.

    Mixture-of-Agents with one layer, Wang et al. 2024, https://arxiv.org/abs/2406.04692.

    Example:
        Contemplator("openai:gpt-5", mode=modes.council("openai:gpt-5-mini", "ollama:llama3.2"))
    """
    chosen = () if members else _STRATEGIES
    # No required answer format, since the answers are merged and not counted.
    planner = planners.sample(len(members or chosen), models=members, strategies=chosen, instructions="")
    return Preset(planner, aggregators.synthesize())


def preset(mode: Mode | Preset) -> Preset:
    """Return the preset named `mode`, or `mode` itself if it is a preset.

    Raises:
        ConfigurationError: `mode` is not a known mode.
    """
    if isinstance(mode, Preset):
        return mode
    if mode == "instant":
        return Preset(planners.direct(), aggregators.first())
    if mode == "thinking":
        return Preset(planners.direct(instructions=render("thinking")), aggregators.first())
    if mode == "contemplating":
        return Preset(planners.model(), aggregators.synthesize())
    if mode == "auto":
        return Preset(planners.model(min_tasks=1), aggregators.synthesize())
    if mode == "vote":
        return Preset(planners.sample(5, wave=3), aggregators.vote())
    if mode == "refine":
        return Preset(planners.rounds(n=1, k=1, rounds=2), aggregators.first())
    if mode == "council":
        return council()
    raise ConfigurationError(f"there is no mode {mode!r}", hint=f"modes: {', '.join(get_args(Mode))}")


__all__ = ["Mode", "Preset", "council", "preset"]
