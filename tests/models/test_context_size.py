"""How much fits into a model's context: stated, learnt from a refusal, forgotten when more was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from contemplate import Contemplator, Limits, Message, ModelSettings
from contemplate.errors import ModelContextError, ModelRateLimitError
from contemplate.models import Delta, Fallback, ModelRequest, OpenAIModel, Profile, Retry, context_of
from contemplate.models.context_size import ContextSize, check_fit
from contemplate.models.openai.lesson_store import forget_lessons
from contemplate.models.openai.lessons import Lesson
from contemplate.models.openai.output_bound import output_bound
from contemplate.models.tokens import request_tokens
from contemplate.modes import Mode
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import ChatAnswer, Exchange, HttpError, Reply
from tests.models.refusing import Said
from tests.models.test_openai_errors import OVERFLOWS

pytestmark = pytest.mark.anyio

LONG = ModelRequest((Message.user("It lies at the bottom of the sea, they say. " * 400),))
SHORT = ModelRequest((Message.user("hello"),))
WORDS = "This model's maximum context length is 4,000 tokens. However, your messages resulted in 5,000 tokens."


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    forget_lessons()
    yield
    forget_lessons()


def small(exchange: Exchange) -> Reply | str:
    return "ok" if len(exchange.prompt) < 100 else HttpError(400, WORDS)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_teaches_it(stream: bool) -> None:
    deltas: list[Delta] = []
    with FaultyServer(small) as server:
        model = OpenAIModel("m", base_url=server.url)
        assert context_of(model) is None
        with pytest.raises(ModelContextError):
            await model.request(LONG, deltas.append if stream else None)
        assert len(server.exchanges) == 1
        # Other objects for it know as well, within wrappers too.
        other = Retry(OpenAIModel("m", base_url=server.url))
        assert context_of(other) == model.context_size == ContextSize(4000, round(5000 / request_tokens(LONG), 2))
        assert (await other.request(SHORT)).message.text == "ok"
        assert OpenAIModel("another", base_url=server.url).context_size is None


@pytest.mark.parametrize("name", OVERFLOWS)
async def test_in_all_words(name: str) -> None:
    status, body, fits, _ = OVERFLOWS[name]
    with FaultyServer(lambda exchange: Said(status, body)) as server:
        model = OpenAIModel("m", base_url=server.url)
        for _ in range(2):
            with pytest.raises(ModelContextError):
                await model.request(LONG)
    of_account = "TPM" in json.dumps(body) or "tokens per min" in json.dumps(body)
    assert model.profile.context_tokens == (None if of_account else fits)


async def test_where_only_the_answer_does_not_fit() -> None:
    words = (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
        "(1000 in the messages, 4000 in the completion)."
    )

    def refuses(exchange: Exchange) -> Reply | str:
        return HttpError(400, words) if exchange.body["max_tokens"] > 3096 else "ok"

    with FaultyServer(refuses) as server:
        model = OpenAIModel("m", base_url=server.url)
        response = await model.request(ModelRequest(SHORT.messages, ModelSettings(max_tokens=4000)))
    assert (response.message.text, model.context_size) == ("ok", ContextSize(4096))


async def test_the_last_word_counts() -> None:
    """A gateway may have several servers behind one name."""
    sizes = iter([4000, 2000, 4000, 2000])
    with FaultyServer(lambda _: HttpError(400, f"maximum context length is {next(sizes)} tokens")) as server:
        model = OpenAIModel("m", base_url=server.url)
        for size in (4000, 2000, 4000, 2000):
            with pytest.raises(ModelContextError):
                await model.request(LONG)
            assert model.profile.context_tokens == size
        assert len(model._dialect.lessons) == 1


async def test_a_longer_prompt_that_was_answered_ends_it() -> None:
    def grown(exchange: Exchange) -> Reply | str:
        if exchange.number == 0:
            return HttpError(400, WORDS)
        return ChatAnswer("ok", usage={"prompt_tokens": 5000, "completion_tokens": 1, "total_tokens": 5001})

    with FaultyServer(grown) as server:
        model = OpenAIModel("m", base_url=server.url)
        with pytest.raises(ModelContextError):
            await model.request(LONG)
        assert model.context_size is not None
        await model.request(LONG)
        assert model.context_size is None


async def test_an_estimate_ends_nothing() -> None:
    with FaultyServer(ChatAnswer("ok", usage=False)) as server:
        model = OpenAIModel("m", base_url=server.url, profile=Profile(context_tokens=4000))
        await model.request(LONG)
    assert model.context_size == ContextSize(4000)


async def test_it_is_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTEMPLATE_NO_LESSONS")
    monkeypatch.setenv("CONTEMPLATE_CACHE", str(tmp_path))
    with FaultyServer(small) as server:
        with pytest.raises(ModelContextError):
            await OpenAIModel("m", base_url=server.url).request(LONG)
        forget_lessons()
        assert OpenAIModel("m", base_url=server.url).profile.context_tokens == 4000


async def test_what_an_account_may_send_is_no_context() -> None:
    words = "Rate limit reached on tokens per min (TPM): Limit 30000, Requested 49372."
    with FaultyServer(HttpError(429, words)) as server:
        model = OpenAIModel("m", base_url=server.url)
        with pytest.raises((ModelContextError, ModelRateLimitError)):
            await model.request(LONG)
    assert model.context_size is None


def test_a_lesson_replaces_what_it_says_anew() -> None:
    first, second = (Lesson(changes={"context_tokens": size}, words="x") for size in (1, 2))
    left_out = Lesson(changes={"left_out": ["seed"]}, words="x")
    both = Lesson(changes={"context_tokens": 1, "tokens_per_estimate": 1.0}, words="x")
    assert second.replaces(first)
    assert both.replaces(first)
    assert not first.replaces(both)
    assert not left_out.replaces(left_out)


@pytest.mark.parametrize(
    ("measured", "exceeds", "fits"), [(None, 2001, 2000), (1.0, 1112, 1111), (0.7, 1588, 1587), (2.0, 556, 555)]
)
def test_a_margin_for_the_estimate(measured: float | None, exceeds: int, fits: int) -> None:
    def prompt(tokens: int) -> ModelRequest:
        return ModelRequest((Message.user("a" * 3 * (tokens - 8)),))

    profile = Profile(context_tokens=1000, tokens_per_estimate=measured)
    model = OpenAIModel("m", base_url="http://127.0.0.1:1", profile=profile)
    assert request_tokens(prompt(fits)) == fits
    check_fit(model, prompt(fits))
    with pytest.raises(ModelContextError, match="does not fit into the context of 1,000") as caught:
        check_fit(model, prompt(exceeds))
    assert (caught.value.model, caught.value.context_tokens) == (model.name, 1000)
    assert caught.value.prompt_tokens == (None if measured is None else round(exceeds * measured))


def test_of_several_models_the_largest_counts() -> None:
    models = [
        OpenAIModel(f"m{size}", base_url="http://127.0.0.1:1", profile=Profile(context_tokens=size))
        for size in (1000, 3000, 2000)
    ]
    assert context_of(Fallback(models)) == ContextSize(3000)
    assert context_of(Fallback([*models, ScriptedModel("x")])) is None


@pytest.mark.parametrize("mode", ["vote", "contemplating"])
async def test_limits_ask_for_what_fits_at_the_second_run(mode: Mode) -> None:
    """A share of `Limits` may be far more than a context holds."""

    def vllm(exchange: Exchange) -> Reply | str:
        size, most = sum(len(json.dumps(each)) for each in exchange.messages) // 4, exchange.body.get("max_tokens", 0)
        if size + most <= 4096:
            return "Answer: 42"
        return HttpError(
            400,
            f"'max_tokens' or 'max_completion_tokens' is too large: {most}. This model's maximum context length is "
            f"4096 tokens and your request has {size} input tokens ({most} > 4096 - {size}).",
        )

    with FaultyServer(vllm) as server:
        for run in range(2):
            before = len(server.exchanges)
            model = OpenAIModel("m", base_url=server.url)
            result = await Contemplator(model, mode=mode, limits=Limits(total_tokens=400_000)).run("What is 6 times 7?")
            assert "42" in result.text
            refused = len(server.exchanges) - before - result.usage.calls
            assert (refused > 0) is (run == 0)


@pytest.mark.parametrize(
    ("wanted", "prompt", "measured", "bound"),
    [
        (None, 300, None, None),
        (100, 300, None, 100),
        (5000, 300, None, 3700),
        # It may fit.
        (3800, 300, None, 3800),
        # The estimate would cost too much of the room: the server says how much there is.
        (5000, 2500, None, 5000),
        (5000, 2500, 1.0, 5000),
        (5000, 900, 0.9, 3100),
        (5000, 8000, 1.0, 5000),
    ],
)
def test_the_bound_of_an_answer(wanted: int | None, prompt: int, measured: float | None, bound: int | None) -> None:
    request = ModelRequest((Message.user("a" * 3 * (prompt - 8)),), ModelSettings(max_tokens=wanted))
    assert output_bound(request, Profile(context_tokens=4000, tokens_per_estimate=measured)) == bound
    assert output_bound(request, Profile()) == wanted
