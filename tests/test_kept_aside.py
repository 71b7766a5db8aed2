"""Results of tools that are too long to show: read in parts, and kept by the journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from contemplate import Agent, Contemplator, aggregators, planners, tool
from contemplate.agents.large_results import KeptAside
from contemplate.errors import ToolError
from contemplate.messages import Message, ToolCall
from contemplate.models import ModelRequest
from contemplate.models.tokens import request_tokens
from contemplate.prompts import DEFAULTS
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio

CONTEXT = 4000
BOOK = "".join(f"line {number}: nothing of note\n" for number in range(1200)) + "line 1200: the key is under the mat\n"
HALF = len(BOOK) // 2
BOOK = BOOK[:HALF] + "the treasure is in the cellar" + BOOK[HALF:]


def calling(name: str, arguments: str) -> Message:
    return Message.assistant("", (ToolCall(id=f"c-{name}", name=name, arguments=arguments),))


async def test_a_large_result_is_read_and_searched_and_made_once(tmp_path: Path) -> None:
    read = 0

    @tool
    async def library() -> str:
        """Read the book."""
        nonlocal read
        read += 1
        return BOOK

    failing = True

    def script(request: ModelRequest) -> Message | str | Exception:
        assert request_tokens(request) <= CONTEXT
        results = [message.text for message in request.messages if message.role == "tool"]
        names = [each.name for each in request.tools]
        if not results:
            assert names == ["library"]
            return calling("library", "{}")
        assert names == ["library", "read_result", "search_result"]
        if len(results) == 1:
            assert f"(Result 1 has {len(BOOK):,} characters" in results[0]
            assert "line 0: nothing" in results[0]
            assert "the key is under the mat" in results[0]
            return calling("search_result", '{"result": 1, "words": "Treasure"}')
        if len(results) == 2:
            assert "the treasure is in the cellar" in results[1]
            if failing:
                return RuntimeError("the process dies here")
            return calling("read_result", '{"result": 1, "start": 1}')
        assert results[2].startswith("line 0: nothing")
        assert "characters more, from" in results[2]
        return "in the cellar"

    mind = Contemplator(
        ScriptedModel(script),
        planner=planners.direct(),
        agent=Agent(tools=[library], context=CONTEXT),
        aggregator=aggregators.first(),
        journal=f"sqlite:///{tmp_path / 'runs.db'}",
    )
    with pytest.raises(Exception, match="dies here"):
        await mind.run("Where is the treasure?", run_id="r")
    failing = False
    result = await mind.run("Where is the treasure?", run_id="r")
    assert result.text == "in the cellar"
    assert result.complete
    assert read == 1
    assert result.notes == (f"task 'answer': a result of library, {len(BOOK):,} characters, is read in parts",)
    assert (await mind.replay("r")).text == result.text


async def test_the_parts_are_the_whole() -> None:
    kept = KeptAside(1000, DEFAULTS)
    assert kept.tools == {}
    assert kept.shown("short") == "short"
    text = "äbc" * 2000
    assert len(kept.shown(text)) < 1300
    start, parts = 1, ""
    while start <= len(text):
        part = (await kept.read_result(1, start)).split("\n[")[0]
        parts += part
        start += len(part)
    assert parts == text
    assert await kept.read_result(1, len(text)) == text[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((2, 1), "no result 2"), ((0, 1), "no result 0"), ((1, 0), "characters 1 to 200"), ((1, 201), "characters 1 to")],
)
async def test_what_cannot_be_read_is_told(arguments: tuple[int, int], said: str) -> None:
    kept = KeptAside(100, DEFAULTS)
    kept.shown("x" * 200)
    with pytest.raises(ToolError, match=said):
        await kept.read_result(*arguments)


@pytest.mark.parametrize(("words", "said"), [(" ", "no word"), ("y", "does not contain")])
async def test_what_cannot_be_found_is_told(words: str, said: str) -> None:
    kept = KeptAside(100, DEFAULTS)
    kept.shown("x" * 200)
    with pytest.raises(ToolError, match=said):
        await kept.search_result(1, words)


async def test_at_most_five_places_are_shown() -> None:
    kept = KeptAside(100, DEFAULTS)
    kept.shown("word " * 40)
    assert (await kept.search_result(1, "word")).endswith("[35 places more]")
