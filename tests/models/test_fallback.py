"""`Fallback`: who is asked next, and who is left out."""

from __future__ import annotations

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Message
from contemplate.errors import (
    ConfigurationError,
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelRequestError,
    ModelServerError,
)
from contemplate.models import Delta, DeltaSink, Fallback, Model, ModelRequest, ModelResponse, OpenAIModel, Retry
from contemplate.models.context_size import ContextSize
from contemplate.models.wrappers.fallback import Circuit
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import FAULTS
from contemplate.usage import Price

pytestmark = pytest.mark.anyio

ASKING = ModelRequest((Message.user("hello"),))
DOWN = ModelServerError("down", model="first")
VIRTUAL = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual clock")],
)


def failing(error: Exception = DOWN, name: str = "first") -> ScriptedModel:
    return ScriptedModel(lambda _: error, name=name)


async def test_the_next_model_answers_and_says_so() -> None:
    first, second, third = failing(), ScriptedModel("here", name="second"), ScriptedModel("never", name="third")
    model = Fallback([first, second, third])
    response = await model.request(ASKING)
    assert (response.message.text, response.model, response.answered_by) == ("here", "second", "second")
    assert [len(each.requests) for each in (first, second, third)] == [1, 1, 0]
    assert model.name == "first|second|third"


def test_it_costs_what_the_dearest_would() -> None:
    """A budget must hold whoever answers."""
    one, other = ScriptedModel("a"), ScriptedModel("b")
    one.price, other.price = Price(input=1, output=8), Price(input=2, output=4)
    assert Fallback([one, other]).price == Price(input=2, output=8)
    other.price = None
    assert Fallback([one, other]).price is None


@pytest.mark.parametrize("models", ["ollama:llama3.2", ["ollama:llama3.2"], ["ollama:llama3.2", ScriptedModel("x")]])
async def test_models_may_be_named(models: str | list[str | Model]) -> None:
    assert Fallback(models).name.startswith("ollama:llama3.2")
    with pytest.raises(ConfigurationError, match="unknown provider 'nobody'"):
        Fallback(["nobody:x"])


async def test_while_the_first_answers_no_other_is_asked() -> None:
    first, second = ScriptedModel("here"), ScriptedModel("there")
    model = Fallback([first, second])
    for _ in range(10):
        await model.request(ASKING)
    assert not second.requests


@pytest.mark.parametrize("error", [ModelAuthError("no", model="m"), ModelRequestError("no", model="m"), LookupError()])
async def test_other_errors_are_the_callers(error: Exception) -> None:
    second = ScriptedModel("there")
    with pytest.raises(type(error)):
        await Fallback([failing(error), second]).request(ASKING)
    assert not second.requests


async def test_the_user_names_the_errors() -> None:
    second = ScriptedModel("there")
    model = Fallback([failing(ModelAuthError("no", model="m")), second], on=(ModelAuthError,))
    assert (await model.request(ASKING)).message.text == "there"
    with pytest.raises(ModelServerError):
        await Fallback([failing(), second], on=(ModelAuthError,)).request(ASKING)


def too_long(context: int | None, name: str) -> ModelContextError:
    error = ModelContextError("too long", model=name)
    error.context_tokens = context
    return error


@pytest.mark.parametrize("stream", [False, True])
async def test_what_does_not_fit_into_one_context_may_fit_into_the_next(stream: bool) -> None:
    first, second = failing(too_long(1000, "first")), ScriptedModel("here", name="second")
    model, heard = Fallback([first, second], failures=2), list[Delta]()
    for _ in range(4):
        response = await model.request(ASKING, heard.append if stream else None)
        assert (response.message.text, response.answered_by) == ("here", "second")
    # It is up: a short prompt is its own to answer.
    assert len(first.requests) == 4


async def test_a_prompt_that_fits_nowhere_is_the_error_of_the_largest_context() -> None:
    models = [failing(too_long(size, f"m{size}"), f"m{size}") for size in (1000, 3000, 2000)]
    with pytest.raises(ModelContextError) as caught:
        await Fallback([*models, failing(DOWN)]).request(ASKING)
    assert caught.value.context_tokens == 3000
    assert caught.value.__notes__ == ["besides: m1000: too long", "besides: m2000: too long", "besides: first: down"]


async def test_what_is_known_not_to_fit_is_not_asked() -> None:
    long = ModelRequest((Message.user("word " * 10_000),))
    first, second = failing(), ScriptedModel("here", name="second")
    first.context_size = ContextSize(1000)  # type: ignore[attr-defined]
    model = Fallback([first, second])
    assert (await model.request(long)).answered_by == "second"
    assert not first.requests
    # Where nobody else can be asked, a shorter prompt may be.
    with pytest.raises(ModelContextError, match="does not fit into the context of 1,000"):
        await Fallback([first, failing(DOWN, "second")]).request(long)


async def test_who_names_other_errors_is_told_that_it_does_not_fit() -> None:
    second = ScriptedModel("here")
    with pytest.raises(ModelContextError):
        await Fallback([failing(too_long(1000, "first")), second], on=(ModelServerError,)).request(ASKING)
    assert not second.requests


async def test_when_all_fail_the_last_error_tells_of_the_others() -> None:
    model = Fallback([failing(), failing(ModelConnectionError("gone", model="second"))])
    with pytest.raises(ModelConnectionError, match="gone") as caught:
        await model.request(ASKING)
    assert caught.value.__notes__ == ["before that: first: down"]


