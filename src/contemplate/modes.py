"""Modes: ready pairs of a planner and an aggregator."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from . import aggregators, planners
from .aggregators import Aggregator
from .errors import ConfigurationError
from .planners import Planner
from .prompts import render

Mode = Literal["instant", "thinking", "contemplating", "auto", "vote", "refine"]


class Preset(NamedTuple):
    """A planner and the aggregator that goes with it."""

    planner: Planner
    aggregator: Aggregator


def preset(mode: Mode) -> Preset:
    """The pair called `mode`.

    Raises:
        ConfigurationError: there is no such mode.
    """
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
    raise ConfigurationError(f"there is no mode {mode!r}", hint=f"modes: {', '.join(get_args(Mode))}")
