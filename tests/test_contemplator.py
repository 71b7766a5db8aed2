"""What users call: ask, run, stream, their sync forms, and what is checked before anything is paid."""

from __future__ import annotations

import asyncio
import logging

import anyio
import pytest
from pydantic import BaseModel

import contemplate
from contemplate import Contemplator, Limits, RunResult, Usage, planners
from contemplate.errors import ConfigurationError, ContemplateError, ModelServerError
from contemplate.events import Event, RunFailed, RunFinished
from contemplate.models import Retry, resolve
from contemplate.testing import ScriptedModel


@pytest.mark.anyio
class TestRuns:
    async def test_ask(self) -> None:
        result = await contemplate.ask("q", model=ScriptedModel("a"), mode="instant")
        assert (result.output, result.question, result.complete) == ("a", "q", True)
        assert result.usage.calls == 1

    @pytest.mark.parametrize("question", ["", " \n"])
    async def test_an_empty_question(self, question: str) -> None:
        with pytest.raises(ConfigurationError, match="empty"):
            await contemplate.ask(question, model=ScriptedModel("a"))

    async def test_runs_of_one_mind_do_not_meet(self) -> None:
        mind = Contemplator(ScriptedModel(lambda request: request.messages[-1].text), mode="instant")
        results: dict[str, str] = {}

        async def ask(question: str) -> None:
            results[question] = (await mind.run(question)).output

        async with anyio.create_task_group() as group:
            for i in range(50):
                group.start_soon(ask, f"q{i}")
        assert all(answer == question for question, answer in results.items())

    async def test_a_failed_run_says_so_in_its_events(self) -> None:
        events: list[Event] = []
        mind = Contemplator(ScriptedModel([ModelServerError("down", model="m")]), on_event=events.append)
        with pytest.raises(ModelServerError) as caught:
            await mind.run("q")
        assert isinstance(events[-1], RunFailed)
        assert caught.value.partial is not None
        assert caught.value.partial.usage.calls == 1

    async def test_the_last_event_says_what_the_result_says(self) -> None:
        events: list[Event] = []
        result = await Contemplator(ScriptedModel("Answer: 4"), mode="vote").run("2 + 2?", on_event=events.append)
        last = events[-1]
        assert isinstance(last, RunFinished)
        said = {name: getattr(last, name) for name in RunFinished.model_fields.keys() & RunResult.model_fields.keys()}
        assert said == {name: getattr(result, name) for name in said}
        assert {"text", "usage", "support", "dissent", "citations"} < said.keys()
        assert (last.answer, set(last.votes)) == ("4", {"4"})

    async def test_a_listener_that_raises_costs_the_run_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        def broken(event: object) -> None:
            raise RuntimeError("bad listener")

        mind = Contemplator(ScriptedModel("a"), mode="instant", on_event=broken)
        assert (await mind.run("q")).output == "a"
        assert "bad listener" in caplog.text


@pytest.mark.anyio
class TestStreams:
    async def test_events_then_the_result(self) -> None:
        async with Contemplator(ScriptedModel("answer"), mode="instant").stream("q") as run:
            with pytest.raises(RuntimeError, match="not over"):
                _ = run.result
            kinds = [event.kind async for event in run]
        assert kinds[0] == "run_started"
        assert kinds[-1] == "run_finished"
        assert run.result.output == "answer"

    async def test_what_the_run_raises_comes_out_of_the_loop(self) -> None:
        mind = Contemplator(ScriptedModel([ModelServerError("down", model="m")]))
        with pytest.raises(ModelServerError, match="down"):
            async with mind.stream("q") as run:
                async for _ in run:
                    pass

    async def test_what_the_body_raises_comes_out_as_it_is(self) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with Contemplator(ScriptedModel("a")).stream("q"):
                raise KeyError("mine")

    async def test_leaving_early_ends_the_run(self) -> None:
        ended = anyio.Event()

        async def hang(request: object) -> str:
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()
            return ""

        async with Contemplator(ScriptedModel(hang), mode="instant").stream("q") as run:
            async for event in run:
                if event.kind == "task_started":
                    break
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
        assert ended.is_set()

    async def test_an_event_is_plain_data(self) -> None:
        from pydantic import TypeAdapter

        from contemplate.events import Event

        adapter: TypeAdapter[Event] = TypeAdapter(Event)
        async with Contemplator(ScriptedModel("answer"), planner=planners.sample(2)).stream("q") as run:
            async for event in run:
                assert adapter.validate_json(event.model_dump_json()) == event


