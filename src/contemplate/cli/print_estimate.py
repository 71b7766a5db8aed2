"""`ask --estimate`: what a run may take."""

from __future__ import annotations

from ..estimate import Estimate, Range
from .console import write


def print_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """Print the estimate, as a table or as JSON."""
    if as_json:
        write(f"{estimate.model_dump_json(indent=2)}\n")
        return
    cost = "not known for this model" if estimate.cost_usd is None else _range(estimate.cost_usd, "${:,.4f}")
    lines = (
        f"calls          {_range(estimate.calls)}; most runs {_range(estimate.likely_calls)}",
        f"tokens read    {_range(estimate.input_tokens)}",
        f"tokens written {_range(estimate.output_tokens)}",
        f"cost           {cost}",
    )
    write("\n".join(lines) + "\n")


def _range(bounds: Range, form: str = "{:,.0f}") -> str:
    low = form.format(bounds.low)
    if bounds.high is None:
        return f"{low} or more"
    high = form.format(bounds.high)
    return low if low == high else f"{low} to {high}"
