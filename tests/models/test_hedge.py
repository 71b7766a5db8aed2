"""`Hedge`: when a second call is made, which one is the answer, and what it costs."""

from __future__ import annotations

import random
from dataclasses import dataclass

import anyio
import pytest
import trio.testing

from contemplate import Message, Usage
from contemplate.errors import ConfigurationError, ModelConnectionError, ModelError, ModelRateLimitError
from contemplate.models import Delta, DeltaSink, Hedge, ModelRequest, ModelResponse, OpenAIModel, Retry, ToolSpec
from contemplate.models.wrappers.hedge import COOL_SECONDS, MOST_SAVED, OBSERVATIONS_NEEDED, _Race
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import ChatAnswer, Exchange, Reply, Silence

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio

ASKING = ModelRequest((Message.user("hello"),))
USAGE = Usage(calls=1, input_tokens=80, output_tokens=20, cost_usd=0.10)
STALL = 100.0
VIRTUAL = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual clock")],
)


@dataclass
class Turn:
    """How one call goes: its first token after `first` seconds, its end `rest` seconds later, or its error."""

    first: float = 1.0
    rest: float = 0.0
    text: str = "well"
    error: ModelError | None = None
    fails_late: bool = False


class Talker:
    """A model whose calls go as `turns` say; then, as the first of them."""

    name = "talker"

    def __init__(self, *turns: Turn) -> None:
        self.turns = list(turns)
        self.calls = 0
        self.cancelled = 0

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        turn = self.turns[min(self.calls, len(self.turns) - 1)]
        self.calls += 1
        try:
            await anyio.sleep(turn.first)
            if turn.error is not None and not turn.fails_late:
                raise turn.error
            if on_delta is not None:
                on_delta(Delta(turn.text))
            await anyio.sleep(turn.rest)
            if turn.error is not None:
                raise turn.error
        except BaseException as error:
            self.cancelled += not isinstance(error, Exception)
            raise
        message = Message.assistant(turn.text)
        return ModelResponse(message=message, finish="stop", usage=USAGE, model=self.name)


async def warmed_up(model: Hedge, inner: Talker) -> None:
    """Let `model` see enough first tokens, each after a second."""
    inner.turns = [Turn()]
    for _ in range(OBSERVATIONS_NEEDED):
        await model.request(ASKING)
    inner.calls = 0


async def seconds_of(model: Hedge, on_delta: DeltaSink | None = None) -> tuple[ModelResponse, float]:
    started = anyio.current_time()
    response = await model.request(ASKING, on_delta)
    return response, anyio.current_time() - started


@VIRTUAL
async def test_a_late_first_token_is_not_waited_for() -> None:
    model = Hedge(inner := Talker(Turn()))
    await warmed_up(model, inner)
    inner.turns = [Turn(STALL, text="late"), Turn(0.5, 3, text="second")]
    deltas: list[Delta] = []
    response, seconds = await seconds_of(model, deltas.append)
    assert response.message.text == "second"
    assert seconds == pytest.approx(1 + 0.5 + 3)
    assert deltas == [Delta("second")]
    assert (inner.calls, inner.cancelled) == (2, 1)
    # The prompt of the call that lost, and nothing written.
    assert response.usage.model_dump() == {
        "calls": 2,
        "input_tokens": 160,
        "cached_input_tokens": 0,
        "output_tokens": 20,
        "reasoning_tokens": 0,
        "cost_usd": pytest.approx(0.18),
    }


@VIRTUAL
async def test_the_first_call_may_still_win() -> None:
    model = Hedge(inner := Talker(Turn()))
    await warmed_up(model, inner)
    inner.turns = [Turn(1.2, 5, text="first"), Turn(0.5, text="second")]
    response, seconds = await seconds_of(model)
    assert response.message.text == "first"
    assert seconds == pytest.approx(6.2)
    assert (inner.calls, inner.cancelled, response.usage.calls) == (2, 1, 2)


