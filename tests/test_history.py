"""The conversation before a question, and what each role is shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contemplate import Contemplator, Limits, aggregators, planners
from contemplate.errors import ConfigurationError, ModelContextError
from contemplate.messages import ImagePart, Message, ToolCall
from contemplate.models import ModelRequest
from contemplate.models.tokens import request_tokens
from contemplate.plan import Task
from contemplate.prompts import DEFAULTS
from contemplate.run.history import History, checked_history, first_kept
from contemplate.testing import ScriptedModel

RED = ImagePart(url="https://example.org/red.png")
CALL = ToolCall(id="c1", name="weather", arguments='{"city": "Oslo"}')
CHAT = (Message.user("Who wrote Emma?"), Message.assistant("Jane Austen."))
TOOLS = (Message.user("A coat?"), Message.assistant("", (CALL,)), Message.tool("c1", "-4 C"), Message.assistant("Yes."))


def weather(city: str) -> str:
    """Return the weather."""
    return f"-4 C in {city}"


@pytest.mark.anyio
class TestRoles:
    async def test_who_answers_sees_the_conversation_as_it_was(self) -> None:
        model = ScriptedModel("In 1815.")
        result = await Contemplator(model, mode="instant").run("When?", history=CHAT)
        assert model.requests[0].messages == (*CHAT, Message.user("When?"))
        assert result.history == (*CHAT, Message.user("When?"), Message.assistant("In 1815."))

    async def test_planner_parts_and_aggregator_see_a_transcript(self) -> None:
        plan = '{"tasks": [{"title": "A", "prompt": "Do A"}, {"title": "B", "prompt": "Do B"}]}'

        def reply(request: ModelRequest) -> str:
            text = request.messages[0].text
            return plan if request.output_schema else "merged" if "final answer" in text else "a part"

        model = ScriptedModel(reply)
        mind = Contemplator(model, planner=planners.model(), aggregator=aggregators.synthesize())
        await mind.run("When?", history=CHAT)
        assert len(model.requests) == 4
        for request in model.requests:
            assert [each.role for each in request.messages] == ["system", "user"]
            said = request.messages[1].text
            assert said.index("Who wrote Emma?") < said.index("Jane Austen.")
        first, second = (each.messages for each in model.requests[1:3])
        assert first[0] == second[0]
        # What subagents share comes before what differs, byte for byte.
        shared = first[1].text.partition("Your task")[0]
        assert "Jane Austen." in shared
        assert second[1].text.startswith(shared)

    async def test_a_part_is_shown_less_than_who_answers(self) -> None:
        long = [Message.user("x" * 30_000), Message.assistant("Noted."), *CHAT]

        async def plan(question: str, ctx: Any) -> Any:
            yield Task(id="a", prompt="Do A")
            yield Task(id="b", prompt="Do B", kind="answer")

        model = ScriptedModel("1815")
        await Contemplator(model, planner=plan, aggregator=aggregators.first()).run("When?", history=long)
        part, whole = sorted(model.requests, key=request_tokens)
        assert "Jane Austen." in part.messages[-1].text
        assert request_tokens(part) < 4500
        assert long[0] in whole.messages

    async def test_candidates_of_a_vote_see_it_too(self) -> None:
        model = ScriptedModel("1815")
        await Contemplator(model, mode="vote").run("When?", history=CHAT)
        assert all(CHAT[1] in each.messages for each in model.requests)

    async def test_system_messages_are_instructions_for_all(self) -> None:
        model = ScriptedModel("1815")
        mind = Contemplator(model, mode="instant", instructions="Cite.")
        await mind.run("When?", history=[Message.system("Be brief."), *CHAT])
        first, *rest = model.requests[0].messages
        assert first.text.index("Cite.") < first.text.index("Be brief.")
        assert [each.role for each in rest] == ["user", "assistant", "user"]
        await Contemplator(model, mode="instant").run("When?", history=[Message.system("Be brief.")])
        assert model.requests[-1].messages[0] == Message.system("Be brief.")

    async def test_a_contemplator_as_an_agent_and_samples_see_it(self) -> None:
        async def plan(question: str, ctx: Any) -> Any:
            yield Task(id="a", prompt=question, kind="answer", samples=3)

        model = ScriptedModel("1815")
        inner = Contemplator(model, mode="instant")
        mind = Contemplator(model, agent=inner, planner=plan, aggregator=aggregators.first())
        await mind.run("When?", history=CHAT)
        assert model.requests
        assert all(CHAT[1] in each.messages for each in model.requests)


@pytest.mark.anyio
class TestTurns:
    async def test_tools_and_images_of_a_turn_are_in_the_next(self) -> None:
        replies: list[Message | str] = [Message.assistant("", (CALL,)), "Take a coat.", "Yes, warm."]
        model = ScriptedModel(replies)
        mind = Contemplator(model, mode="instant", tools=[weather])
        first = await mind.run("A coat?", images=[RED])
        turn = (
            Message.user("A coat?", (RED,)),
            Message.assistant("", (CALL,)),
            Message.tool("c1", "-4 C in Oslo"),
            Message.assistant("Take a coat."),
        )
        assert first.history == turn
        second = await mind.run("Is it warm?", history=first.history)
        assert model.requests[-1].messages == (*turn, Message.user("Is it warm?"))
        assert second.history[: len(turn)] == turn

    async def test_tool_calls_are_words_where_a_request_has_no_tools(self) -> None:
        model = ScriptedModel("Yes.")
        await Contemplator(model, mode="instant").run("Sure?", history=TOOLS)
        messages = model.requests[0].messages
        assert not any(each.tool_calls or each.role == "tool" for each in messages)
        assert "weather" in messages[1].text
        assert "-4 C" in messages[1].text
        assert messages[2] == Message.assistant("Yes.")

    async def test_images_are_words_for_roles_that_may_not_see_them(self) -> None:
        model = ScriptedModel("Yes.")
        mind = Contemplator(model, mode="instant", images_to=[])
        await mind.run("Sure?", history=[Message.user("Look", (RED,)), Message.assistant("Nice.")])
        assert not any(each.images for each in model.requests[0].messages)
        assert "[image]" in model.requests[0].messages[0].text

    async def test_a_failed_run_keeps_the_conversation_before_it(self) -> None:
        mind = Contemplator(ScriptedModel([ValueError("no")]), mode="instant")
        with pytest.raises(Exception, match="no") as caught:
            await mind.run("When?", history=CHAT)
        assert getattr(caught.value, "partial").history == CHAT  # noqa: B009

    async def test_a_history_is_json(self) -> None:
        result = await Contemplator(ScriptedModel("x"), mode="instant").run("When?", history=TOOLS, images=[RED])
        kept = TypeAdapter(tuple[Message, ...])
        assert kept.validate_json(kept.dump_json(result.history)) == result.history


@pytest.mark.anyio
class TestJournal:
    async def test_a_stored_run_has_its_history_and_no_other(self) -> None:
        model = ScriptedModel([Message.assistant("", (CALL,)), "Take a coat."])
        mind = Contemplator(model, mode="instant", tools=[weather], journal="memory:")
        first = await mind.run("A coat?", history=CHAT, run_id="r", images=[RED])
        again = await mind.run("A coat?", history=CHAT, run_id="r", images=[RED])
        assert again.history == first.history
        assert len(again.history) == 6
        assert (await mind.replay("r")).history == first.history
        with pytest.raises(ConfigurationError, match="another history"):
            await mind.run("A coat?", run_id="r", images=[RED])
        assert len(model.requests) == 2


class TestErrors:
    @pytest.mark.parametrize("history", [TOOLS[:2], (*TOOLS[:2], TOOLS[3])])
    def test_a_call_without_a_result(self, history: Sequence[Message]) -> None:
        with pytest.raises(ConfigurationError, match="'c1' has no result"):
            checked_history(history)

    def test_a_result_without_a_call(self) -> None:
        with pytest.raises(ConfigurationError, match=r"history\[0\]"):
            checked_history(TOOLS[2:])

    def test_what_is_no_message(self) -> None:
        mind = Contemplator(ScriptedModel("x"), mode="instant")
        with pytest.raises(ConfigurationError, match=r"holds a dict.*Message.user"):
            mind.estimate("q", history=[{"role": "user"}])  # type: ignore[list-item]
        with pytest.raises(ConfigurationError, match=r"holds a RunResult.*previous.history"):
            mind.estimate("q", history=mind.run_sync("q"))  # type: ignore[arg-type]


texts = st.text("abc ", max_size=4000)
pictures = st.lists(st.just(RED), max_size=1).map(tuple)


def turns(text: str, answer: str, images: tuple[ImagePart, ...], tool: bool, number: int) -> tuple[Message, ...]:
    call = ToolCall(id=f"c{number}", name="weather", arguments="{}")
    called = (Message.assistant("", (call,)), Message.tool(call.id, answer)) if tool else ()
    return (Message.user(f"q{number} {text}", images), *called, Message.assistant(f"a{number} {answer}"))


chats = st.lists(st.tuples(texts, texts, pictures, st.booleans()), max_size=12).map(
    lambda drawn: [message for number, each in enumerate(drawn) for message in turns(*each, number)]
)


class TestBounds:
    @given(chats, st.integers(300, 6000), st.booleans(), st.booleans())
    def test_it_fits_and_every_call_keeps_its_result(
        self, chat: list[Message], room: int, images: bool, tools: bool
    ) -> None:
        shown = History(chat, DEFAULTS).as_messages(room, images=images, tools=tools)
        # What says that something is left out, and the images of the last turn, come on top.
        assert request_tokens(ModelRequest(shown.messages)) <= room * 1.5 + 1600
        checked_history(shown.messages)
        assert not shown.messages or shown.messages[0].role == "user"
        if not shown.shortened and tools and images:
            assert list(shown.messages) == chat
        transcript = History(chat, DEFAULTS).as_transcript(room, images=images)
        assert len(transcript.text) <= room * 3 * 1.5 + 3000

    @given(st.lists(st.integers(1, 50), max_size=200), st.integers(50, 200))
    def test_the_cut_moves_in_steps(self, sizes: list[int], room: int) -> None:
        cuts = [first_kept(sizes[:end], room) for end in range(len(sizes) + 1)]
        assert cuts == sorted(cuts)
        moves = sum(before != after for before, after in pairwise(cuts))
        assert moves <= sum(sizes) // (room // 2) + 1
        for end, cut in enumerate(cuts):
            assert sum(sizes[cut:end]) <= room

    @pytest.mark.anyio
    async def test_a_long_one_is_told_and_the_latest_is_kept(self) -> None:
        chat = [message for n in range(200) for message in turns("x" * 2000, "y" * 200, (), False, n)]
        model = ScriptedModel("Yes.")
        result = await Contemplator(model, mode="instant").run("Sure?", history=chat)
        assert any("shown shortened or left out" in note for note in result.notes)
        assert result.complete
        assert result.history[:-2] == tuple(chat)
        messages = model.requests[0].messages
        assert messages[-2] == chat[-1]
        assert "earlier messages are left out" in messages[0].text
        assert request_tokens(model.requests[0]) < 40_000

    @pytest.mark.anyio
    async def test_a_limit_on_tokens_leaves_room_for_the_answer(self) -> None:
        chat = [message for n in range(200) for message in turns("x" * 2000, "y" * 200, (), False, n)]
        mind = Contemplator(ScriptedModel("Yes."), mode="instant", limits=Limits(total_tokens=8000))
        assert (await mind.run("Sure?", history=chat)).output == "Yes."

    @pytest.mark.anyio
    async def test_a_context_that_is_too_small_for_it(self) -> None:
        def reply(request: ModelRequest) -> str:
            tokens = request_tokens(request)
            if tokens > 4000:
                error = ModelContextError("too long", model="m")
                error.context_tokens, error.prompt_tokens = 4000, tokens
                raise error
            return "Yes."

        chat = [message for n in range(12) for message in turns("x" * 3000, "y" * 200, (), False, n)]
        model = ScriptedModel(reply)
        result = await Contemplator(model, mode="instant").run("Sure?", history=chat)
        assert result.output == "Yes."
        assert result.complete
        assert model.requests[-1].messages[-1].text == "Sure?"
