"""A chat in which a message approves a call, or does not; between two messages the process may end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contemplate import Contemplator, Message
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel
from examples.recipes.chat_approval import delete_file, reply

pytestmark = pytest.mark.anyio


class Chat:
    """A chat about a file, in a new process for each message; `files` is how many calls the model makes of a turn."""

    def __init__(self, folder: Path) -> None:
        self.model, self.files = "scripted", 1
        self.file = folder / "old.txt"
        self.file.write_text("old")
        self.journal = folder / "chat.db"
        self.calls = 0

    def script(self, request: ModelRequest) -> str | Message:
        self.calls += 1
        if request.messages[-1].role == "tool":
            return f"Done: {request.messages[-1].text}"
        paths = [str(self.file) + ".bak" * number for number in range(self.files)]
        calls = (ToolCall(id=path, name="delete_file", arguments=json.dumps({"path": path})) for path in paths)
        return Message.assistant("", tuple(calls))

    async def say(self, text: str, user: str = "ann") -> str:
        model = ScriptedModel(self.script, name=self.model)
        journal = Journal(self.journal)
        mind = Contemplator(model, mode="thinking", tools=[delete_file], journal=journal)
        try:
            return await reply(mind, user, text)
        finally:
            journal.close()


@pytest.fixture
def chat(tmp_path: Path) -> Chat:
    return Chat(tmp_path)


async def test_yes_means_yes_in_another_process_and_nothing_is_paid_for_twice(chat: Chat) -> None:
    assert await chat.say("Clean up.") == f"May I call delete_file with {{'path': '{chat.file}'}}? Yes, or no?"
    assert chat.file.exists()
    assert chat.calls == 1
    assert await chat.say("Yes, delete it.") == "Done: deleted"
    assert not chat.file.exists()
    assert chat.calls == 2


@pytest.mark.parametrize("said", ["No, I need it.", "Yesterday I needed it.", "What for?"])
async def test_all_else_means_no_and_the_model_is_told(said: str, chat: Chat) -> None:
    await chat.say("Clean up.")
    assert said in await chat.say(said)
    assert chat.file.exists()
    # What is said then is a message like any other.
    assert "May I call" in await chat.say("Clean up.")


async def test_nobody_answers_for_somebody_else(chat: Chat) -> None:
    await chat.say("Clean up.")
    assert "May I call" in await chat.say("Yes!", user="bob")
    assert chat.file.exists()


async def test_two_calls_are_two_questions(chat: Chat) -> None:
    chat.files = 2
    first = await chat.say("Clean up.")
    second = await chat.say("Yes.")
    assert (first.count("May I"), second.count("May I")) == (1, 1)
    assert first != second
    assert "Done" in await chat.say("No.")
    assert chat.calls == 2


async def test_yes_is_for_the_call_that_was_asked_of_though_the_program_has_changed(chat: Chat) -> None:
    await chat.say("Clean up.")
    asked = chat.file
    chat.model, chat.file = "another", asked.with_name("new.txt")
    chat.file.write_text("new")
    # The other model is asked anew, and wants something else.
    assert "new.txt" in await chat.say("Yes.")
    assert asked.exists()
    assert chat.file.exists()
    assert "Done" in await chat.say("Yes.")
    assert asked.exists()
    assert not chat.file.exists()
