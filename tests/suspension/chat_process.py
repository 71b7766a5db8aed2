"""A process of `test_kill`: it goes on with a run, says how it ended, and stays until it is killed.

Its arguments: the URL of the server, the journal, a folder, and JSON: the decisions by their ids.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio

from contemplate import Contemplator, Tool, tool
from contemplate.models import OpenAIModel

from .scene import join, parts

RUN = "the-run"
PARTS = ("a", "b", "c")


def mail_tool(folder: Path, hang: bool) -> Tool:
    @tool(approval=True)
    async def mail(to: str) -> str:
        """Send a mail."""
        if hang:
            sys.stdout.write("begun\n")
            sys.stdout.flush()
            await anyio.sleep_forever()
        with (folder / "sent").open("a") as file:
            file.write(f"{to}\n")
        return f"sent to {to}"

    return mail


def contemplator(url: str, journal: str, folder: Path, *, hang: bool = False) -> Contemplator[str]:
    model = OpenAIModel("m", base_url=url, api_key="k")
    tools = [mail_tool(folder, hang)]
    return Contemplator(model, planner=parts(*PARTS), aggregator=join, tools=tools, journal=journal)


def main() -> None:
    url, journal, folder, decisions, hang = sys.argv[1:]
    mind = contemplator(url, journal, Path(folder), hang=bool(hang))
    given = json.loads(decisions)
    result = mind.resume_sync(RUN, given) if given else mind.run_sync("What is to be done?", run_id=RUN)
    said = {
        "status": result.status,
        "text": result.text,
        "calls": result.usage.calls,
        "pending": {str(call.arguments["to"]): call.id for call in result.pending},
    }
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
