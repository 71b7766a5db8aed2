"""The output can be any type that pydantic validates; a vote is then counted on the values, not on the texts."""

from __future__ import annotations

from pydantic import BaseModel, Field

from contemplate import Contemplator, aggregators, planners


class Estimate(BaseModel):
    """What the model is asked for."""

    reasoning: str = Field(max_length=300)
    prime: bool


mind = Contemplator(
    planner=planners.sample(3), aggregator=aggregators.vote(key=lambda found: found.prime), output_type=Estimate
)
result = mind.run_sync("Is 91 a prime number?")

print(result.output.prime, "-", result.output.reasoning)
print("for it:", result.support, "against it:", [each.tasks for each in result.dissent])
