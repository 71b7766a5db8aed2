"""A chat in which the user approves what the model wants to do, by a message, today or next week."""

import re

import anyio

from contemplate import Approved, Contemplator, Denied, PendingCall, tool


@tool(approval=True)
async def delete_file(path: str) -> str:
    """Delete a file."""
    await anyio.Path(path).unlink()
    return "deleted"


async def reply(mind: Contemplator, user: str, text: str) -> str:
    """Return the reply to a message of a user's, which may be an answer to what he was asked before."""
    asked = waiting_call(mind, user)
    if asked is None:
        result = await mind.run(text, labels={"user": user})
    else:
        decision = Approved() if re.match(r"yes\b", text, re.IGNORECASE) else Denied(text)
        result = await mind.resume(asked.run_id, {asked.id: decision})
    if result.status == "suspended":
        call = result.pending[0]
        return f"May I call {call.tool} with {call.arguments}? Yes, or no?"
    return result.output


def waiting_call(mind: Contemplator, user: str) -> PendingCall | None:
    """Return the call of which the user was asked."""
    assert mind.journal is not None
    runs = [run for run in mind.journal.runs(status="suspended") if run.labels == {"user": user}]
    return next((call for run in runs for call in mind.journal.pending(run.run_id)), None)


async def main() -> None:
    """Chat on the terminal; start it anew between two messages, and it still knows what it asked."""
    mind = Contemplator(mode="thinking", tools=[delete_file], journal="sqlite:///chat.db")
    while message := await anyio.to_thread.run_sync(input, "> "):
        print(await reply(mind, "ann", message))


if __name__ == "__main__":
    anyio.run(main)
