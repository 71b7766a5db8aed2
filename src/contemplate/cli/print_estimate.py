"""What a run may take: in full for `ask --estimate`, in a line before a run."""

from __future__ import annotations

from ..estimate import Estimate, Range
from .console import write


def print_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """Print the estimate, as a table or as JSON."""
    if as_json:
        write(f"{estimate.model_dump_json(indent=2)}\n")
        return
    cost = "; ".join(estimate.notes) if estimate.cost_usd is None else _range(estimate.cost_usd, "${:,.4f}")
    lines = (
        f"calls          {_range(estimate.calls)}; most runs {_range(estimate.likely_calls)}",
        f"tokens read    {_range(estimate.input_tokens)}",
        f"tokens written {_range(estimate.output_tokens)}",
        f"cost           {cost}",
    )
    write("\n".join(lines) + "\n")


def print_batch_estimate(estimate: Estimate, rows: int) -> None:
    """Print what a batch of so many rows may take, by the estimate of the first."""
    write(f"{rows:,} rows; of each, by the first:\n")
    print_estimate(estimate, as_json=False)
    if estimate.cost_usd is not None:
        high = estimate.cost_usd.high
        whole = Range(low=estimate.cost_usd.low * rows, high=None if high is None else high * rows)
        write(f"cost of all    {_range(whole, '${:,.4f}')}\n")


def expectation(estimate: Estimate, *, local: bool) -> str:
    """Return in a line what a run may take.

    Args:
        estimate: the estimate of the run.
        local: whether a local model answers. How long one takes is known when it has written something.
    """
    calls = _range(estimate.likely_calls)
    said = [f"{calls} {'call' if calls == '1' else 'calls'}"]
    if estimate.output_tokens.high is not None:
        said.append(f"up to about {estimate.output_tokens.high:,.0f} tokens written")
    if estimate.cost_usd is not None and estimate.cost_usd.high:
        said.append(f"up to about ${estimate.cost_usd.high:,.4f}")
    time = "; the time is told when the first call has shown how fast the model writes" if local else ""
    return f"Expected: {', '.join(said)}{time}"


def _range(bounds: Range, form: str = "{:,.0f}") -> str:
    low = form.format(bounds.low)
    if bounds.high is None:
        return f"{low} or more"
    high = form.format(bounds.high)
    return low if low == high else f"{low} to {high}"
