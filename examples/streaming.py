"""Watch a run while it happens. Leaving the block ends the run, and nothing of it goes on in the background."""

from __future__ import annotations

import anyio

from contemplate import Contemplator, Limits
from contemplate.events import OutputDelta, TaskFinished, TaskPlanned


async def main() -> None:
    """Print what is planned, what is finished, and the answer as it is written."""
    mind = Contemplator(limits=Limits(seconds=240, calls=10))
    async with mind.stream("Why do leaves turn red in autumn?") as run:
        async for event in run:
            match event:
                case TaskPlanned(task=task):
                    print(f"planned: {task.label}")
                case TaskFinished(result=result):
                    print(f"\n{result.outcome}: {result.task.label} ({result.seconds:.1f} s)")
                case OutputDelta(text=text):
                    print(text, end="", flush=True)
                case _:
                    pass
    print(f"\n{run.result.usage.calls} calls, complete: {run.result.complete}")


anyio.run(main)