class TestSync:
    def test_without_a_loop(self) -> None:
        assert contemplate.ask_sync("q", model=ScriptedModel("a"), mode="instant").output == "a"

    def test_where_a_loop_runs(self) -> None:
        async def notebook() -> str:
            return contemplate.ask_sync("q", model=ScriptedModel("a"), mode="instant").output

        assert asyncio.run(notebook()) == "a"

    def test_errors_come_through(self) -> None:
        async def notebook() -> None:
            contemplate.ask_sync(" ", model=ScriptedModel("a"))

        with pytest.raises(ConfigurationError, match="empty"):
            asyncio.run(notebook())

    def test_again_and_again_with_one_model(self) -> None:
        mind = Contemplator(ScriptedModel("a"), mode="instant")
        assert [mind.run_sync("q").output for _ in range(3)] == ["a"] * 3


class TestSettings:
    def test_a_missing_key_names_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY is not set"):
            Contemplator("openai:gpt-5")

    @pytest.mark.parametrize("name", ["gpt-5", "nobody:x", "http://127.0.0.1/v1", "openai:", "local:nope"])
    def test_a_wrong_model_name_says_which_forms_there_are(self, name: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Contemplator(name)
        assert caught.value.hint is not None

    def test_a_name_comes_with_retries(self) -> None:
        model = resolve("http://127.0.0.1:9/v1#m")
        assert isinstance(model, Retry)
        assert model.name == "http://127.0.0.1:9/v1#m"

    def test_a_wrong_mode(self) -> None:
        with pytest.raises(ConfigurationError, match="choose from 'instant', 'thinking', 'contemplating', 'auto'"):
            Contemplator(ScriptedModel(""), mode="deep")  # type: ignore[call-overload]

    def test_an_agent_of_ones_own_takes_no_tools(self) -> None:
        with pytest.raises(ConfigurationError, match="tools, instructions and settings"):
            Contemplator(ScriptedModel(""), agent=contemplate.Agent(), instructions="be brief")

    def test_an_output_type_without_a_schema(self) -> None:
        class Odd:
            pass

        with pytest.raises(ConfigurationError, match="output_type"):
            Contemplator(ScriptedModel(""), output_type=Odd)

    @pytest.mark.parametrize("limit", ["seconds", "total_tokens", "calls", "tasks", "concurrency"])
    def test_limits_above_zero(self, limit: str) -> None:
        with pytest.raises(ValueError, match=limit):
            Limits.model_validate({limit: 0})


class Point(BaseModel):
    x: int


def test_a_result_is_what_its_json_says() -> None:
    model = ScriptedModel('{"x": 1}')
    result = Contemplator(model, mode="instant", output_type=Point).run_sync("q")
    again = RunResult[Point].model_validate_json(result.model_dump_json())
    assert again.output == result.output == result.tasks[0].output == Point(x=1)
    assert again.model_dump_json() == result.model_dump_json()


def test_usage_adds_up() -> None:
    known = Usage(calls=1, input_tokens=2, output_tokens=3, cost_usd=0.5)
    assert known + known == Usage(calls=2, input_tokens=4, output_tokens=6, cost_usd=1.0)
    assert (known + Usage(calls=1, cost_usd=None)).cost_usd is None


def test_logs_are_silent_until_asked_for_and_hold_no_prompt(caplog: pytest.LogCaptureFixture) -> None:
    mind = Contemplator(ScriptedModel("the answer"), mode="instant")
    mind.run_sync("the question")
    assert not caplog.records
    with caplog.at_level(logging.INFO, logger="contemplate"):
        mind.run_sync("the question")
    assert [record.getMessage() for record in caplog.records] == [
        "run_started",
        "model_called",
        "task_finished",
        "run_finished",
    ]
    everything = " ".join(str(vars(record)) for record in caplog.records)
    assert "the question" not in everything
    assert "the answer" not in everything


def test_every_public_name_is_there_and_documented() -> None:
    for name in contemplate.__all__:
        value = getattr(contemplate, name)
        assert name == "__version__" or value.__doc__, name
    assert dir(contemplate) == sorted(contemplate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = contemplate.nothing


def test_errors_are_drawn_as_they_are() -> None:
    from contemplate import errors

    drawn: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.strip(" |+-").split(" ")[0]
        if name and isinstance(getattr(errors, name, None), type):
            drawn.append(name)
    real = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert set(drawn) == real
    assert all(issubclass(getattr(errors, name), ContemplateError) for name in real)


def test_run_finished_is_the_last_event() -> None:
    events: list[Event] = []
    Contemplator(ScriptedModel("a"), mode="instant", on_event=events.append).run_sync("q")
    assert isinstance(events[-1], RunFinished)
