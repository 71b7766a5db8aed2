"""How much is thought about a request: efforts, small calls, and several answers."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from contemplate import Contemplator, ModelSettings, aggregators, planners
from contemplate.errors import ConfigurationError, ModelAuthError
from contemplate.models import ModelRequest
from contemplate.server import SmallCalls, create_app
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Serve, serving_app
from .test_server_clients import QUESTION, content, expert

TITLE = "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n<chat_history>"


def calls_of(create: Any, **options: Any) -> int:
    """How many calls a request takes."""
    model = ScriptedModel(expert)
    with serving_app(create(model)) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        client.chat.completions.create(**({"model": "m", "messages": QUESTION} | options))
    return len(model.requests)


def usual(model: ScriptedModel) -> Any:
    return create_app({"m": Contemplator(model)})


@pytest.mark.parametrize(
    ("effort", "calls"),
    [(None, 4), ("none", 1), ("minimal", 1), ("low", 1), ("medium", 4), ("high", 4), ("xhigh", 4)],
)
def test_an_effort_chooses_the_mode(effort: str | None, calls: int) -> None:
    assert calls_of(usual, reasoning_effort=effort) == calls


def test_efforts_of_ones_own() -> None:
    def create(model: ScriptedModel) -> Any:
        sampler = Contemplator(model, planner=planners.sample(7), aggregator=aggregators.vote(stop=None))
        return create_app({"m": Contemplator(model, mode="instant")}, efforts={"high": "thinking", "xhigh": sampler})

    assert calls_of(create, reasoning_effort="low") == 1
    assert calls_of(create, reasoning_effort="xhigh") == 7
    with pytest.raises(ConfigurationError, match="efforts: 'much'"):
        create_app({"m": Contemplator(ScriptedModel([]))}, efforts={"much": "vote"})  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="there is no mode 'deep'"):
        create_app({"m": Contemplator(ScriptedModel([]))}, efforts={"high": "deep"})  # type: ignore[dict-item]


def test_an_effort_that_is_none_is_refused() -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        calls_of(usual, reasoning_effort="much")
    assert caught.value.param == "reasoning_effort"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": TITLE}],
        [{"role": "user", "content": "### Task:\nSuggest 3-5 relevant follow-up questions or prompts"}],
        [
            {"role": "system", "content": "You are a title generator. You output ONLY a thread title."},
            {"role": "user", "content": "Generate a title for this conversation:"},
            {"role": "user", "content": "Why is the sea salty?"},
        ],
        [{"role": "user", "content": "Provide a concise, 5-word-or-less title for the conversation, using"}],
    ],
)
def test_small_calls_of_chat_programs_are_one_call(messages: Any) -> None:
    assert calls_of(usual, messages=messages) == 1
    assert calls_of(lambda model: create_app({"m": Contemplator(model)}, small_calls=None), messages=messages) == 4


def test_who_talks_about_titles_is_answered_as_always() -> None:
    assert calls_of(usual, messages=[{"role": "user", "content": f"What is wrong with this? {TITLE}"}]) == 4


def test_rules_of_ones_own() -> None:
    def create(model: ScriptedModel) -> Any:
        return create_app({"m": Contemplator(model)}, small_calls=SmallCalls(patterns=(r"Why is the \w+",)))

    assert calls_of(create) == 1
    assert calls_of(create, messages=[{"role": "user", "content": TITLE}]) == 4
    with pytest.raises(ConfigurationError, match="SmallCalls"):
        SmallCalls(patterns=("(",))


def test_every_model_has_an_instant_one() -> None:
    assert calls_of(usual, model="m-instant") == 1
    with pytest.raises(openai.NotFoundError):
        calls_of(usual, model="x-instant")
    with pytest.raises(openai.NotFoundError):
        calls_of(lambda model: create_app({"m": Contemplator(model)}, small_calls=None), model="m-instant")


def numbered(request: ModelRequest) -> str:
    return f"Seed {request.settings.seed}."


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("stream", [False, True])
def test_several_answers(serve: Serve, stream: bool, seed: int | None) -> None:
    model = ScriptedModel(numbered)
    mind = Contemplator(model, planner=planners.sample(1), aggregator=aggregators.first())
    options: Any = {"model": "m", "messages": QUESTION, "n": 3, "seed": seed}
    with openai.OpenAI(base_url=f"{serve({'m': mind})}/v1", api_key="none", timeout=PATIENCE) as client:
        if stream:
            chunks: list[Any] = list(
                client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **options)
            )
            of = [[each for each in chunks if each.choices and each.choices[0].index == index] for index in range(3)]
            texts, usage = [content(each) for each in of], chunks[-1].usage
            assert [each[-1].choices[0].finish_reason for each in of] == ["stop"] * 3
            assert [each[0].choices[0].delta.role for each in of] == ["assistant"] * 3
            assert len({each.id for each in chunks}) == 1
        else:
            completion = client.chat.completions.create(**options)
            assert [each.index for each in completion.choices] == [0, 1, 2]
            texts, usage = [each.message.content for each in completion.choices], completion.usage
    assert len(set(texts)) == 3
    assert len(model.requests) == 3
    assert usage.completion_tokens == 3 * usage.completion_tokens // 3 > 0


@pytest.mark.parametrize("stream", [False, True])
def test_if_one_of_several_answers_fails_all_do(serve: Serve, stream: bool) -> None:
    model = ScriptedModel(lambda _: ModelAuthError("no such key", model="m"))
    mind = Contemplator(model)
    with (
        openai.OpenAI(base_url=f"{serve({'m': mind})}/v1", api_key="none", timeout=PATIENCE) as client,
        pytest.raises(openai.InternalServerError, match="no such key"),
    ):
        client.chat.completions.create(model="m", messages=QUESTION, n=2, stream=stream)


@pytest.mark.parametrize(("n", "said"), [(0, "greater than or equal to 1"), (17, "less than or equal to 16")])
def test_how_many_answers_may_be_asked_for(n: int, said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        calls_of(usual, n=n)
    assert caught.value.param == "n"


def test_settings_of_the_answer_reach_whoever_writes_it_and_nobody_else() -> None:
    model = ScriptedModel(expert)
    mind = Contemplator(model, settings=ModelSettings(max_tokens=1000))
    with serving_app(create_app({"m": mind})) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        client.chat.completions.create(
            model="m",
            messages=QUESTION,
            stop=["END"],
            max_completion_tokens=50,
            seed=3,
            store=True,
            metadata={"a": "b"},
        )
    *parts, answer = [each for each in model.requests if each.output_schema is None]
    assert (answer.settings.stop, answer.settings.max_tokens) == (("END",), 50)
    assert [(each.settings.stop, each.settings.max_tokens) for each in parts] == [(None, 1000)] * 2