@VIRTUAL
async def test_a_model_that_fails_on_end_is_left_out_until_a_trial_succeeds() -> None:
    up = False
    first = ScriptedModel(lambda _: "first" if up else DOWN)
    model = Fallback([first, ScriptedModel("second")], failures=3, seconds=30)

    async def answers(count: int) -> set[str]:
        return {(await model.request(ASKING)).message.text for _ in range(count)}

    assert await answers(10) == {"second"}
    assert len(first.requests) == 3
    await anyio.sleep(30)
    assert await answers(10) == {"second"}
    assert len(first.requests) == 4
    up = True
    assert await answers(10) == {"second"}
    await anyio.sleep(30)
    assert await answers(10) == {"first"}
    assert len(first.requests) == 14


@VIRTUAL
async def test_one_call_at_a_time_tries_it_again() -> None:
    trying = 0
    most = 0

    async def slow(_: ModelRequest) -> ModelError:
        nonlocal trying, most
        trying += 1
        most = max(most, trying)
        await anyio.sleep(1)
        trying -= 1
        return DOWN

    model = Fallback([ScriptedModel(slow), ScriptedModel("second")], failures=1, seconds=30)
    await model.request(ASKING)
    await anyio.sleep(30)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(model.request, ASKING)
    assert most == 1


@VIRTUAL
async def test_a_trial_that_is_cancelled_is_followed_by_another() -> None:
    hang = False

    async def reply(_: ModelRequest) -> ModelError | str:
        if hang:
            await anyio.sleep_forever()
        return DOWN

    first = ScriptedModel(reply)
    model = Fallback([first, ScriptedModel("second")], failures=1, seconds=30)
    await model.request(ASKING)
    await anyio.sleep(30)
    hang = True
    with anyio.move_on_after(1):
        await model.request(ASKING)
    hang = False
    await model.request(ASKING)
    assert len(first.requests) == 3


@VIRTUAL
async def test_when_all_are_left_out_the_error_says_for_how_long() -> None:
    model = Fallback([failing(), failing()], failures=1, seconds=30)
    with pytest.raises(ModelServerError):
        await model.request(ASKING)
    await anyio.sleep(10)
    with pytest.raises(ModelConnectionError, match="too often recently") as caught:
        await model.request(ASKING)
    assert caught.value.retry_after == pytest.approx(20)
    assert caught.value.transient


@VIRTUAL
async def test_a_wrong_request_is_no_failure_of_the_model() -> None:
    errors = iter([DOWN, DOWN, ModelRequestError("no", model="m"), DOWN, DOWN, DOWN])
    first = ScriptedModel(lambda _: next(errors))
    model = Fallback([first, ScriptedModel("second")], failures=3)
    for _ in range(2):
        await model.request(ASKING)
    with pytest.raises(ModelRequestError):
        await model.request(ASKING)
    for _ in range(3):
        await model.request(ASKING)
    assert len(first.requests) == 6


async def test_a_stream_that_breaks_starts_over_with_the_next() -> None:
    class Breaking:
        name = "breaking"

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            assert on_delta is not None
            on_delta(Delta("half"))
            raise ModelConnectionError("broke", model=self.name)

    deltas: list[Delta] = []
    await Fallback([Breaking(), ScriptedModel("whole")]).request(ASKING, deltas.append)
    assert deltas == [Delta("half"), Delta(restart=True), Delta("whole")]


@pytest.mark.parametrize("fault", ["rate_limit", "error_500", "reset_before", "reset_during", "closed_during"])
@pytest.mark.parametrize("stream", [True, False])
async def test_over_the_wire(fault: str, stream: bool) -> None:
    with FaultyServer(FAULTS[fault]) as bad, FaultyServer("at last") as good:
        model = Fallback(
            [OpenAIModel("a", base_url=bad.url), Retry(OpenAIModel("b", base_url=good.url))], failures=2, seconds=600
        )
        async with model.connect():
            for _ in range(5):
                deltas: list[Delta] = []
                response = await model.request(ASKING, deltas.append if stream else None)
                assert (response.message.text, response.model) == ("at last", "b")
        assert (len(bad.exchanges), len(good.exchanges)) == (2, 5)


def test_at_least_one() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        Fallback([])
    with pytest.raises(ConfigurationError, match="failures=0"):
        Fallback([failing()], failures=0)


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 40), st.sampled_from(["failed", "answered", "cancelled"])), max_size=60),
)
def test_a_circuit(failures: int, steps: list[tuple[float, str]]) -> None:
    circuit, seconds, now = Circuit(failures, 10), 10.0, 0.0
    on_end, opened = 0, -100.0
    for wait, outcome in steps:
        now += wait
        delay = circuit.delay(now)
        left = opened + seconds - now if on_end >= failures else 0.0
        assert delay == pytest.approx(max(0.0, left))
        if delay:
            continue
        trial = circuit.enter(now)
        assert trial == (on_end >= failures)
        if trial:
            assert circuit.delay(now) == pytest.approx(seconds)
        if outcome == "failed":
            circuit.failed(now)
            on_end += 1
            opened = now
        elif outcome == "answered":
            circuit.answered()
            on_end = 0
        elif trial:
            circuit.trial_ended(now)
            opened = now - seconds


def test_a_time_of_another_clock_leaves_nobody_out_for_long() -> None:
    circuit = Circuit(1, 10)
    circuit.failed(1_000_000)
    assert circuit.delay(5) == 0
