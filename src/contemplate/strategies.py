"""Strategies for answering a question, most of them prompt texts. Any text of your own is a strategy, too.

Example:
    planners.sample(5, strategies=[strategies.step_by_step, strategies.code, "Draw up a table first."])
"""

from __future__ import annotations

from typing import Final

from .plan import Program
from .prompts import render
from .tools.sandbox import require

Strategy = str | Program
StrategyParts = tuple[str | None, Program | None]

step_by_step: Final = render("strategy_step_by_step")
"""Chain of thought, Wei et al. 2022, https://arxiv.org/abs/2201.11903."""

work_backwards: Final = render("strategy_work_backwards")
"""Reason from the goal back to the givens: Polya, How to Solve It, 1945."""

critique_and_revise: Final = render("strategy_critique_and_revise")
"""Self-Refine in one call, Madaan et al. 2023, https://arxiv.org/abs/2303.17651."""

analogy: Final = render("strategy_analogy")
"""Analogical prompting, Yasunaga et al. 2023, https://arxiv.org/abs/2310.01714."""

code: Final = Program()
"""Program of Thoughts, Chen et al. 2022, https://arxiv.org/abs/2211.12588; PAL, https://arxiv.org/abs/2211.10435."""


def strategy_parts(strategy: Strategy) -> StrategyParts:
    """Return a strategy's instructions and its program settings; one of them is None.

    Raises:
        MissingDependencyError: it needs a program, and the extra "code" is not installed.
    """
    if isinstance(strategy, str):
        return strategy, None
    require()
    return None, strategy


__all__ = ["Program", "Strategy", "analogy", "code", "critique_and_revise", "step_by_step", "work_backwards"]
