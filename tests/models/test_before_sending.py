"""Whoever had a call wait, or makes it once more, finds out first whether it may still be made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from contemplate import Message
from contemplate.errors import ContemplateError, ModelContextError, ModelServerError, RunTaken
from contemplate.journal import Journal
from contemplate.journal.shared_answers import SharedAnswers
from contemplate.models import (
    Delta,
    DeltaSink,
    Fallback,
    Hedge,
    Limit,
    Model,
    ModelRequest,
    ModelResponse,
    OpenAIModel,
    PydanticAIModel,
    Retry,
    Warm,
)
from contemplate.models.wrappers.hedge import OBSERVATIONS_NEEDED
from contemplate.models.wrappers.warm import LEAST_TOKENS
from contemplate.run.context_windows import ContextWindows
from contemplate.run.shortened_prompts import Shortened
from contemplate.settings import ModelSettings
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import Exchange, HttpError, Reply

from ..patience import PATIENCE
from .imitations import KEY, Anthropic, Turn

pytestmark = pytest.mark.anyio

ASKING = ModelRequest((Message.user("hello"),))
TAKEN = RunTaken("run 'r' was taken by another process")


class Run:
    """What a run is told before a call of it is sent: that it is its process's, until another one has it."""

    def __init__(self) -> None:
        self.taken = False

    async def check(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.taken:
            raise TAKEN

    def asking(self, request: ModelRequest = ASKING) -> ModelRequest:
        return replace(request, before_sending=self.check)


class Taking(ScriptedModel):
    """A model while whose first call the run is taken, which then fails."""

    def __init__(self, run: Run, error: Exception) -> None:
        super().__init__(self._reply)
        self._run = run
        self._error = error

    def _reply(self, request: ModelRequest) -> Exception:
        self._run.taken = True
        return self._error


class Held:
    """A model whose calls are answered when `over` is set."""

    name = "held"

    def __init__(self) -> None:
        self.asked = 0
        self.asking = anyio.Event()
        self.over = anyio.Event()

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.asked += 1
        self.asking.set()
        await self.over.wait()
        return await ScriptedModel("yes").request(request, on_delta)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "wrapped", [Retry, lambda model: Fallback([model, model]), lambda model: Fallback([Limit(model), model])]
)
async def test_a_call_is_not_made_once_more(wrapped: Callable[[Model], Model], streamed: bool) -> None:
    run = Run()
    model = Taking(run, ModelServerError("overloaded", model="m"))
    with pytest.raises(RunTaken):
        await wrapped(model).request(run.asking(), list[Delta]().append if streamed else None)
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("wrapped", "request_"),
    [
        (lambda model: Limit(model, concurrency=1, account="one"), ASKING),
        (Warm, ModelRequest((Message.system("word " * LEAST_TOKENS), Message.user("hello")))),
    ],
    ids=["Limit", "Warm"],
)
async def test_a_call_that_waited_is_not_made(wrapped: Callable[[Model], Model], request_: ModelRequest) -> None:
    first, second, held = Run(), Run(), Held()
    model = wrapped(held)
    waiting = anyio.Event()

    async def ask_second() -> None:
        request = replace(second.asking(request_), on_queue=lambda _: waiting.set())
        with pytest.raises(RunTaken):
            await model.request(request)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(model.request, first.asking(request_))
            await held.asking.wait()
            group.start_soon(ask_second)
            await waiting.wait()
            second.taken = True
            held.over.set()
        assert held.asked == 1
        # Nothing that it held is lost.
        await model.request(first.asking(request_))
    assert held.asked == 2


async def test_a_call_that_waited_for_one_that_failed_is_not_made() -> None:
    run, held = Run(), Held()
    request = ModelRequest((Message.system("word " * LEAST_TOKENS), Message.user("hello")))

    class Failing(Held):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            await held.request(request)
            raise ModelServerError("overloaded", model="m")

    model = Warm(Failing())

    async def ask(request: ModelRequest, error: type[Exception]) -> None:
        with pytest.raises(error):
            await model.request(request)

    waiting = anyio.Event()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, request, ModelServerError)
            await held.asking.wait()
            group.start_soon(ask, replace(run.asking(request), on_queue=lambda _: waiting.set()), RunTaken)
            await waiting.wait()
            run.taken = True
            held.over.set()
    assert held.asked == 1