@VIRTUAL
async def test_a_long_answer_is_no_late_one() -> None:
    model = Hedge(inner := Talker(Turn()))
    await warmed_up(model, inner)
    inner.turns = [Turn(0.9, STALL)]
    response, seconds = await seconds_of(model)
    assert inner.calls == 1
    assert seconds == pytest.approx(0.9 + STALL)
    assert response.usage == USAGE


@VIRTUAL
async def test_nothing_is_late_before_enough_was_seen() -> None:
    inner = Talker(*[Turn()] * (OBSERVATIONS_NEEDED - 1), Turn(STALL))
    model = Hedge(inner)
    for _ in range(OBSERVATIONS_NEEDED):
        await model.request(ASKING)
    assert inner.calls == OBSERVATIONS_NEEDED


@VIRTUAL
@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, None])
async def test_extra_calls_are_a_share_of_all(share: float | None) -> None:
    inner = Talker(Turn())
    model = Hedge(inner) if share is None else Hedge(inner, share=share)
    await warmed_up(model, inner)
    # Every other call stalls: far more than may be hedged.
    inner.turns = [Turn() if number % 2 else Turn(STALL) for number in range(2000)]
    for _ in range(1000):
        await model.request(ASKING)
    extra = inner.calls - 1000
    # By default one in twenty, as is documented.
    usual = 0.05 if share is None else share
    assert 1000 * usual - 1 <= extra <= 1000 * usual + MOST_SAVED
    assert (extra > 0) == (usual > 0)


@VIRTUAL
async def test_the_tail_is_cut_at_its_price() -> None:
    random_ = random.Random(7)
    turns = []
    for _ in range(4000):
        stalls = random_.random() < 0.02
        turns.append(Turn(random_.uniform(30, 120) if stalls else random_.lognormvariate(-0.22, 0.5)))
    seconds: dict[bool, list[float]] = {}
    calls = {}
    for hedged in (False, True):
        inner = Talker(*turns)
        model = Hedge(inner, share=0.1 if hedged else 0)
        seconds[hedged] = sorted([(await seconds_of(model))[1] for _ in range(2000)])
        calls[hedged] = inner.calls
    assert seconds[False][1980] > 30
    assert seconds[True][1980] < 10
    assert calls[True] <= 2000 * 1.1


@VIRTUAL
async def test_what_lost_is_remembered_as_late() -> None:
    model = Hedge(inner := Talker(Turn()), share=1)
    await warmed_up(model, inner)
    # Without the first calls that lost, what is late would stay at a second for ever.
    for _ in range(100):
        inner.calls = 0
        inner.turns = [Turn(STALL), Turn(3)]
        await model.request(ASKING)
    late = model._late()
    assert late is not None
    assert late >= 4


@VIRTUAL
async def test_after_a_refusal_nothing_is_hedged_for_a_while() -> None:
    model = Hedge(inner := Talker(Turn()), share=1)
    await warmed_up(model, inner)
    inner.turns = [Turn(0.5, error=ModelRateLimitError("slow down", model="m")), Turn(STALL / 10)]
    with pytest.raises(ModelRateLimitError):
        await model.request(ASKING)
    await model.request(ASKING)
    assert inner.calls == 2
    await anyio.sleep(COOL_SECONDS)
    await model.request(ASKING)
    assert inner.calls == 4


@VIRTUAL
async def test_an_error_before_the_first_token_is_raised_at_once() -> None:
    model = Hedge(inner := Talker(Turn()))
    await warmed_up(model, inner)
    inner.turns = [Turn(0.1, error=ModelConnectionError("gone", model="m"))]
    with pytest.raises(ModelConnectionError):
        await model.request(ASKING)
    assert inner.calls == 1


