"""Tools and budgets as they travel: plain data, made again where the run is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, Self

from pydantic import JsonValue

from ..budget import Budget
from ..data import Data, Text
from ..errors import ConfigurationError
from ..journal import Journal
from ..options import AnyTool
from ..tools.external import external_tool
from ..tools.tool import Tool

# So that the runs of one worker tell each other what they leave of a budget.
BUDGETS_KNOWN = 1000


class SentTool(Data):
    """A tool that whoever asks runs himself: the arguments of `external_tool`."""

    name: str
    description: Text = ""
    parameters: dict[str, JsonValue]
    side_effects: bool = False

    @classmethod
    def of(cls, tool: AnyTool) -> Self:
        """Return a tool as it travels.

        Raises:
            ConfigurationError: it is code, which is not sent anywhere.
        """
        if not (isinstance(tool, Tool) and tool.external):
            raise ConfigurationError(
                f"tools=...: {tool!r:.100} cannot travel to a worker",
                hint="give it to the worker's contemplator; an external_tool(...) can travel",
            )
        return cls(
            name=tool.name, description=tool.description, parameters=tool.parameters, side_effects=tool.side_effects
        )

    def made(self) -> Tool:
        """Return the tool."""
        return external_tool(self.name, self.description, self.parameters, side_effects=self.side_effects)


class SentBudget(Data):
    """A budget whose account is in the journal of the workers: the arguments of `Budget`, without the journal."""

    name: str
    cost_usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    per: Literal["minute", "hour", "day"] | float | None = None

    @classmethod
    def of(cls, budget: Budget, journal: Journal) -> Self:
        """Return a budget as it travels to the workers on `journal`.

        Raises:
            ConfigurationError: its account is somewhere else, where workers do not find it.
        """
        if budget.journal is None or budget.journal.key != journal.key:
            raise ConfigurationError(
                f"{budget!r} cannot travel to workers: what is spent of it is not in their journal",
                hint=f'Budget(..., journal="{journal.name}")',
            )
        return cls(name=budget.name, cost_usd=budget.cost_usd, tokens=budget.tokens, calls=budget.calls, per=budget.per)

    def made(self, journal: Journal) -> Budget:
        """Return the budget, whose account is in `journal`."""
        return _made(self, journal)


@lru_cache(maxsize=BUDGETS_KNOWN)
def _made(sent: SentBudget, journal: Journal) -> Budget:
    return Budget(**sent.model_dump(), journal=journal)


def sent_budgets(budget: Budget | Sequence[Budget] | None, journal: Journal) -> tuple[SentBudget, ...]:
    """Return budgets as they travel to the workers on `journal`.

    Raises:
        ConfigurationError: the account of one is somewhere else.
    """
    each_budget = () if budget is None else (budget,) if isinstance(budget, Budget) else budget
    return tuple(SentBudget.of(each, journal) for each in each_budget)