async def test_that_its_run_was_taken_is_no_failure_of_a_model() -> None:
    run = Run()
    model = ScriptedModel("yes")
    fallback = Fallback([model, ScriptedModel("no")], on=(ContemplateError,), failures=1)
    run.taken = True
    with pytest.raises(RunTaken):
        await fallback.request(run.asking())
    assert model.requests == []
    run.taken = False
    assert (await fallback.request(run.asking())).message.text == "yes"


async def test_a_second_call_that_was_not_sent_costs_nothing() -> None:
    run, held, checking = Run(), Held(), anyio.Event()

    class Observed(ScriptedModel):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            if len(self.requests) < OBSERVATIONS_NEEDED:
                return await super().request(request, on_delta)
            return await held.request(request, on_delta)

    async def check() -> None:
        if held.asked:
            held.over.set()
            checking.set()
            await anyio.sleep_forever()

    model = Hedge(Observed("yes"), share=1)
    for _ in range(OBSERVATIONS_NEEDED):
        await model.request(ASKING)
    with anyio.fail_after(PATIENCE):
        response = await model.request(replace(run.asking(), before_sending=check))
    assert checking.is_set()
    assert response.usage.calls == held.asked == 1


async def test_no_second_call_is_made_for_a_late_one() -> None:
    run, held = Run(), Held()

    class Observed(ScriptedModel):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            if len(self.requests) < OBSERVATIONS_NEEDED:
                return await super().request(request, on_delta)
            run.taken = True
            return await held.request(request, on_delta)

    model = Hedge(Observed("yes"), share=1)
    for _ in range(OBSERVATIONS_NEEDED):
        await model.request(ASKING)

    def again(reason: str, message: str) -> None:
        held.over.set()

    with anyio.fail_after(PATIENCE):
        assert (await model.request(replace(run.asking(), on_again=again))).message.text == "yes"
    assert held.asked == 1


async def test_a_shorter_prompt_is_not_sent() -> None:
    run = Run()
    model = Taking(run, ModelContextError("too long", model="m"))
    earlier = (Message.user("hello"), Message.assistant("word " * 2000))
    request = run.asking(ModelRequest((*earlier, *earlier, Message.user("And so?")), earlier=4))
    with pytest.raises(RunTaken):
        await ContextWindows().ask(model, request, Shortened(request), None, lambda: 0)
    assert len(model.requests) == 1


async def test_a_call_that_waited_for_another_runs_answer_is_not_made() -> None:
    run, held = Run(), Held()
    answers = SharedAnswers(Journal())
    request = ModelRequest(ASKING.messages, ModelSettings(temperature=0))
    failing = ScriptedModel([ModelServerError("overloaded", model="m"), "yes"], name="m")
    began = anyio.Event()

    class First(ScriptedModel):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            began.set()
            await held.over.wait()
            return await failing.request(request, on_delta)

    model = First("", name="m")

    async def ask(request: ModelRequest, error: type[Exception]) -> None:
        with pytest.raises(error):
            await answers.around(model, 0).request(request)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, request, ModelServerError)
            await began.wait()
            group.start_soon(ask, run.asking(request), RunTaken)
            run.taken = True
            held.over.set()
    assert len(failing.requests) == 1


async def openai_whose_key_takes_its_time(run: Run, url: str) -> Model:
    async def key() -> str:
        run.taken = True
        return "sk-of-an-hour"

    return OpenAIModel("m", base_url=url, api_key=key)


async def openai_that_learns(run: Run, url: str) -> Model:
    return OpenAIModel("m", base_url=url, api_key="sk-none")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("made", "sent"), [(openai_whose_key_takes_its_time, 0), (openai_that_learns, 1)])
async def test_a_server_is_not_asked(
    made: Callable[[Run, str], Awaitable[Model]], sent: int, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run()

    def refuse(exchange: Exchange) -> Reply:
        run.taken = True
        return HttpError(400, "Unsupported value: 'temperature' does not support 0.5 with this model.")

    with FaultyServer(refuse) as server:
        model = await made(run, server.url)
        request = run.asking(ModelRequest(ASKING.messages, ModelSettings(temperature=0.5)))
        with pytest.raises(RunTaken):
            await model.request(request, list[Delta]().append if streamed else None)
    assert len(server.exchanges) == sent


async def test_a_provider_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    run.taken = True
    with Anthropic(Turn("yes")) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        with pytest.raises(RunTaken):
            await PydanticAIModel("anthropic:claude-sonnet-4-5").request(run.asking())
    assert server.bodies == []