@VIRTUAL
@pytest.mark.parametrize(("first", "second"), [(2.0, 10.0), (STALL, 1.0)])
async def test_while_one_may_still_answer_an_error_of_the_other_is_not_the_end(first: float, second: float) -> None:
    model = Hedge(inner := Talker(Turn()))
    await warmed_up(model, inner)
    gone = ModelConnectionError("gone", model="m")
    inner.turns = [Turn(first), Turn(second)]
    inner.turns[first > second].error = gone
    response, _ = await seconds_of(model)
    assert (response.usage.calls, inner.calls) == (2, 2)


@VIRTUAL
async def test_when_both_fail_the_error_is_the_first_calls() -> None:
    model = Hedge(inner := Talker(Turn()))
    await warmed_up(model, inner)
    inner.turns = [
        Turn(5, error=ModelConnectionError("first", model="m")),
        Turn(1, error=ModelConnectionError("second", model="m")),
    ]
    with pytest.raises(ModelConnectionError, match="first"):
        await model.request(ASKING)


@VIRTUAL
async def test_what_breaks_after_its_first_token_has_won_and_failed() -> None:
    model = Hedge(inner := Talker(Turn()))
    await warmed_up(model, inner)
    inner.turns = [Turn(STALL), Turn(1, 1, error=ModelConnectionError("broke", model="m"), fails_late=True)]
    with pytest.raises(ModelConnectionError, match="broke"):
        await model.request(ASKING, lambda _: None)
    assert inner.cancelled == 1


@VIRTUAL
async def test_requests_with_tools_are_passed_on_as_they_are() -> None:
    model = Hedge(inner := Talker(Turn()), share=1)
    await warmed_up(model, inner)
    inner.turns = [Turn(STALL)]
    tool = ToolSpec("look", "looks", {"type": "object"})
    await model.request(ModelRequest(ASKING.messages, tools=(tool,)))
    assert inner.calls == 1


async def test_a_model_that_does_not_stream_is_never_hedged() -> None:
    whole = ModelResponse(message=Message.assistant(""), finish="stop", usage=USAGE, model="m")
    model = Hedge(ScriptedModel(lambda _: whole))
    for _ in range(2 * OBSERVATIONS_NEEDED):
        await model.request(ASKING)
    assert model._late() is None


@VIRTUAL
async def test_a_run_that_is_cancelled_cancels_both() -> None:
    model = Hedge(inner := Talker(Turn()))
    await warmed_up(model, inner)
    inner.turns = [Turn(STALL)]
    with anyio.move_on_after(5):
        await model.request(ASKING)
    assert (inner.calls, inner.cancelled) == (2, 2)


@pytest.mark.parametrize("on_delta", [None, lambda _: None])
async def test_over_the_wire_the_loser_is_hung_up(on_delta: DeltaSink | None) -> None:
    def script(exchange: Exchange) -> Reply:
        return Silence() if exchange.number == OBSERVATIONS_NEEDED else ChatAnswer("ok")

    with FaultyServer(script) as server:
        model = Retry(Hedge(OpenAIModel("m", base_url=server.url), share=0.1))
        async with model.connect():
            with anyio.fail_after(PATIENCE):
                for _ in range(OBSERVATIONS_NEEDED):
                    await model.request(ASKING, on_delta)
                response = await model.request(ASKING, on_delta)
            assert response.message.text == "ok"
            assert response.usage.calls == 2
            silent = server.exchanges[OBSERVATIONS_NEEDED]
            assert server.wait_for(lambda: silent.hung_up is not None)
        assert server.wait_for(lambda: server.connections == 0)


def test_a_share_is_a_share() -> None:
    with pytest.raises(ConfigurationError, match="share=5"):
        Hedge(Talker(), share=5)


@pytest.mark.anyio
async def test_all_that_a_call_has_written_is_counted() -> None:
    heard: list[Delta] = []
    race = _Race(ScriptedModel(""), ModelRequest((Message.user("q"),)), heard.append)
    (call,) = race.calls
    for delta in (Delta("four"), Delta(reasoning="seven..")):
        race._on_delta_of(call, delta)
    assert call.written == 11
    assert heard == [Delta("four"), Delta(reasoning="seven..")]
