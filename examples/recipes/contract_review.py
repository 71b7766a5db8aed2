"""Three reviews of a contract, each of whose quotes must stand in it; the best one is taken."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from contemplate import Agent, Contemplator, RunResult, TaskResult, aggregators, checked, planners
from contemplate.models import Model

Quote = Annotated[str, Field(min_length=10, description="word for word from the contract")]


class Clause(BaseModel):
    title: str
    quote: Quote


class Risk(BaseModel):
    severity: Literal["low", "medium", "high"]
    why: str
    quote: Quote


class Review(BaseModel):
    clauses: list[Clause]
    risks: list[Risk]


def review(contract: str, model: str | Model | None = None) -> RunResult[Review]:
    """Return the review of a contract."""
    words = " ".join(contract.split())

    def quotes_stand(result: TaskResult) -> bool | str:
        found: Review = result.output
        quotes = [clause.quote for clause in found.clauses] + [risk.quote for risk in found.risks]
        wrong = [quote for quote in quotes if " ".join(quote.split()) not in words]
        return not wrong or f"these quotes do not stand in the contract: {wrong}"

    mind = Contemplator(
        model,
        planner=planners.sample(3),
        agent=checked(Agent(), quotes_stand, attempts=3),
        aggregator=aggregators.judge(),
        output_type=Review,
    )
    return mind.run_sync(f"Review this contract for the buyer: its clauses, and the risks.\n\n{contract}")


if __name__ == "__main__":
    for risk in review(Path(sys.argv[1]).read_text(encoding="utf-8")).output.risks:
        print(f"{risk.severity}: {risk.why}\n    {risk.quote!r}")
