"""A planner is an async generator of tasks. This one looks at what came back before it plans on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from contemplate import Contemplator, RunContext, Task


async def pro_and_con(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    """Argue both sides at once; then let someone who has read both name the weakest argument."""
    yield Task(id="pro", prompt=f"Make the best case for it, in three sentences: {question}")
    yield Task(id="con", prompt=f"Make the best case against it, in three sentences: {question}")
    both = [await ctx.finished("pro"), await ctx.finished("con")]
    if all(result.answered for result in both):
        yield Task(id="weakest", prompt="Which of these arguments is the weakest, and why?", needs=("pro", "con"))


mind = Contemplator(planner=pro_and_con)
result = mind.run_sync("Should a city of 50,000 people make its buses free?")

for task in result.tasks:
    print(f"{task.id}: {task.outcome} after {task.seconds:.1f} s")
print("\n" + result.output)
