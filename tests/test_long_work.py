"""Long work with tools in a small context: it finishes, nothing is asked twice, and what was condensed is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from contemplate import Agent, Contemplator, RunResult, Tool, Usage, aggregators, planners, tool
from contemplate.agents.tool_use import with_own_ids
from contemplate.events import ContextCondensed, Event
from contemplate.messages import Message, ProviderData, ToolCall
from contemplate.models import ModelRequest, ModelResponse, OpenAIModel
from contemplate.models.tokens import request_tokens
from contemplate.testing import ScriptedModel
from contemplate.testing.faulty import ChatAnswer, Exchange, FaultyServer, HttpError
from contemplate.testing.faulty import Reply as ServerReply

pytestmark = pytest.mark.anyio

QUESTION = "What is written in the fifty rooms?"
TURNS = 50
ENOUGH = "all seen"

Reply = Message | str | Exception
Script = Callable[[ModelRequest], Reply]


class Rooms:
    """A tool that shows rooms, each with a text of its size, and counts how often it was asked for each."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self.seen: list[int] = []

    def text(self, room: int) -> str:
        return f"In room {room} is written: " + f"word {room} " * (self.sizes[room] // 8)

    @property
    def tool(self) -> Tool:
        @tool
        async def look(room: int) -> str:
            """Look into a room."""
            self.seen.append(room)
            return self.text(room)

        return look


def looking(rooms: Rooms, context: int, *, at_once: Sequence[int] = (), dies_at: Sequence[int] = ()) -> Script:
    """A script that looks into one room after the other, into as many at once as is said, and checks its prompts."""
    dying = set(dies_at)
    asked: set[str] = set()

    def script(request: ModelRequest) -> Reply:
        assert request_tokens(request) <= context
        assert request.messages[0].text.startswith(QUESTION)
        calls = [call for message in request.messages for call in message.tool_calls]
        assert len({call.id for call in calls}) == len(calls)
        results = {message.tool_call_id: message.text for message in request.messages if message.role == "tool"}
        assert results.keys() == {call.id for call in calls}
        last = [json.loads(call.arguments)["room"] for call in calls[-1:]]
        if last and rooms.sizes[last[0]] < context // 8:
            assert results[calls[-1].id] == rooms.text(last[0])
        room = last[0] + 1 if last else 0
        if room in dying:
            dying.remove(room)
            return RuntimeError("the process dies here")
        key = "\0".join(message.model_dump_json() for message in request.messages)
        assert key not in asked, "asked twice"
        asked.add(key)
        if room >= len(rooms.sizes) or request.tool_choice == "none":
            return ENOUGH if room >= len(rooms.sizes) else "not all"
        many = at_once[room % len(at_once)] if at_once else 1
        places = range(room, min(room + many, len(rooms.sizes)))
        # As servers do that count the calls of each turn.
        return Message.assistant(
            "", tuple(ToolCall(id=f"call_{n}", name="look", arguments=f'{{"room": {p}}}') for n, p in enumerate(places))
        )

    return script


def mind(
    script: Script,
    rooms: Rooms,
    context: int,
    *,
    journal: str | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Contemplator[str]:
    return Contemplator(
        ScriptedModel(script),
        planner=planners.direct(),
        agent=Agent(tools=[rooms.tool], max_turns=TURNS + 1, context=context),
        aggregator=aggregators.first(),
        journal=journal,
        on_event=on_event,
    )


def kept_in_full(result: RunResult[str], rooms: Rooms) -> bool:
    return [each.text for each in result.tasks[0].messages if each.role == "tool"] == [
        rooms.text(room) for room in range(len(rooms.sizes))
    ]


@pytest.mark.parametrize(("anyio_backend", "context"), [("asyncio", 8000), ("trio", 6000)])
async def test_fifty_turns_of_four_kilobytes_finish(context: int) -> None:
    rooms, events = Rooms([4000] * TURNS), list[Event]()
    result = await mind(looking(rooms, context), rooms, context, on_event=events.append).run(QUESTION)
    assert result.text == ENOUGH
    assert result.complete
    assert rooms.seen == list(range(TURNS))
    assert kept_in_full(result, rooms)
    told = condensed(events)
    assert 5 < len(told) < 25
    assert [event.turns for event in told] == sorted({event.turns for event in told})
    for event in told:
        assert event.task_id == "answer"
        assert event.tokens_after <= context < event.tokens_before
    (note,) = result.notes
    assert note.endswith(
        "task 'answer': the conversation does not fit into the context; what is old in it is shown condensed"
    )


async def test_fifty_turns_of_four_kilobytes_within_four_thousand_tokens_are_read_in_parts() -> None:
    rooms = Rooms([4000] * TURNS)
    result = await mind(looking(rooms, 4000), rooms, 4000).run(QUESTION)
    assert result.text == ENOUGH
    assert result.complete
    assert rooms.seen == list(range(TURNS))


def condensed(events: Sequence[Event]) -> list[ContextCondensed]:
    """What was condensed, whenever that was."""
    return [event.model_copy(update={"at": 0.0}) for event in events if isinstance(event, ContextCondensed)]


@pytest.mark.parametrize(("anyio_backend", "seed"), [(("asyncio", "trio")[seed % 2], seed) for seed in range(8)])
async def test_of_any_sizes_killed_and_resumed_nothing_is_asked_twice(seed: int, tmp_path: Path) -> None:
    drawn = Random(seed)
    context = drawn.choice([3000, 4000, 8000])
    rooms = Rooms([drawn.choice([0, 20, 400, 2500, 4000, 20_000]) for _ in range(TURNS)])
    at_once = [drawn.choice([1, 1, 2, 5]) for _ in range(7)]
    dies_at = [drawn.randrange(TURNS) for _ in range(3)]
    events: list[Event] = []
    script = looking(rooms, context, at_once=at_once, dies_at=dies_at)
    path = f"sqlite:///{tmp_path / 'runs.db'}"
    working = mind(script, rooms, context, journal=path, on_event=events.append)
    for _ in range(len(dies_at) + 1):
        try:
            result = await working.run(QUESTION, run_id="r")
            break
        except Exception as error:
            assert "dies here" in str(error)
            events.clear()
    assert result.text == ENOUGH
    assert result.complete
    assert sorted(rooms.seen) == list(range(TURNS))
    told = condensed(events)
    events.clear()
    replayed = await working.replay("r")
    assert replayed.text == result.text
    assert replayed.tasks[0].messages == result.tasks[0].messages
    assert replayed.notes == result.notes
    assert condensed(events) == told
    assert sorted(rooms.seen) == list(range(TURNS))
    again = await working.reaggregate("r")
    assert again.tasks[0].messages == result.tasks[0].messages


async def test_what_the_server_says_of_its_context_is_kept_to() -> None:
    """Without a context of its own, an agent keeps aside what would not fit into the one that a refusal told of."""
    rooms = Rooms([2000] * 10 + [40_000] * 2 + [2000] * 20)
    refused: list[int] = []

    def answer(exchange: Exchange) -> ServerReply | str:
        size = sum(len(json.dumps(message)) for message in exchange.messages) // 4
        if size > 4000:
            refused.append(size)
            return HttpError(
                400,
                "This model's maximum context length is 4000 tokens. However, your request has "
                f"{size} input tokens. Please reduce the length of the input messages.",
            )
        calls = [call for message in exchange.messages for call in message.get("tool_calls", [])]
        room = json.loads(calls[-1]["function"]["arguments"])["room"] + 1 if calls else 0
        if room == len(rooms.sizes):
            return ENOUGH
        return ChatAnswer("", finish="tool_calls", tool_calls=[("look", json.dumps({"room": room}))])

    with FaultyServer(answer) as server:
        working = Contemplator(
            OpenAIModel("m", base_url=server.url),
            planner=planners.direct(),
            agent=Agent(tools=[rooms.tool], max_turns=TURNS),
            aggregator=aggregators.first(),
        )
        result = await working.run(QUESTION)
    assert result.text == ENOUGH
    assert result.complete
    assert len(refused) < 5
    assert sum("read in parts" in note for note in result.notes) == 2


def answering(*ids: str, opaque: ProviderData | None = None) -> ModelResponse:
    calls = tuple(ToolCall(id=each, name="look", arguments="{}") for each in ids)
    message = Message.assistant("", calls).model_copy(update={"provider_data": opaque})
    return ModelResponse(message=message, finish="tool_calls", usage=Usage(), model="m")


def ids_of(response: ModelResponse) -> list[str]:
    return [call.id for call in response.message.tool_calls]


def test_calls_have_ids_of_their_own() -> None:
    before = (Message.user("?"), answering("a", "b").message)
    assert with_own_ids(answering("c", "d"), before) == answering("c", "d")
    assert with_own_ids(answering(), before) == answering()
    assert ids_of(with_own_ids(answering("a", "c", "b"), before)) == ["a_2", "c", "b_2"]
    assert ids_of(with_own_ids(answering("a"), (*before, answering("a_3").message))) == ["a_3_3"]


def test_ids_that_go_back_to_a_provider_stay() -> None:
    before = (answering("a").message,)
    items = ProviderData(provider="p", fields={"items": [{"call_id": "a"}]})
    assert ids_of(with_own_ids(answering("a", opaque=items), before)) == ["a"]
    thoughts = ProviderData(provider="p", fields={"reasoning": "hm"})
    assert ids_of(with_own_ids(answering("a", opaque=thoughts), before)) != ["a"]


async def test_an_aggregator_that_works_with_tools_tells_as_well() -> None:
    """It is shown what it read in the beginning as an account, too."""
    events: list[Event] = []

    def script(request: ModelRequest) -> Reply:
        if "what several experts did" not in request.messages[0].text:
            return "long " * 500
        assert request_tokens(request) <= 4000
        account = request.messages[1].text
        if "[6]" in account:
            return '{"reason": "so", "support": [1], "solution": "blue"}'
        return Message.assistant("", (ToolCall(id="c", name="get_solution", arguments='{"trajectory": 1}'),))

    working = Contemplator(
        ScriptedModel(script),
        planner=planners.sample(2),
        aggregator=aggregators.agentic(max_turns=30, context=4000),
        on_event=events.append,
    )
    result = await working.run(QUESTION)
    assert result.text == "blue"
    assert result.complete
    told = condensed(events)
    assert told[-1].turns >= 6
    assert {event.task_id for event in told} == {"aggregator"}
