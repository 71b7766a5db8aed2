"""The official client against a real server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from contemplate import Contemplator, ImagePart, Limits, Message, Usage, aggregators, planners, tool
from contemplate.errors import ModelAuthError, ModelRateLimitError
from contemplate.events import Event, ModelCalled, RunFinished
from contemplate.messages import ToolCall
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Minds, Serve

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Why is the sea salty?"}]
PLAN = '{"tasks":[{"title":"Cost","prompt":"cost?","needs":[]},{"title":"Risk","prompt":"risk?","needs":[1]}]}'
MERGED = "Because rivers carry salt into it, and only water leaves it again."


def expert(request: ModelRequest) -> str:
    """Plans two tasks, answers each, merges them."""
    if request.output_schema is not None:
        return PLAN
    return MERGED if "Now answer the whole question" in request.messages[-1].text else "A finding."


@dataclass
class StepByStep:
    """Streams its pieces; at an event it waits until the test has set it, at a barrier until all calls are there.

    At a number, so many seconds pass at once.
    """

    pieces: list[str | Delta | float | threading.Event | threading.Barrier]
    error: Exception | None = None
    name: str = "step-by-step"
    requests: list[ModelRequest] = field(default_factory=list)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.requests.append(request)
        said = ""
        for piece in self.pieces:
            if isinstance(piece, threading.Event | threading.Barrier):
                reached = await _reached(piece)
                assert reached, "what was written so far did not arrive"
                continue
            if isinstance(piece, float):
                _let_pass(piece)
                continue
            delta = Delta(piece) if isinstance(piece, str) else piece
            said = delta.text if delta.restart else said + delta.text
            if on_delta is not None:
                on_delta(delta)
        if self.error is not None:
            raise self.error
        return await ScriptedModel(said).request(request)


async def _reached(piece: threading.Event | threading.Barrier) -> bool:
    """Wait for `piece` in a thread, which ends when the call is cancelled: else the process would wait for it."""
    left = threading.Event()

    def wait() -> bool:
        if isinstance(piece, threading.Barrier):
            piece.wait(PATIENCE)
            return True
        until = time.monotonic() + PATIENCE
        while not (reached := piece.wait(0.05)) and not left.is_set() and time.monotonic() < until:
            pass
        return reached

    try:
        return await anyio.to_thread.run_sync(wait, abandon_on_cancel=True)
    finally:
        left.set()


def _let_pass(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds  # type: ignore[method-assign]


@pytest.fixture
def client(serve: Serve) -> Iterator[Any]:
    """Makes a client of contemplators."""
    clients: list[openai.OpenAI] = []

    def connect(minds: Minds) -> openai.OpenAI:
        made = openai.OpenAI(base_url=f"{serve(minds)}/v1", api_key="none", timeout=PATIENCE)
        clients.append(made)
        return made

    yield connect
    for each in clients:
        each.close()


def instant(model: Any) -> Minds:
    return {"m": Contemplator(model, mode="instant")}


def content(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def reasoning(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(getattr(chunk.choices[0].delta, "reasoning_content", "") for chunk in chunks if chunk.choices)


def test_a_stream_tells_progress_and_then_the_answer(client: Any) -> None:
    api = client({"contemplate": Contemplator(ScriptedModel(expert))})
    stream = api.chat.completions.create(model="contemplate", messages=QUESTION, stream=True)
    chunks = list(stream)
    first, last = chunks[0].choices[0], chunks[-1].choices[0]
    assert (first.delta.role, first.finish_reason) == ("assistant", None)
    assert (last.delta.model_dump(exclude_unset=True), last.finish_reason) == ({}, "stop")
    assert content(chunks) == MERGED
    lines = reasoning(chunks).splitlines()
    assert lines[:3] == ["Planning", "Cost: planned", "Cost: started"]
    assert "Risk: planned, after Cost" in lines
    assert lines[-1].startswith("Risk: answered after ")
    written = [bool(chunk.choices[0].delta.content) for chunk in chunks[1:-1]]
    assert written == sorted(written), "an answer's token came before the last line of progress"
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {"contemplate"}
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_comes_in_a_chunk_of_its_own_when_asked_for(client: Any) -> None:
    model = ScriptedModel(expert)
    api = client({"m": Contemplator(model)})
    options = {"include_usage": True}
    *others, last = api.chat.completions.create(model="m", messages=QUESTION, stream=True, stream_options=options)
    assert others[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    whole = api.chat.completions.create(model="m", messages=QUESTION)
    assert last.usage == whole.usage
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 100
    assert last.usage.prompt_tokens_details.cached_tokens == 0
    assert last.usage.completion_tokens_details.reasoning_tokens == 0


def test_what_came_from_a_prefix_cache_is_told(client: Any) -> None:
    usage = Usage(calls=1, input_tokens=2000, cached_input_tokens=1920, output_tokens=5)
    said = ModelResponse(message=Message.assistant("ok"), finish="stop", usage=usage, model="m")
    events: list[Event] = []
    api = client({"m": Contemplator(ScriptedModel(lambda _: said), mode="instant", on_event=events.append)})
    options = {"include_usage": True}
    *_, last = api.chat.completions.create(model="m", messages=QUESTION, stream=True, stream_options=options)
    whole = api.chat.completions.create(model="m", messages=QUESTION)
    for told in (last.usage, whole.usage):
        assert told.prompt_tokens_details.cached_tokens == 1920
    for kind in (ModelCalled, RunFinished):
        assert [event.usage.cached_input_tokens for event in events if isinstance(event, kind)] == [1920, 1920]


def test_a_whole_completion_holds_answer_progress_and_usage(client: Any) -> None:
    api = client({"m": Contemplator(ScriptedModel(expert))})
    completion = api.chat.completions.create(model="m", messages=QUESTION)
    (choice,) = completion.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", MERGED, "stop")
    assert choice.message.reasoning_content.startswith("Planning\nCost: planned\n")
    assert "images" not in choice.message.model_dump()
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.usage.completion_tokens > 0


def test_tokens_arrive_while_the_model_is_still_writing(client: Any) -> None:
    seen = threading.Event()
    api = client(instant(StepByStep(["Rivers ", seen, "bring it."])))
    read = []
    for chunk in api.chat.completions.create(model="m", messages=QUESTION, stream=True):
        read.append(chunk)
        if chunk.choices[0].delta.content == "Rivers ":
            seen.set()
    assert content(read) == "Rivers bring it."


def test_what_the_model_thinks_aloud_is_reasoning(client: Any) -> None:
    api = client(instant(StepByStep([Delta(reasoning="Hmm."), "Rivers."])))
    chunks = list(api.chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert (reasoning(chunks), content(chunks)) == ("Hmm.", "Rivers.")
    whole = api.chat.completions.create(model="m", messages=QUESTION)
    assert (whole.choices[0].message.reasoning_content, whole.choices[0].message.content) == ("Hmm.", "Rivers.")


def test_a_vote_gives_its_answer_once(client: Any) -> None:
    mind = Contemplator(ScriptedModel("Answer: 42"), planner=planners.sample(3), aggregator=aggregators.vote())
    chunks = list(client({"m": mind}).chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content] == ["Answer: 42"]
    assert "Votes: 42 (2); decided" in reasoning(chunks)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_async_client_has_many_answers_at_once(serve: Serve) -> None:
    url = serve(instant(StepByStep([threading.Barrier(20), "Rivers."])))
    answers: list[str] = []

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE) as api:

        async def ask(stream: bool) -> None:
            if stream:
                chunks = await api.chat.completions.create(model="m", messages=QUESTION, stream=True)
                answers.append(content([chunk async for chunk in chunks]))
            else:
                whole = await api.chat.completions.create(model="m", messages=QUESTION)
                answers.append(whole.choices[0].message.content or "")

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, number % 2 == 0)
    assert answers == ["Rivers."] * 20


def test_models_are_listed_and_found_by_name(client: Any) -> None:
    mind = Contemplator(ScriptedModel("Yes."))
    api = client({"contemplate": mind, "team/deep": mind})
    assert [(each.id, each.object, each.owned_by) for each in api.models.list()] == [
        ("contemplate", "model", "contemplate"),
        ("team/deep", "model", "contemplate"),
    ]
    assert api.models.retrieve("team/deep").id == "team/deep"
    with pytest.raises(openai.NotFoundError, match="there are: contemplate, team/deep"):
        api.models.retrieve("gpt-5")
    with pytest.raises(openai.NotFoundError) as caught:
        api.chat.completions.create(model="gpt-5", messages=QUESTION)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_conversation_and_images_reach_the_model(client: Any) -> None:
    model = ScriptedModel("A blue square.")
    picture = "data:image/png;base64,iVBORw0KGgo="
    api = client(instant(model))
    api.chat.completions.create(
        model="m",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi!"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": picture}},
                ],
            },
        ],
    )
    said = model.requests[0].messages
    assert [(each.role, each.text) for each in said] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi!"),
        ("user", "What is this?"),
    ]
    assert [each.as_url() for each in said[-1].images] == [picture]


@pytest.mark.parametrize("text", ["A cat.", ""])
def test_images_of_the_answer(client: Any, text: str) -> None:
    drawn = ImagePart(data=b"\x89PNG\r\n\x1a\n....")
    api = client(instant(ScriptedModel(lambda _: Message.assistant(text, images=(drawn,)))))
    expected = [{"type": "image_url", "image_url": {"url": drawn.as_url()}, "index": 0}]
    message = api.chat.completions.create(model="m", messages=QUESTION).choices[0].message
    assert (message.content, message.images) == (text, expected)
    chunks = list(api.chat.completions.create(model="m", messages=QUESTION, stream=True))
    shown = [getattr(chunk.choices[0].delta, "images", None) for chunk in chunks]
    assert [each for each in shown if each] == [expected]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text


def test_what_only_tunes_and_what_is_unknown_is_ignored(client: Any) -> None:
    api = client(instant(ScriptedModel("Yes.")))
    completion = api.chat.completions.create(
        model="m",
        messages=QUESTION,
        temperature=0.2,
        max_completion_tokens=50,
        n=1,
        seed=1,
        tools=[],
        response_format={"type": "text"},
        logprobs=False,
        user="ann",
        extra_body={"a_field_of_next_year": {"x": [1]}},
    )
    assert completion.choices[0].message.content == "Yes."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("functions", [{"name": "f", "parameters": {}}]),
        ("logprobs", True),
        ("modalities", ["text", "audio"]),
    ],
)
def test_what_changes_the_form_of_the_answer_is_refused(client: Any, field: str, value: Any) -> None:
    model = ScriptedModel("Yes.")
    with pytest.raises(openai.BadRequestError, match="not supported yet") as caught:
        client(instant(model)).chat.completions.create(model="m", messages=QUESTION, **{field: value})
    assert (caught.value.param, caught.value.code) == (field, "unsupported_parameter")
    assert model.requests == []


@pytest.mark.parametrize(
    ("messages", "param", "said"),
    [
        ([], "messages", "at least 1 item"),
        ([{"role": "king", "content": "Hear"}], "messages[0].role", "'user'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0]", "needs a text"),
        ([{"role": "user", "content": ["Why?"]}], "messages[0].content[0]", "must be an object"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
            "messages[0].content[0]",
            "neither http",
        ),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
            "messages[0].content[0]",
            "parts of type input_audio are not supported",
        ),
        ([{"role": "assistant", "content": "Hi!"}], "messages", "none has the role user"),
    ],
)
def test_a_bad_request_names_the_field(client: Any, messages: Any, param: str, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        client(instant(ScriptedModel("Yes."))).chat.completions.create(model="m", messages=messages)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_that_fails_at_once_is_an_error_status_and_is_not_repeated(client: Any, stream: bool) -> None:
    error = ModelAuthError("HTTP 401: no such key sk-123456789", model="openai:gpt-5", hint="check the API key")
    model = ScriptedModel(lambda _: error)
    with pytest.raises(openai.InternalServerError) as caught:
        client({"m": Contemplator(model)}).chat.completions.create(model="m", messages=QUESTION, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_authentication")
    assert "openai:gpt-5: HTTP 401: no such key [secret] (check the API key)" in str(caught.value)
    assert len(model.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_that_waits_for_a_decision_is_an_error_that_names_the_call(client: Any, stream: bool) -> None:
    @tool(approval=True)
    def mail(to: str) -> str:
        """Send a mail."""
        return "sent"

    turn = Message.assistant("", (ToolCall(id="1", name="mail", arguments='{"to": "ann"}'),))
    mind = Contemplator(ScriptedModel([turn]), mode="instant", tools=[mail])
    with pytest.raises(openai.APIError, match=r"waits for decisions on tool calls.*mail \(mail-") as caught:
        list(client({"m": mind}).chat.completions.create(model="m", messages=QUESTION, stream=stream))
    assert caught.value.code == "run_suspended"


def test_a_rate_limit_is_passed_on(client: Any) -> None:
    error = ModelRateLimitError("slow down", model="m", status=429, retry_after=7.2)
    with pytest.raises(openai.RateLimitError) as caught:
        client({"m": Contemplator(ScriptedModel(lambda _: error))}).chat.completions.create(
            model="m", messages=QUESTION
        )
    assert caught.value.response.headers["retry-after"] == "8"


def test_a_limit_without_an_answer_is_unavailable(client: Any) -> None:
    mind = Contemplator(StepByStep([threading.Event()]), mode="instant", limits=Limits(seconds=0.05))
    with pytest.raises(openai.InternalServerError) as caught:
        client({"m": mind}).chat.completions.create(model="m", messages=QUESTION)
    assert (caught.value.status_code, caught.value.code) == (503, "LimitExceeded")


def test_a_limit_with_an_answer_so_far_ends_it_with_length(client: Any) -> None:
    model = StepByStep(["So far", 599.9, threading.Event()])
    mind = Contemplator(model, mode="instant", limits=Limits(seconds=600))
    api = client({"m": mind})
    (choice,) = api.chat.completions.create(model="m", messages=QUESTION).choices
    assert (choice.message.content, choice.finish_reason) == ("So far", "length")
    chunks = list(api.chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert (content(chunks), chunks[-1].choices[0].finish_reason) == ("So far", "length")
    assert "Limit reached: seconds" in reasoning(chunks)


def test_an_error_in_mid_stream_ends_it_with_an_error(client: Any) -> None:
    model = StepByStep(["Rivers "], error=ModelAuthError("the key was revoked", model="m"))
    stream = client(instant(model)).chat.completions.create(model="m", messages=QUESTION, stream=True)
    read: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError, match="the key was revoked") as caught:
        read.extend(stream)
    assert content(read) == "Rivers "
    assert caught.value.body["code"] == "upstream_authentication"  # type: ignore[index]


def test_an_answer_that_begins_anew_is_whole_or_an_error(client: Any) -> None:
    model = StepByStep(["Rivers", Delta(restart=True), "Volcanoes"])
    api = client(instant(model))
    whole = api.chat.completions.create(model="m", messages=QUESTION)
    assert whole.choices[0].message.content == "Volcanoes"
    with pytest.raises(openai.APIError, match="began anew") as caught:
        list(api.chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert caught.value.code == "answer_restarted"


def test_a_bug_is_logged_and_not_told(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Buggy(Contemplator[str]):
        async def run(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("the password is hunter2")

    with pytest.raises(openai.InternalServerError) as caught:
        client({"m": Buggy(ScriptedModel("Yes."))}).chat.completions.create(model="m", messages=QUESTION)
    assert (caught.value.status_code, caught.value.code) == (500, "internal_error")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" in caplog.text
