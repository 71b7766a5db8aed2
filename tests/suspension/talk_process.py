"""A chat of six turns, for `test_chat`: with an image, tools, and an approval in the third turn.

As a process it goes on with the chat until a turn is suspended or all are over, and stays until it is killed. Its
arguments: the URL of the server, a folder for the journal and the conversation, and the decisions as JSON by their ids.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from contemplate import Contemplator, ImagePart, Message, tool
from contemplate.decisions import Approve
from contemplate.models import OpenAIModel

TURNS = 6
PICTURE = ImagePart(url="https://example.org/red.png")
HISTORY = TypeAdapter(tuple[Message, ...])


@tool
def look(place: str) -> str:
    """Look at a place."""
    return f"{place} is red"


@tool(approval=True)
def mail(to: str) -> str:
    """Send a mail."""
    return f"sent to {to}"


def talk(
    url: str, folder: Path, decisions: Mapping[str, object] | None = None, approve: Approve | None = None
) -> list[str]:
    """Go on with the chat in `folder`, and return what was answered; a suspended turn ends it with the waiting ids."""
    model = OpenAIModel("m", base_url=url, api_key="k")
    journal = f"sqlite:///{folder}/runs.db"
    mind = Contemplator(model, mode="instant", tools=[look, mail], journal=journal, approve=approve)
    kept = folder / "conversation.json"
    history = HISTORY.validate_json(kept.read_bytes()) if kept.exists() else ()
    said: list[str] = []
    for turn in range(1 + sum(each.role == "user" for each in history), TURNS + 1):
        if decisions:
            result = mind.resume_sync(f"turn-{turn}", decisions)  # type: ignore[arg-type]
            decisions = None
        else:
            images = [PICTURE] if turn == 1 else []
            result = mind.run_sync(f"question {turn}", history=history, images=images, run_id=f"turn-{turn}")
        if result.status == "suspended":
            return [*said, *(call.id for call in result.pending)]
        said.append(result.text)
        history = result.history
        kept.write_bytes(HISTORY.dump_json(history))
    return said


def main() -> None:
    url, folder, decisions = sys.argv[1:]
    sys.stdout.write(json.dumps(talk(url, Path(folder), json.loads(decisions))) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
