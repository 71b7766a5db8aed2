"""`ask --estimate`: what a run may take."""

from __future__ import annotations

import sys

from ..estimate import Estimate, Range
from .exits import ANSWERED


def print_estimate(estimate: Estimate, as_json: bool) -> int:
    """Print it, and return the exit code."""
    if as_json:
        sys.stdout.write(f"{estimate.model_dump_json(indent=2)}\n")
        return ANSWERED
    cost = "unknown, as the price is" if estimate.cost_usd is None else _range(estimate.cost_usd, "${:,.4f}")
    lines = (
        f"calls          {_range(estimate.calls)}",
        f"tokens read    {_range(estimate.input_tokens)}",
        f"tokens written {_range(estimate.output_tokens)}",
        f"cost           {cost}",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return ANSWERED


def _range(found: Range, form: str = "{:,.0f}") -> str:
    low = form.format(found.low)
    if found.high is None:
        return f"{low} or more"
    high = form.format(found.high)
    return low if low == high else f"{low} to {high}"
