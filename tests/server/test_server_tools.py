"""The client's own tools: their calls go out, what they returned comes back, and the run goes on."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage

from contemplate import Contemplator, Message, RunContext, Task
from contemplate.events import Event, RunFinished
from contemplate.journal import Journal
from contemplate.journal.documents import JournalDocuments
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Minds, Serve, serving

QUESTION = {"role": "user", "content": "What is the weather?"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]


def calls(*cities: str, said: str = "") -> Message:
    made = [ToolCall(id="c", name="weather", arguments=json.dumps({"city": each})) for each in cities]
    return Message.assistant(said, tuple(made))


def told(request: ModelRequest) -> list[str]:
    return [each.text for each in request.messages if each.role == "tool"]


def parts(*ids: str) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for each in ids:
            yield Task(id=each, prompt=f"part {each}")

    return plan


async def join(question: str, results: Any, ctx: RunContext) -> str:
    seen = sorted([each async for each in results], key=lambda each: each.index)
    return " | ".join(each.text for each in seen)


join.model_calls = 0  # type: ignore[attr-defined]


def asking(*ids: str) -> ScriptedModel:
    """A model that asks for the weather of the city of each part, and then says what it was told."""

    def script(request: ModelRequest) -> Message | str:
        said = "\n".join(each.text for each in request.messages if each.role == "user")
        city = next((each for each in ids if f"part {each}" in said), ids[0])
        return f"{city}: {told(request)[-1]}" if told(request) else calls(city)

    return ScriptedModel(script)


class Chat:
    """A client that keeps the conversation, and calls its tools when it is asked to."""

    def __init__(self, url: str, *, stream: bool = False, **options: Any) -> None:
        self._url = url
        self._stream = stream
        self._options = {"model": "m", "tools": TOOLS} | options
        self.messages: list[Any] = [QUESTION]
        self.usage = 0

    def ask(self) -> ChatCompletionMessage:
        """Return the next message, which is then part of the conversation."""
        with openai.OpenAI(base_url=f"{self._url}/v1", api_key="none", timeout=PATIENCE, max_retries=0) as client:
            if self._stream:
                with client.chat.completions.stream(
                    messages=self.messages, stream_options={"include_usage": True}, **self._options
                ) as stream:
                    for _ in stream:
                        pass
                    completion: Any = stream.get_final_completion()
            else:
                completion = client.chat.completions.create(messages=self.messages, **self._options)
        (choice,) = completion.choices
        self.usage += completion.usage.total_tokens
        message: ChatCompletionMessage = choice.message
        assert choice.finish_reason == ("tool_calls" if message.tool_calls else "stop")
        self.messages.append(message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
        return message

    def give(self, call_id: str, result: str) -> None:
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": result})


def cities(message: ChatCompletionMessage) -> dict[str, str]:
    """The ids of the calls, by their city."""
    return {
        json.loads(each.function.arguments)["city"]: each.id
        for each in message.tool_calls or ()
        if each.type == "function"
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_loop_of_a_model_and_the_clients_tools(serve: Serve, stream: bool) -> None:
    model = ScriptedModel([calls("Rome", said="Let me look."), calls("Oslo"), "Sunny, then snow."])
    chat = Chat(serve({"m": Contemplator(model, mode="instant")}), stream=stream)
    first = chat.ask()
    assert first.content == "Let me look."
    (call,) = first.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Rome"})
    assert call.id.startswith("call_")
    assert len(call.id) <= 40
    assert model.requests[0].tools[0].parameters == TOOLS[0]["function"]["parameters"]  # type: ignore[index]
    chat.give(call.id, "sun")
    second = chat.ask()
    assert not second.content
    chat.give(cities(second)["Oslo"], "snow")
    assert chat.ask().content == "Sunny, then snow."
    assert told(model.requests[-1]) == ["sun", "snow"]
    assert len(model.requests) == 3, "something was asked twice"


@pytest.mark.parametrize("stream", [False, True])
def test_the_usage_of_each_reply_is_its_own(serve: Serve, stream: bool) -> None:
    events: list[Event] = []
    model = ScriptedModel([calls("Rome"), "Sunny."])
    chat = Chat(serve({"m": Contemplator(model, mode="instant", on_event=events.append)}), stream=stream)
    chat.give(cities(chat.ask())["Rome"], "sun")
    chat.ask()
    (whole,) = [event.usage for event in events if isinstance(event, RunFinished)]
    assert chat.usage == whole.total_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_several_subagents_go_out_at_once(serve: Serve, stream: bool) -> None:
    model = asking("Rome", "Oslo", "Bern")
    mind = Contemplator(model, planner=parts("Rome", "Oslo", "Bern"), aggregator=join)
    chat = Chat(serve({"m": mind}), stream=stream)
    ids = cities(chat.ask())
    assert sorted(ids) == ["Bern", "Oslo", "Rome"]
    for city, call_id in ids.items():
        chat.give(call_id, f"fine in {city}")
    assert chat.ask().content == "Rome: fine in Rome | Oslo: fine in Oslo | Bern: fine in Bern"
    assert len(model.requests) == 6


def test_results_come_one_by_one(serve: Serve) -> None:
    model = asking("Rome", "Oslo")
    chat = Chat(serve({"m": Contemplator(model, planner=parts("Rome", "Oslo"), aggregator=join)}))
    ids = cities(chat.ask())
    chat.give(ids["Oslo"], "snow")
    assert cities(chat.ask()) == {"Rome": ids["Rome"]}
    chat.give(ids["Rome"], "sun")
    assert chat.ask().content == "Rome: sun | Oslo: snow"
    assert len(model.requests) == 4


def test_one_call_at_a_time_if_the_client_wants_that(serve: Serve) -> None:
    model = asking("Rome", "Oslo")
    mind = Contemplator(model, planner=parts("Rome", "Oslo"), aggregator=join)
    chat = Chat(serve({"m": mind}), parallel_tool_calls=False)
    for _ in range(2):
        ((city, call_id),) = cities(chat.ask()).items()
        chat.give(call_id, f"fine in {city}")
    assert chat.ask().content == "Rome: fine in Rome | Oslo: fine in Oslo"
    assert len(model.requests) == 4


def test_equal_questions_of_two_clients_are_not_mixed_up(serve: Serve) -> None:
    url = serve({"m": Contemplator(asking("Rome"), mode="instant")})
    one, other = Chat(url), Chat(url)
    first, second = cities(one.ask())["Rome"], cities(other.ask())["Rome"]
    assert first != second
    other.give(second, "rain")
    one.give(first, "sun")
    assert (other.ask().content, one.ask().content) == ("Rome: rain", "Rome: sun")


def test_a_run_goes_on_after_a_restart_with_a_journal(tmp_path: Path) -> None:
    models = [asking("Rome", "Oslo") for _ in range(2)]

    def minds(model: ScriptedModel) -> Minds:
        journal = f"sqlite:///{tmp_path / 'runs.db'}"
        return {"m": Contemplator(model, planner=parts("Rome", "Oslo"), aggregator=join, journal=journal)}

    with serving(minds(models[0])) as url:
        chat = Chat(url)
        for city, call_id in cities(chat.ask()).items():
            chat.give(call_id, f"fine in {city}")
    before = chat.usage
    with serving(minds(models[1])) as url:
        later = Chat(url)
        later.messages = chat.messages
        assert later.ask().content == "Rome: fine in Rome | Oslo: fine in Oslo"
    assert [len(each.requests) for each in models] == [2, 2]
    assert later.usage > before > 0


def test_results_that_come_before_and_after_a_restart(tmp_path: Path) -> None:
    model = asking("Rome", "Oslo")
    messages: list[Any] = [QUESTION]

    def ask() -> ChatCompletionMessage:
        journal = f"sqlite:///{tmp_path / 'runs.db'}"
        mind = Contemplator(model, planner=parts("Rome", "Oslo"), aggregator=join, journal=journal)
        with serving({"m": mind}) as url:
            chat = Chat(url)
            chat.messages = messages
            return chat.ask()

    ids = cities(ask())
    messages.append({"role": "tool", "tool_call_id": ids["Oslo"], "content": "snow"})
    assert cities(ask()) == {"Rome": ids["Rome"]}
    messages.append({"role": "tool", "tool_call_id": ids["Rome"], "content": "sun"})
    assert ask().content == "Rome: sun | Oslo: snow"
    # As by a client that did not get the answer.
    del messages[-1]
    assert ask().content == "Rome: sun | Oslo: snow"
    assert len(model.requests) == 4


def test_a_run_that_is_not_known_is_made_anew_from_the_conversation() -> None:
    """As after a restart without a journal."""
    with serving({"m": Contemplator(ScriptedModel([calls("Rome")]), mode="instant")}) as url:
        chat = Chat(url)
        chat.give(cities(chat.ask())["Rome"], "sun")
    model = ScriptedModel(["Sunny."])
    with serving({"m": Contemplator(model, mode="instant")}) as url:
        later = Chat(url)
        later.messages = chat.messages
        assert later.ask().content == "Sunny."
    (request,) = model.requests
    assert [each.role for each in request.messages] == ["user", "assistant", "tool", "user"]
    assert told(request) == ["sun"]


def test_another_result_than_before_is_another_conversation(serve: Serve) -> None:
    model = ScriptedModel([calls("Rome"), calls("Oslo"), "Rain, then."])
    chat = Chat(serve({"m": Contemplator(model, mode="instant")}))
    chat.give(cities(chat.ask())["Rome"], "sun")
    chat.ask()
    chat.messages[-2:] = [chat.messages[-2] | {"content": "rain"}]
    assert chat.ask().content == "Rain, then."
    assert told(model.requests[-1]) == ["rain"]


def test_a_user_who_speaks_up_begins_a_new_run(serve: Serve) -> None:
    model = ScriptedModel([calls("Rome"), "As you like."])
    chat = Chat(serve({"m": Contemplator(model, mode="instant")}))
    chat.give(cities(chat.ask())["Rome"], "sun")
    chat.messages.append({"role": "user", "content": "Never mind."})
    assert chat.ask().content == "As you like."
    assert model.requests[-1].messages[-1].text == "Never mind."


@pytest.mark.parametrize("stream", [False, True])
def test_parts_of_a_plan_call_the_clients_tools_and_their_answers_are_merged(serve: Serve, stream: bool) -> None:
    plan: list[Any] = [{"title": city, "prompt": f"part {city}", "needs": []} for city in ("Rome", "Oslo")]

    def script(request: ModelRequest) -> Message | str:
        if request.output_schema is not None:
            return json.dumps({"tasks": plan})
        if not request.tools:
            return "Sunny in Rome, snow in Oslo."
        city = "Rome" if "part Rome" in request.messages[-1 - 2 * bool(told(request))].text else "Oslo"
        return f"{city}: {told(request)[-1]}" if told(request) else calls(city)

    model = ScriptedModel(script)
    chat = Chat(serve({"m": Contemplator(model)}), stream=stream)
    message = chat.ask()
    for city, call_id in cities(message).items():
        chat.give(call_id, f"fine in {city}")
    told_first = message.reasoning_content  # type: ignore[attr-defined]
    assert "Planning\nRome: planned\n" in told_first
    assert told_first.count("uses weather") == 2
    answer = chat.ask()
    assert answer.content == "Sunny in Rome, snow in Oslo."
    # Of what the run repeats from its records nothing is told again.
    assert sorted(line.partition(" after")[0] for line in answer.reasoning_content.splitlines()) == [  # type: ignore[attr-defined]
        "Oslo: answered",
        "Rome: answered",
    ]
    assert len(model.requests) == 6


def test_a_run_that_the_contemplator_has_forgotten_is_made_anew(serve: Serve) -> None:
    model = ScriptedModel([calls("Rome"), "Sunny."])
    mind = Contemplator(model, mode="instant")
    chat = Chat(serve({"m": mind}))
    call_id = cities(chat.ask())["Rome"]
    mind.forget(call_id.split("_")[1])
    chat.give(call_id, "sun")
    assert chat.ask().content == "Sunny."
    assert [each.role for each in model.requests[-1].messages] == ["user", "assistant", "tool", "user"]


def test_a_client_that_takes_its_tools_away_gets_an_answer_without_them(serve: Serve) -> None:
    model = ScriptedModel([calls("Rome"), "Sunny."])
    url = serve({"m": Contemplator(model, mode="instant")})
    chat = Chat(url)
    chat.give(cities(chat.ask())["Rome"], "sun")
    last = Chat(url, tool_choice="none")
    last.messages = chat.messages
    assert last.ask().content == "Sunny."
    assert model.requests[-1].tools == ()


CITIES = ("Rome", "Oslo", "Bern", "Kyiv")


@pytest.fixture(scope="module")
def four_cities() -> Any:
    model = asking(*CITIES)
    with serving({"m": Contemplator(model, planner=parts(*CITIES), aggregator=join)}) as url:
        yield url, model


@settings(max_examples=15, deadline=None)
@given(
    batches=st.permutations(CITIES).flatmap(lambda order: st.lists(st.integers(1, 3)).map(lambda sizes: (order, sizes)))
)
def test_in_whatever_order_results_come_nothing_is_asked_twice(
    four_cities: tuple[str, ScriptedModel], batches: tuple[Sequence[str], list[int]]
) -> None:
    url, model = four_cities
    order, sizes = list(batches[0]), [*batches[1], len(CITIES)]
    before = len(model.requests)
    chat = Chat(url)
    message = chat.ask()
    ids = cities(message)
    for size in sizes:
        assert set(cities(message)) == set(order)
        now, order = order[:size], order[size:]
        for city in now:
            chat.give(ids[city], f"fine in {city}")
        message = chat.ask()
        if not order:
            break
    assert message.content == " | ".join(f"{city}: fine in {city}" for city in CITIES)
    assert len(model.requests) - before == 2 * len(CITIES)


def test_after_a_restart_progress_is_not_told_once_more(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"

    def minds() -> Minds:
        model = asking("Rome", "Oslo")
        return {"m": Contemplator(model, planner=parts("Rome", "Oslo"), aggregator=join, journal=f"sqlite:///{path}")}

    def lines(message: Any) -> list[str]:
        return [re.sub(r"[0-9.]+ s", "", each) for each in message.reasoning_content.splitlines()]

    with serving(minds()) as url:
        chat = Chat(url)
        first = chat.ask()
    for city, call_id in cities(first).items():
        chat.give(call_id, f"fine in {city}")
    with serving(minds()) as url:
        later = Chat(url)
        later.messages = chat.messages
        second = later.ask()
    assert second.content == "Rome: fine in Rome | Oslo: fine in Oslo"
    assert lines(first)
    assert lines(second)
    assert not set(lines(first)) & set(lines(second))
    with closing(Journal(path)) as journal:
        assert JournalDocuments(journal).names("") == []


def test_of_several_answers_the_first_goes_on_with_a_run_that_waits(serve: Serve) -> None:
    model = asking("Rome")
    url = serve({"m": Contemplator(model, mode="instant")})
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE, max_retries=0) as client:
        said: list[Any] = [QUESTION]
        first = client.chat.completions.create(model="m", messages=said, tools=TOOLS, n=2)  # type: ignore[arg-type]
        calls = [cities(each.message)["Rome"] for each in first.choices]
        assert len(set(calls)) == 2
        said.append(first.choices[1].message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
        said.append({"role": "tool", "tool_call_id": calls[1], "content": "sun"})
        second = client.chat.completions.create(model="m", messages=said, tools=TOOLS, n=2)  # type: ignore[arg-type]
    assert [each.message.content for each in second.choices] == ["Rome: sun"] * 2
    goes_on = [each.messages[-1].role == "tool" for each in model.requests[2:]]
    assert sorted(goes_on) == [False, True]
