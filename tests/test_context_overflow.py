"""Prompts that do not fit into the model's context: the run ends with an answer, and says what was left out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from contemplate import Agent, Contemplator, Limits, Task, aggregators, planners, tool
from contemplate.errors import ModelContextError
from contemplate.events import Event, ModelCalled, Noted
from contemplate.journal import Journal
from contemplate.messages import Message
from contemplate.models import Delta, Fallback, ModelRequest, OpenAIModel
from contemplate.models.context_size import ContextSize
from contemplate.models.openai.lesson_store import forget_lessons
from contemplate.models.tokens import request_tokens
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel
from contemplate.testing.faulty import ChatAnswer, Exchange, FaultyServer, HttpError
from contemplate.testing.faulty import Reply as Reply

pytestmark = pytest.mark.anyio

QUESTION = "What is known of Atlantis?"
CONTEXT = 2000
LONG = "It lies at the bottom of the sea, they say. " * 400
WORDINGS: dict[str, Callable[[int], str]] = {
    "vllm": lambda size: (
        f"This model's maximum context length is {CONTEXT} tokens. However, your request has {size} input tokens. "
        "Please reduce the length of the input messages."
    ),
    "openai": lambda size: (
        f"This model's maximum context length is {CONTEXT} tokens. However, your messages resulted in {size} tokens. "
        "Please reduce the length of the messages."
    ),
    "anthropic": lambda size: f"prompt is too long: {size} tokens > {CONTEXT} maximum",
    "openai, later": lambda size: "Your input exceeds the context window of this model. Please adjust your input.",
}


def size_of(exchange: Exchange) -> int:
    return sum(len(json.dumps(message)) for message in exchange.messages) // 4


class Small:
    """A server's script: a model with a small context that answers what `answer` says."""

    def __init__(self, answer: Callable[[Exchange], Reply | str], wording: str = "vllm") -> None:
        self.answer = answer
        self.wording = WORDINGS[wording]
        self.refused: list[Exchange] = []
        self.answered: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> Reply | str:
        size = size_of(exchange)
        if size > CONTEXT:
            self.refused.append(exchange)
            return HttpError(400, self.wording(size))
        self.answered.append(exchange)
        return self.answer(exchange)


def parts(count: int) -> Planner:
    """`count` parts, and one that needs them all."""

    async def plan(question: str, ctx: Any) -> Any:
        for number in range(count):
            yield Task(id=f"part-{number}", prompt=f"look at part {number}")
        yield Task(id="last", prompt="THE LAST", needs=tuple(f"part-{number}" for number in range(count)))

    return plan


def long_parts(exchange: Exchange) -> str:
    prompt = exchange.prompt
    if "look at part" in prompt:
        return LONG
    if "THE LAST" in prompt:
        return "the last part is short"
    return "a summary" if prompt.endswith("words.") else "MERGED"


STREAMED = pytest.mark.parametrize(("anyio_backend", "streamed"), [("asyncio", True), ("trio", False)])


@pytest.mark.parametrize("wording", WORDINGS)
@STREAMED
async def test_long_parts_end_with_an_answer(wording: str, streamed: bool) -> None:
    small = Small(long_parts, wording)
    events: list[Event] = []
    with FaultyServer(small) as server:
        mind = Contemplator(
            OpenAIModel("m", base_url=server.url),
            planner=parts(3),
            aggregator=aggregators.synthesize(),
        )
        if streamed:
            async with mind.stream(QUESTION) as stream:
                async for event in stream:
                    events.append(event)
            result = stream.result
        else:
            result = await mind.run(QUESTION)
    assert result.text == "MERGED"
    assert all(task.answered for task in result.tasks)
    assert not result.complete
    assert any("task 'last'" in note and "shortened" in note for note in result.notes)
    assert small.refused
    # What was asked is there in all that was answered.
    assert all(QUESTION in str(exchange.messages) for exchange in small.answered)
    assert result.usage.calls == len(small.answered)


async def test_the_run_knows_the_context_after_one_refusal() -> None:
    async def plan(question: str, ctx: Any) -> Any:
        yield Task(id="long", prompt="look at part 0")
        await ctx.finished("long")
        for number in range(20):
            yield Task(id=f"next-{number}", prompt="THE LAST", needs=("long",))
            await ctx.finished(f"next-{number}")

    small = Small(long_parts)
    with FaultyServer(small) as server:
        mind = Contemplator(OpenAIModel("m", base_url=server.url), planner=plan, aggregator=aggregators.first())
        await mind.run(QUESTION)
    assert len(small.refused) <= 1


@pytest.mark.parametrize("wording", WORDINGS)
async def test_a_question_that_does_not_fit_is_an_error_that_says_so(wording: str) -> None:
    small = Small(long_parts, wording)
    with FaultyServer(small) as server:
        model = OpenAIModel("m", base_url=server.url)
        for planner in (planners.direct(), planners.model()):
            mind = Contemplator(model, planner=planner, aggregator=aggregators.first())
            with pytest.raises(Exception, match="(?i)context|too long") as caught:
                await mind.run(f"{QUESTION} {LONG}")
            assert "openai:m" in str(caught.value)
    assert len(small.refused) == 2


