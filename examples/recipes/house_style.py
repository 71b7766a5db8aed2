"""Answers in a house style, by prompts of one's own."""

import sys

from contemplate import Contemplator, Prompts
from contemplate.models import Model

PROMPTS = Prompts(
    synthesis_parts="""Write one answer of at most 120 words to the whole question, for a customer of a bank.
Begin with what to do. No jargon, no promises. Name neither experts nor tasks.""",
)


def adviser(model: str | Model | None = None) -> Contemplator:
    """Return what answers in the house style."""
    return Contemplator(
        model,
        prompts=PROMPTS,
        instructions={
            "planner": "Always plan a task on fees.",
            "subagent": "Rely on the price list of 2026 only. Say so where it is silent.",
        },
    )


if __name__ == "__main__":
    print(adviser().run_sync(sys.argv[1]).output)
