"""An aggregator is an async function over the results, as they come. When it returns, the rest is cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator

from contemplate import Conclusion, Contemplator, RunContext, TaskResult, planners


async def first_two(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
    """Take the shorter of the first two answers."""
    answers: list[TaskResult] = []
    async for result in results:
        if result.answered:
            answers.append(result)
        if len(answers) == 2:
            break
    shorter = min(answers, key=lambda answer: len(answer.text))
    return Conclusion(text=shorter.text, support=(shorter.id,))


mind = Contemplator(planner=planners.sample(4), aggregator=first_two)
result = mind.run_sync("What is the difference between a list and a tuple in Python?")

print(result.output)
print("\n" + ", ".join(f"{task.id}: {task.outcome}" for task in result.tasks))