class Facts(BaseModel):
    sunk: bool


async def test_typed_answers_from_long_inputs() -> None:
    def answer(exchange: Exchange) -> str:
        return '{"sunk": true}' if exchange.schema else LONG

    small = Small(answer)
    with FaultyServer(small) as server:
        mind = Contemplator(
            OpenAIModel("m", base_url=server.url),
            planner=parts(2),
            aggregator=aggregators.synthesize(),
            output_type=Facts,
        )
        result = await mind.run(QUESTION)
    assert result.output == Facts(sunk=True)
    assert small.refused


@pytest.mark.parametrize("aggregator", ["judge", "tournament", "agentic", "meaning", "refine"])
async def test_every_prompt_with_material_is_shortened(aggregator: str) -> None:
    def answer(exchange: Exchange) -> Reply | str:
        if exchange.schema == "Choice":
            return '{"reason": "so", "best": "1"}'
        if exchange.schema == "_Preference":
            return '{"reason": "so", "better": "1"}'
        if exchange.schema == "Finish":
            if exchange.body.get("tool_choice") != "none" and len(exchange.messages) < 4:
                return ChatAnswer("", finish="tool_calls", tool_calls=[("get_solution", '{"trajectory": 1}')])
            return '{"reason": "so", "support": [1], "solution": "blue"}'
        if exchange.schema is not None:
            return '{"same": true}'
        return f"{LONG} {exchange.body.get('seed')}"

    small = Small(answer)
    planner = planners.sample(3)
    chosen: Any = {
        "judge": aggregators.judge(),
        "tournament": aggregators.tournament(),
        "agentic": aggregators.agentic(),
        "meaning": aggregators.vote(by_meaning=True) if aggregator == "meaning" else None,
        "refine": aggregators.first(),
    }[aggregator]
    if aggregator == "refine":
        planner = planners.rounds(1, 1, 3)
    with FaultyServer(small) as server:
        mind = Contemplator(OpenAIModel("m", base_url=server.url), planner=planner, aggregator=chosen)
        result = await mind.run(QUESTION)
    assert result.text
    assert small.refused
    assert any("shortened" in note for note in result.notes)
    assert not result.complete


@tool
async def look(place: int) -> str:
    """Look at a place."""
    return f"At place {place}: " + "water, and then more water; " * 30


def called(exchange: Exchange) -> list[Any]:
    return [call for message in exchange.messages for call in message.get("tool_calls", [])]


def looking(turns: int) -> Callable[[Exchange], Reply | str]:
    def answer(exchange: Exchange) -> Reply | str:
        calls = [json.loads(call["function"]["arguments"]) for call in called(exchange)]
        seen = calls[-1]["place"] + 1 if calls else 0
        if seen == turns or exchange.body.get("tool_choice") == "none":
            return f"seen {seen}"
        return ChatAnswer("", finish="tool_calls", tool_calls=[("look", json.dumps({"place": seen}))])

    return answer


@pytest.mark.parametrize("wording", ["vllm", "openai, later"])
async def test_an_agent_with_tools_goes_on_with_old_turns_condensed(wording: str) -> None:
    small = Small(looking(14), wording)
    with FaultyServer(small) as server:
        mind = Contemplator(
            OpenAIModel("m", base_url=server.url),
            planner=planners.direct(),
            agent=Agent(tools=[look], max_turns=20),
            aggregator=aggregators.first(),
        )
        result = await mind.run(QUESTION)
    assert result.text == "seen 14"
    if wording == "vllm":
        # It had read them all. Where the server names no sizes, the latest result may be shortened with the old ones.
        assert result.complete
        assert result.notes == (
            "openai:m: task 'answer': the conversation does not fit into the context; what is old in it is shown "
            "condensed",
        )
    # The record has them in full.
    kept = [message.text for message in result.tasks[0].messages if message.role == "tool"]
    assert len(kept) == 14
    assert all(len(text) > 800 for text in kept)


async def test_resumed_and_replayed_nothing_is_paid_twice(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "runs.db")
    failing = True

    def answer(exchange: Exchange) -> Reply | str:
        if failing and "MERGE IT" in str(exchange.messages):
            return HttpError(401, "not now")
        return long_parts(exchange)

    small = Small(answer)
    with FaultyServer(small) as server:
        mind = Contemplator(
            OpenAIModel("m", base_url=server.url),
            planner=parts(3),
            aggregator=aggregators.synthesize(instructions="MERGE IT"),
            journal=journal,
        )
        first = await mind.run(QUESTION)
        paid = len(small.answered)
        failing = False
        small.answered.clear()
        assert first.text != "MERGED"
        resumed = await mind.run(QUESTION, run_id=first.run_id)
        assert resumed.text == "MERGED"
        # What was refused may be asked again, as it costs nothing; all that was answered is known.
        assert all("MERGE IT" in str(exchange.messages) for exchange in small.answered)
        assert paid > 3
        small.answered.clear()
        small.refused.clear()
        replayed = await mind.replay(first.run_id)
        assert (replayed.text, replayed.complete) == (resumed.text, resumed.complete)
        assert (small.answered, small.refused) == ([], [])


