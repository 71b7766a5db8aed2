"""`PydanticAIModel` against imitations of the Anthropic and the Gemini API, whole and streamed."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from contemplate import Agent, Contemplator, ImagePart, Message, ModelSettings, aggregators, planners
from contemplate.errors import (
    AggregationError,
    ConfigurationError,
    MissingDependencyError,
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelRateLimitError,
    ModelRequestError,
    ModelServerError,
    ModelTimeoutError,
)
from contemplate.models import (
    Delta,
    ModelRequest,
    ModelResponse,
    OutputSchema,
    PydanticAIModel,
    Retry,
    ToolSpec,
    context_of,
    resolve,
)
from contemplate.models.context_size import ContextSize
from contemplate.models.openai.lesson_store import forget_lessons
from contemplate.models.tokens import request_tokens

from .imitations import KEY, Anthropic, Body, Cut, Failure, Gemini, Imitation, Reply, Script, Turn

pytestmark = pytest.mark.anyio

# Looking for what is left takes long with so many modules, so that only some tests do.
closed = pytest.mark.usefixtures("no_leftovers")

WEATHER = ToolSpec(
    "weather",
    "Tells the weather.",
    {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
THINKING: dict[str, dict[str, Any]] = {
    "anthropic": {"anthropic_thinking": {"type": "adaptive"}},
    "google": {},
}
# With more tokens, pydantic-ai streams every call to Anthropic.
ASKING = ModelRequest((Message.system("Be brief."), Message.user("hello")), ModelSettings(max_tokens=2000))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, and nothing else that clients read."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "GOOGLE_", "GEMINI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, KEY)


@pytest.fixture(params=[Anthropic, Gemini], ids=["anthropic", "google"])
def api(request: pytest.FixtureRequest) -> type[Imitation]:
    kind: type[Imitation] = request.param
    return kind


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@contextmanager
def serving(
    api: type[Imitation], script: Script | Reply, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Iterator[tuple[Imitation, PydanticAIModel]]:
    """An imitation, and a model by name that is at it."""
    with api(script) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        yield server, PydanticAIModel(f"{api.provider}:{api.model}", **options)


async def asked(
    model: PydanticAIModel | Retry, request: ModelRequest, stream: bool
) -> tuple[ModelResponse, list[Delta]]:
    deltas: list[Delta] = []
    response = await model.request(request, deltas.append if stream else None)
    if stream:
        assert "".join(delta.text for delta in deltas) == response.message.text
        assert "".join(delta.reasoning for delta in deltas) == response.reasoning
    return response, deltas


@closed
async def test_an_answer(api: type[Imitation], stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(api, Turn("It is sunny.", "Hm, the sun."), monkeypatch) as (server, model):
        response, _ = await asked(model, ASKING, stream)
        assert model.name == f"{api.provider}:{api.model}"
    assert response.message.text == "It is sunny."
    assert (response.reasoning, response.finish, response.model) == ("Hm, the sun.", "stop", api.model)
    usage = response.usage
    assert (usage.calls, usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (1, 100, 70, 9)
    assert usage.reasoning_tokens == (4 if api is Gemini else 0)
    assert usage.cost_usd is not None
    assert 0 < usage.cost_usd < 0.01
    assert len(server.bodies) == 1


async def test_signed_thoughts_go_back_with_the_results_of_tools(
    api: type[Imitation], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [("weather", {"place": "Oslo"}), ("weather", {"place": "Bergen"})]

    def script(body: Body) -> Turn:
        messages = body.get("messages") or body["contents"]
        return Turn("Rain in both.") if len(messages) > 1 else Turn("Let me see.", "Two places.", calls)

    with serving(api, script, monkeypatch, provider_settings=THINKING[api.provider]) as (server, model):
        first, _ = await asked(model, ModelRequest(ASKING.messages, tools=(WEATHER,)), stream)
        assert first.finish == "tool_calls"
        assert [(call.name, json.loads(call.arguments)) for call in first.message.tool_calls] == calls
        # As through a journal.
        said = Message.model_validate_json(first.message.model_dump_json())
        assert said == first.message
        assert said.provider_data is not None
        assert said.provider_data.provider == f"pydantic-ai:{api.provider}"
        assert Turn.signature not in repr(said)
        results = [Message.tool(call.id, "rain") for call in said.tool_calls]
        second, _ = await asked(model, ModelRequest((*ASKING.messages, said, *results), tools=(WEATHER,)), stream)
        assert second.message.text == "Rain in both."
        # Without it, the provider refuses.
        bare = said.model_copy(update={"provider_data": None})
        if api is Anthropic:
            with pytest.raises(ModelRequestError, match="Expected `thinking`"):
                await asked(model, ModelRequest((*ASKING.messages, bare, *results), tools=(WEATHER,)), stream)
    assert len(server.bodies) == (3 if api is Anthropic else 2)


async def test_the_data_of_one_provider_goes_to_no_other(
    api: type[Imitation], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Gemini if api is Anthropic else Anthropic
    with serving(other, Turn("Let me see.", "Hm.", [("weather", {"place": "Oslo"})]), monkeypatch) as (_, model):
        first, _ = await asked(model, ModelRequest(ASKING.messages, tools=(WEATHER,)), stream)
    with serving(api, Turn("Rain."), monkeypatch) as (server, model):
        server.check = lambda body: None  # type: ignore[method-assign]
        result = Message.tool(first.message.tool_calls[0].id, "rain")
        await asked(model, ModelRequest((*ASKING.messages, first.message, result), tools=(WEATHER,)), stream)
    assert Turn.signature not in str(server.bodies)


async def test_a_run_with_tools(api: type[Imitation], monkeypatch: pytest.MonkeyPatch) -> None:
    def weather(place: str) -> str:
        """Tell the weather of a place."""
        return f"rain in {place}"

    def script(body: Body) -> Turn:
        told = str(body.get("messages") or body["contents"])
        return Turn("It rains.") if "rain in Oslo" in told else Turn("", "Oslo.", [("weather", {"place": "Oslo"})])

    with serving(api, script, monkeypatch, provider_settings=THINKING[api.provider]) as (_, model):
        mind = Contemplator(model, mode="instant", agent=Agent(tools=[weather]))
        result = await mind.run("How is the weather in Oslo?")
    assert result.output == "It rains."
    assert result.usage.calls == 2


async def test_a_run_goes_on_from_its_journal(
    api: type[Imitation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weather(place: str) -> str:
        """Tell the weather of a place."""
        return f"rain in {place}"

    first = Turn("Let me see.", "Oslo.", [("weather", {"place": "Oslo"})])
    replies: Iterator[Reply] = iter([first, failing(api, "wrong"), Turn("It rains.")])
    with serving(api, lambda _: next(replies), monkeypatch, provider_settings=THINKING[api.provider]) as (
        server,
        model,
    ):
        options: Any = {"mode": "instant", "agent": Agent(tools=[weather]), "journal": f"sqlite:///{tmp_path}/runs.db"}
        with pytest.raises(AggregationError, match="odd"):
            await Contemplator(model, **options).run("How is the weather in Oslo?", run_id="r")
        result = await Contemplator(model, **options).run("How is the weather in Oslo?", run_id="r")
        assert (result.output, len(server.bodies)) == ("It rains.", 3)
        # What was read before came from the journal, and was taken by the provider.
        assert Turn.signature.rstrip("=") in str(server.bodies[2])


@pytest.mark.parametrize("mode", ["instant", "contemplating", "vote", "refine", "council", "thinking", "auto"])
async def test_modes(api: type[Imitation], mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan: Body = {"tasks": [{"id": name, "prompt": f"About {name}?", "needs": []} for name in ("a", "b")]}

    def script(body: Body) -> Turn:
        native = body.get("output_config") or body.get("generationConfig", {}).get("responseJsonSchema")
        return Turn(json.dumps(plan) if "tasks" in str(native) else "yes", "Hm.")

    with serving(api, script, monkeypatch) as (server, model):
        result = await Contemplator(model, mode=mode).run("Is it?")
    assert "yes" in result.output
    # A vote that is decided ends the calls that are left.
    assert 1 <= len(server.bodies) <= result.usage.calls
    assert result.usage.cost_usd


class City(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize("form", ["native", "tool", "words", "beside tools"])
async def test_typed_answers(api: type[Imitation], stream: bool, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = City.model_json_schema()
    if form == "words":
        # With keys of any name: providers would close the object, and leave it empty.
        schema["properties"]["more"] = {"type": "object", "additionalProperties": {"type": "integer"}}
    answer = {"name": "Oslo", "people": 700_000}
    turn = Turn(calls=[("City", answer)]) if form == "tool" else Turn('{"name": "Oslo", "people": 700000}')
    tools = (WEATHER,) if form == "beside tools" else ()
    with serving(api, turn, monkeypatch) as (server, model):
        if form == "tool":
            model = PydanticAIModel(without_schemas(api))
        request = ModelRequest(
            ASKING.messages, ASKING.settings, output_schema=OutputSchema("City", schema), tools=tools
        )
        response, _ = await asked(model, request, stream)
    assert City.model_validate_json(response.message.text) == City(name="Oslo", people=700_000)
    assert (response.finish, response.message.tool_calls, response.message.provider_data) == ("stop", (), None)
    (body,) = server.bodies
    told = {"tools": str(body.get("tools")), "words": str(body.get("system") or body.get("systemInstruction"))}
    told["native"] = str(body.get("output_config") or body.get("generationConfig"))
    assert [place for place in told if "people" in told[place]] == [
        {"tool": "tools", "beside tools": "native"}.get(form, form)
    ]


def without_schemas(api: type[Imitation]) -> Any:
    """A model that takes no schema for its answer."""
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.google import GoogleModel

    made: Any = AnthropicModel if api is Anthropic else GoogleModel
    name = "claude-haiku-4-5" if api is Anthropic else api.model
    return made(name, profile={"supports_json_schema_output": False, "default_structured_output_mode": "tool"})


async def test_settings(api: type[Imitation], stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ModelSettings(temperature=0.5, max_tokens=50, seed=3, stop=("END",), logprobs=2, extra={"odd": 1})
    request = ModelRequest(ASKING.messages, settings, tools=(WEATHER,), tool_choice="required")
    with serving(api, Turn(calls=[("weather", {})]), monkeypatch) as (server, model):
        response, _ = await asked(model, request, stream)
    (body,) = server.bodies
    if api is Anthropic:
        assert (body["max_tokens"], body["stop_sequences"], body["odd"]) == (50, ["END"], 1)
        assert "temperature" not in body
        assert "seed" not in body
    else:
        config = body["generationConfig"]
        assert (config["temperature"], config["maxOutputTokens"], config["stopSequences"]) == (0.5, 50, ["END"])
        assert config["seed"] == 3
        assert body["toolConfig"]["functionCallingConfig"]["mode"] == "ANY"
    lacking = ["temperature", "tool_choice", "logprobs"] if api is Anthropic else ["extra", "logprobs"]
    assert response.notes == tuple(
        f"the setting {name!r} was not sent, as the model does not have it" for name in lacking
    )


async def test_what_is_lacking_is_told_once_a_run(api: type[Imitation], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(api, Turn("yes"), monkeypatch, settings=ModelSettings(logprobs=1)) as (_, model):
        result = await Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote()).run("Is it?")
    assert ["logprobs" in note for note in result.notes] == [True]


async def test_effort(api: type[Imitation], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(api, Turn("yes"), monkeypatch, settings=ModelSettings(reasoning_effort="high")) as (server, model):
        await asked(model, ASKING, stream=False)
    (body,) = server.bodies
    told = body["thinking"] if api is Anthropic else body["generationConfig"]["thinkingConfig"]
    assert told["type"] == "adaptive" if api is Anthropic else told["thinking_level"] == "HIGH"


@pytest.mark.parametrize("cache", [True, False])
async def test_what_is_shared_is_marked_for_the_cache(cache: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Anthropic, Turn("yes"), monkeypatch, cache=cache) as (server, model):
        await asked(model, ModelRequest(ASKING.messages, tools=(WEATHER,)), stream=False)
    (body,) = server.bodies
    marks = ["cache_control" in str(body[field]) for field in ("tools", "system")]
    assert marks == [cache, cache]


async def test_images(api: type[Imitation], monkeypatch: pytest.MonkeyPatch) -> None:
    images = ImagePart(data=b"\x89PNG"), ImagePart(url="data:image/gif;base64,R0lG", media_type="image/gif")
    with serving(api, Turn("two"), monkeypatch) as (server, model):
        await asked(model, ModelRequest((Message.user("How many?", images),)), stream=False)
    told = str(server.bodies[0])
    assert "iVBORw==" in told.replace("_", "/")
    assert "R0lG" in told
    assert "image/gif" in told


FINISHES = {
    ("anthropic", "max_tokens"): "length",
    ("anthropic", "refusal"): "refusal",
    ("anthropic", "stop_sequence"): "stop",
    ("google", "MAX_TOKENS"): "length",
    ("google", "SAFETY"): "content_filter",
}


@pytest.mark.parametrize(("provider", "said"), FINISHES)
async def test_finish_reasons(provider: str, said: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Anthropic if provider == "anthropic" else Gemini
    with serving(kind, Turn("I", finish=said), monkeypatch) as (_, model):
        response, _ = await asked(model, ASKING, stream)
    assert (response.finish, response.message.text) == (FINISHES[provider, said], "I")


async def test_an_error_for_a_finish(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        serving(Gemini, Turn("", finish="MALFORMED_FUNCTION_CALL"), monkeypatch) as (_, model),
        pytest.raises(ModelServerError, match="MALFORMED_FUNCTION_CALL"),
    ):
        await asked(model, ASKING, stream)


def failing(api: type[Imitation], kind: str) -> Failure:
    """How the two APIs say what went wrong."""
    anthropic = {
        "overflow": (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
        "rate": (429, "rate_limit_error", "This request would exceed your rate limit"),
        "overloaded": (529, "overloaded_error", "Overloaded"),
        "auth": (403, "permission_error", f"Your key {KEY} may not use this"),
        "missing": (404, "not_found_error", "model: claude-none"),
        "wrong": (400, "invalid_request_error", f"odd; key={KEY}"),
        "timeout": (504, "timeout_error", "took too long"),
    }
    google = {
        "overflow": (400, "INVALID_ARGUMENT", "The input token count (208310) exceeds the maximum number of tokens "
                     "allowed (200000)."),
        "rate": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted"),
        "overloaded": (503, "UNAVAILABLE", "The model is overloaded."),
        "auth": (403, "PERMISSION_DENIED", f"Your key {KEY} may not use this"),
        "missing": (404, "NOT_FOUND", "models/gemini-none is not found"),
        "wrong": (400, "INVALID_ARGUMENT", f"odd; key={KEY}"),
        "timeout": (504, "DEADLINE_EXCEEDED", "took too long"),
    }  # fmt: skip
    status, code, words = (anthropic if api is Anthropic else google)[kind]
    if api is Anthropic:
        body: Body = {"type": "error", "error": {"type": code, "message": words}}
    else:
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}] if kind == "rate" else []
        body = {"error": {"code": status, "message": words, "status": code, "details": details}}
    return Failure(status, body, {"retry-after": "7"} if kind == "rate" and api is Anthropic else {})


ERRORS: dict[str, type[ModelError]] = {
    "overflow": ModelContextError,
    "rate": ModelRateLimitError,
    "overloaded": ModelServerError,
    "auth": ModelAuthError,
    "missing": ModelRequestError,
    "wrong": ModelRequestError,
    "timeout": ModelServerError,
}


@pytest.mark.parametrize("kind", ERRORS)
async def test_errors(api: type[Imitation], stream: bool, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = failing(api, kind)
    with serving(api, failure, monkeypatch) as (server, model):
        with pytest.raises(ERRORS[kind]) as caught:
            await asked(model, ASKING, stream)
        # Retries are ours.
        assert len(server.bodies) == 1
    error = caught.value
    assert type(error) is ERRORS[kind]
    words = str(failure.body["error"]["message"]).replace(KEY, "[secret]")
    assert words.rstrip(".") in str(error)
    assert (error.status, error.model) == (failure.status, f"{api.provider}:{api.model}")
    assert error.code == failure.body["error"].get("type", failure.body["error"].get("status"))
    assert error.retry_after == (7 if kind == "rate" else None)
    assert not [text for text in (str(error), repr(error), str(vars(error))) if KEY in text]
    assert error.__cause__ is None
    assert error.__context__ is None
    if isinstance(error, ModelContextError):
        assert (error.prompt_tokens, error.context_tokens) == (208310, 200000)


async def test_the_size_of_a_context_is_learnt_and_kept(
    api: type[Imitation], stream: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONTEMPLATE_CACHE", str(tmp_path))
    monkeypatch.delenv("CONTEMPLATE_NO_LESSONS", raising=False)
    forget_lessons()
    long = ModelRequest((Message.user("It lies at the bottom of the sea. " * 3000),), ASKING.settings)
    size = ContextSize(200_000, round(208_310 / request_tokens(long), 2))

    def script(body: Body) -> Reply:
        return failing(api, "overflow") if len(json.dumps(body)) > 98_000 else Turn("ok")

    with serving(api, script, monkeypatch) as (server, model):
        assert context_of(model) is None
        with pytest.raises(ModelContextError):
            await asked(model, long, stream)
        # Other objects for it know as well, in other processes too.
        assert context_of(Retry(PydanticAIModel(f"{api.provider}:{api.model}"))) == model.context_size == size
        forget_lessons()
        later = PydanticAIModel(f"{api.provider}:{api.model}")
        assert later.context_size == size
        assert (await asked(later, ASKING, stream))[0].message.text == "ok"
        assert later.context_size == size
        # What is too long by a margin is not sent again: a run shortens it.
        sent = len(server.bodies)
        told = [long.messages[0], Message.assistant("Noted.")] * 2
        result = await Contemplator(later, mode="instant").run("And so?", history=told)
        assert result.text == "ok"
        assert len(server.bodies) == sent + 1
    forget_lessons()


async def test_a_used_up_credit_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "Your credit balance is too low to access the Anthropic API."
    failure = Failure(400, {"type": "error", "error": {"type": "billing_error", "message": words}})
    with serving(Anthropic, failure, monkeypatch) as (server, model):
        with pytest.raises(ModelRateLimitError, match="credit balance is too low") as caught:
            await asked(Retry(model), ASKING, stream=False)
        assert len(server.bodies) == 1
    assert caught.value.code == "billing_error"


async def test_a_retry_asks_again(api: type[Imitation], stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    replies: Iterator[Reply] = iter([failing(api, "overloaded"), Turn("at last")])
    with serving(api, lambda _: next(replies), monkeypatch) as (server, model):
        response, _ = await asked(Retry(model), ASKING, stream)
    assert response.message.text == "at last"
    assert len(server.bodies) == 2


@closed
async def test_a_stream_that_breaks_off(api: type[Imitation], monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        serving(api, Cut(Turn("The answer is long."), after=3 if api is Anthropic else 1), monkeypatch) as (_, model),
        pytest.raises(ModelConnectionError, match="broke off"),
    ):
        await asked(model, ASKING, stream=True)


async def test_no_server(api: type[Imitation], stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(api, Turn("x"), monkeypatch) as (_, model):
        pass
    with pytest.raises(ModelConnectionError):
        await asked(model, ASKING, stream)


@closed
@pytest.mark.parametrize("how", ["cancelled", "timeout", "idle"])
async def test_the_end_of_a_call_closes_its_connection(
    api: type[Imitation], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Cut(Turn("The answer is long."), after=3 if api is Anthropic else 1, silent=True)
    settings = {"timeout": ModelSettings(timeout=1), "idle": ModelSettings(idle_timeout=0.1)}
    with serving(api, script, monkeypatch) as (server, model):
        async with model.connect():
            with anyio.CancelScope() as scope:
                request = ModelRequest(ASKING.messages, settings.get(how, ModelSettings()))

                def heard(_: Delta) -> None:
                    if how == "cancelled":
                        scope.cancel()

                if how == "cancelled":
                    await model.request(request, heard)
                else:
                    with pytest.raises(ModelTimeoutError, match="timeout"):
                        await model.request(request, heard)
            assert await anyio.to_thread.run_sync(server.left.wait, 10)


@closed
async def test_what_a_listener_raises_is_its_own(api: type[Imitation], monkeypatch: pytest.MonkeyPatch) -> None:
    def heard(_: Delta) -> None:
        raise ZeroDivisionError

    with serving(api, Turn("yes"), monkeypatch) as (_, model), pytest.raises(ZeroDivisionError):
        await model.request(ASKING, heard)


@closed
async def test_calls_at_once_share_connections_and_close_them(
    api: type[Imitation], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    async def ask() -> None:
        response, _ = await asked(model, ASKING, stream=True)
        said.append(response.message.text)

    with serving(api, Turn("yes"), monkeypatch) as (server, model):
        for _ in range(2):
            async with model.connect(), anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(ask)
    assert said == ["yes"] * 16
    assert len(server.bodies) == 16


def test_runs_on_event_loops_one_after_another(api: type[Imitation], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(api, Turn("yes"), monkeypatch) as (_, model):
        for backend in ("asyncio", "trio", "asyncio"):
            response, _ = anyio.run(asked, model, ASKING, False, backend=backend)
            assert response.message.text == "yes"


# Names


def test_names(api: type[Imitation]) -> None:
    for name in (f"{api.provider}:{api.model}", f"pydantic-ai:{api.provider}:{api.model}"):
        model = resolve(name)
        assert isinstance(model, Retry)
        assert isinstance(model.inner, PydanticAIModel)
        assert model.name == name
        assert KEY not in repr(model) + repr(vars(model.inner))
        assert model.price is not None


async def test_any_model_of_pydantic_ai(stream: bool) -> None:
    from pydantic_ai.models.test import TestModel

    model = PydanticAIModel(TestModel(custom_output_text="yes"))
    response, _ = await asked(model, ASKING, stream)
    assert (model.name, response.message.text, response.finish, response.usage.cost_usd) == (
        "test:test",
        "yes",
        "stop",
        None,
    )


async def test_a_provider_without_a_known_address() -> None:
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models.test import TestModel

    class Routed(TestModel):
        @property
        def base_url(self) -> str:
            raise UserError("Unable to determine base URL for HuggingFace provider.")

    response = await PydanticAIModel(Routed(custom_output_text="yes")).request(ASKING)
    assert response.message.text == "yes"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            400,
            {"Error": {"Message": "no such field", "Code": "ValidationException"}},
            ModelRequestError,
            "no such field",
        ),
        (400, {"message": "Input is too long for requested model."}, ModelContextError, "Input is too long"),
        (401, b'{"message": "invalid api token", "error": "invalid"}', ModelAuthError, "invalid api token"),
        (429, b'{"error": "slow down"}', ModelRateLimitError, "slow down"),
        (503, "down", ModelServerError, "down"),
    ],
)
async def test_the_words_of_servers(status: int, body: object, kind: type[ModelError], words: str) -> None:
    """As the clients of Bedrock, Cohere and Hugging Face keep them."""
    from pydantic_ai.exceptions import ModelHTTPError
    from pydantic_ai.models.function import FunctionModel

    async def answer(*_: object) -> Any:
        raise ModelHTTPError(status, "m", body)

    with pytest.raises(kind, match=f"HTTP {status}: {words}"):
        await PydanticAIModel(FunctionModel(answer)).request(ASKING)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_client_that_needs_asyncio_says_so() -> None:
    from pydantic_ai.models.function import FunctionModel

    async def answer(*_: object) -> Any:
        asyncio.get_running_loop()

    with pytest.raises(ConfigurationError, match="cannot be called on trio"):
        await PydanticAIModel(FunctionModel(answer)).request(ASKING)


def test_a_model_object_is_taken_as_it_is(api: type[Imitation]) -> None:
    from pydantic_ai.models import infer_model

    given = infer_model(f"{api.provider}:{api.model}")
    assert PydanticAIModel(given).name == f"{api.provider}:{api.model}"


@pytest.mark.parametrize("name", ["anthropic:claude-opus-5-5", "google:gemini-3.8-flash"])
def test_a_missing_key_is_told_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigurationError, match="needs an API key, and [A-Z]+_API_KEY is not set"):
        resolve(name)


@pytest.mark.parametrize("provider", ["bedrock", "cohere", "huggingface"])
def test_what_a_provider_needs_is_told(provider: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"pip install 'pydantic-ai-slim\[{provider}\]'"):
        resolve(f"{provider}:a-model")


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="nonsense:m"):
        resolve("pydantic-ai:nonsense:m")
    monkeypatch.setattr("contemplate.models.pydantic_ai.model.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"contemplate-ai\[providers\]"):
        resolve("anthropic:claude-opus-5-5")