async def test_a_refusal_for_its_size_is_not_a_call_that_limits_count() -> None:
    small = Small(long_parts)
    events: list[Event] = []
    with FaultyServer(small) as server:
        mind = Contemplator(
            OpenAIModel("m", base_url=server.url),
            planner=parts(2),
            aggregator=aggregators.synthesize(),
            limits=Limits(calls=4),
            on_event=events.append,
        )
        result = await mind.run(QUESTION)
    assert result.usage.calls == 4
    assert result.text == "MERGED"
    assert any(isinstance(event, Noted) and "shortened" in event.message for event in events)
    refused = [event for event in events if isinstance(event, ModelCalled) and event.error is not None]
    assert [event.usage.calls for event in refused] == [0]
    assert re.search("context", refused[0].error.message if refused[0].error else "")


async def test_what_has_been_begun_is_not_asked_again() -> None:
    class Late(ScriptedModel):
        async def request(self, request: ModelRequest, on_delta: Any = None) -> Any:
            self.requests.append(request)
            if on_delta is not None:
                on_delta(Delta("It "))
            raise ModelContextError("too long", model="late")

    model = Late("")
    mind = Contemplator(model, planner=planners.direct(), aggregator=aggregators.first())
    with pytest.raises(Exception, match="too long"):
        async with mind.stream(QUESTION) as stream:
            async for _ in stream:
                pass
    assert len(model.requests) == 1


class TestKnownBeforehand:
    """What an earlier run learnt is used before anything is sent."""

    @pytest.mark.parametrize("wording", ["vllm", "openai", "anthropic"])
    @STREAMED
    async def test_the_second_run_is_refused_nothing(self, wording: str, streamed: bool) -> None:
        small = Small(long_parts, wording)
        with FaultyServer(small) as server:
            for run in range(2):
                mind = Contemplator(
                    OpenAIModel("m", base_url=server.url), planner=parts(4), aggregator=aggregators.synthesize()
                )
                if streamed:
                    async with mind.stream(QUESTION) as stream:
                        async for _ in stream:
                            pass
                    result = stream.result
                else:
                    result = await mind.run(QUESTION)
                assert result.text == "MERGED"
                assert any("task 'last'" in note and "shortened" in note for note in result.notes)
                assert any("they are summarised" in note for note in result.notes)
                assert bool(small.refused) is (run == 0)
                small.refused.clear()

    async def test_what_may_fit_is_sent_whole(self) -> None:
        """The estimate may be far too high."""
        text = "It lies at the bottom of the sea. " * 300
        model = ScriptedModel(lambda request: text if "look at part" in request.messages[-1].text else "short")
        size = request_tokens(ModelRequest((Message.user(text),)))
        model.context_size = ContextSize(int(size / 1.7))  # type: ignore[attr-defined]
        result = await Contemplator(model, planner=parts(1), aggregator=aggregators.synthesize()).run(QUESTION)
        assert (result.text, result.complete) == ("short", True)
        assert sum(text.strip() in request.messages[-1].text for request in model.requests) == 2

    async def test_a_larger_context_answers_before_anything_is_shortened(self) -> None:
        small = Small(long_parts)
        with FaultyServer(small) as server, FaultyServer(long_parts) as large:
            models = [OpenAIModel(name, base_url=url) for name, url in (("s", server.url), ("l", large.url))]
            for run in range(2):
                refused = len(small.refused)
                mind = Contemplator(Fallback(models), planner=parts(3), aggregator=aggregators.synthesize())
                result = await mind.run(QUESTION)
                assert (result.text, result.complete) == ("MERGED", True)
                assert not any("shortened" in note for note in result.notes)
                assert (len(small.refused) > refused) is (run == 0)

    async def test_a_record_is_replayed_whatever_is_known_by_then(self, tmp_path: Path) -> None:
        small, journal = Small(long_parts), Journal(tmp_path / "runs.db")

        def mind() -> Contemplator:
            model = OpenAIModel("m", base_url=server.url)
            return Contemplator(model, planner=parts(4), aggregator=aggregators.synthesize(), journal=journal)

        with FaultyServer(small) as server:
            unknown, known = await mind().run(QUESTION), await mind().run(QUESTION)
            asked = len(server.exchanges)
            for run in (unknown, known):
                for known_by_then in (True, False):
                    if not known_by_then:
                        forget_lessons()
                    again = await mind().replay(run.run_id)
                    assert (again.text, again.notes) == (run.text, run.notes)
            assert len(server.exchanges) == asked
