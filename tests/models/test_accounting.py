"""What calls are booked with: every attempt that was paid for, and no number that cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from contemplate import Contemplator, Limits, Message, Price, Usage
from contemplate.errors import AggregationError, ModelConnectionError
from contemplate.events import Event, ModelCalled
from contemplate.models import Delta, DeltaSink, Fallback, Model, ModelRequest, ModelResponse, OpenAIModel, Retry
from contemplate.models.accounting import MOST_TOKENS, accounted
from contemplate.models.wrappers import retry
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import RawBody, RawStream

pytestmark = pytest.mark.anyio

ASKING = ModelRequest((Message.user("hello"),))
COUNTS = st.sampled_from([0, -1, -(10**9), 7, MOST_TOKENS + 1, 10**30])
COSTS = st.sampled_from([None, 0.0, 0.5, -1.0, float("nan"), float("inf"), float("-inf")])


class Breaking:
    """Writes `before` and breaks off, so many times; then answers."""

    def __init__(self, times: int, *, before: str = "a" * 300, name: str = "m", price: Price | None = None) -> None:
        self.name = name
        self.price = price
        self._times = times
        self._before = before

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        if self._times > 0:
            self._times -= 1
            if on_delta is not None:
                on_delta(Delta(self._before))
            raise ModelConnectionError("broke off", model=self.name)
        usage = Usage(calls=1, input_tokens=50, output_tokens=2, cost_usd=None)
        return ModelResponse(message=Message.assistant("done"), finish="stop", usage=usage, model="served")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0)


def wrapped(kind: str, times: int) -> Model:
    if kind == "retry":
        return Retry(Breaking(times))
    if kind == "fallback":
        return Fallback([*(Breaking(1, name=f"m{n}") for n in range(times)), Breaking(0, name="last")])
    return Fallback([Retry(Breaking(times, name="one"), attempts=times), Breaking(0, name="two")])


@pytest.mark.parametrize("kind", ["retry", "fallback", "both"])
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_attempts_that_broke_off_are_booked(kind: str, times: int) -> None:
    response = await wrapped(kind, times).request(ASKING, lambda _: None)
    usage = response.usage
    if kind == "both":
        # The attempts of the one model broke off as one, which wrote all of it.
        assert (usage.calls, usage.output_tokens) == (2, 2 + 100 * times)
    else:
        assert (usage.calls, usage.input_tokens, usage.output_tokens) == (1 + times, 50 * (1 + times), 2 + 100 * times)
    # Who does not listen knows of no pieces.
    assert (await wrapped(kind, times).request(ASKING)).usage.calls == 1


async def test_they_are_booked_at_the_price_of_their_model() -> None:
    dear, cheap = Price(input=100, output=1000), Price(input=1, output=1)
    model = Fallback([Breaking(1, price=dear), Breaking(0, price=cheap)])
    usage = (await model.request(ASKING, lambda _: None)).usage
    # That of the answer is not known to the wrapper; the run books it at the higher price.
    assert usage.cost_usd is None
    assert model.price is not None
    assert model.price.priced(usage).cost_usd >= dear.cost(Usage(input_tokens=50, output_tokens=100))  # type: ignore[operator]


async def test_a_run_that_fails_has_booked_them_too() -> None:
    events: list[Event] = []
    mind = Contemplator(Retry(Breaking(9), attempts=3), mode="instant", stream=True, on_event=events.append)
    with pytest.raises(AggregationError, match="broke off") as caught:
        await mind.run("?")
    assert caught.value.partial is not None
    usage = caught.value.partial.usage
    assert (usage.calls, usage.output_tokens) == (3, 300)


async def test_who_answered_behind_a_fallback_is_told() -> None:
    events: list[Event] = []
    model = Fallback([Breaking(1, name="one"), Retry(Breaking(0, name="two"))])
    mind = Contemplator(model, mode="instant", journal="memory:", on_event=events.append)
    for _ in range(2):
        # The second time from the journal.
        result = await mind.run("?", run_id="r")
        assert [each.model for each in result.tasks] == ["two"]
    assert [each.model for each in events if isinstance(each, ModelCalled)] == ["two"]
    assert [each.model for each in (await mind.replay("r")).tasks] == ["two"]


# Numbers that cannot be true


@given(st.builds(Usage, calls=COUNTS, input_tokens=COUNTS, cached_input_tokens=COUNTS, output_tokens=COUNTS,
                 reasoning_tokens=COUNTS, cost_usd=COSTS))  # fmt: skip
def test_no_usage_lifts_a_limit(usage: Usage) -> None:
    response = ModelResponse(message=Message.assistant("answer"), finish="stop", usage=usage, model="m")
    booked = accounted(response, ASKING)
    assert booked.calls >= 1
    assert 0 <= booked.cached_input_tokens <= booked.input_tokens <= MOST_TOKENS * booked.calls
    assert 0 <= booked.reasoning_tokens <= booked.output_tokens <= MOST_TOKENS * booked.calls
    assert booked.cost_usd is None or 0 <= booked.cost_usd < float("inf")
    price = Price(input=1, output=1, cached_input=0)
    assert price.cost(booked) >= 0
    assert accounted(response.model_copy(update={"usage": booked}), ASKING) == booked


async def test_usage_of_any_model_is_checked() -> None:
    class Lying:
        name = "liar"

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            usage = Usage(calls=-5, input_tokens=-(10**6), output_tokens=-(10**6), cost_usd=-9.0)
            return ModelResponse(message=Message.assistant("word " * 100), finish="stop", usage=usage, model="m")

    result = await Contemplator(Lying(), mode="instant").run("?")
    assert result.usage.calls == 1
    assert result.usage.output_tokens > 100
    assert result.usage.input_tokens > 0
    limited = await Contemplator(Lying(), mode="contemplating", limits=Limits(calls=1)).run("?")
    assert (limited.usage.calls, limited.stopped_by) == (1, "calls")


def completion(usage: Any, *, stream: bool) -> RawBody | RawStream:
    choice = {"delta" if stream else "message": {"content": "an answer of several words"}, "finish_reason": "stop"}
    body = to_json({"choices": [choice], "usage": usage}, inf_nan_mode="constants")
    return RawStream(b"data: %b\n\n" % body) if stream else RawBody(body)


USAGES: Sequence[Any] = [
    None,
    {},
    "none",
    5,
    [],
    {"prompt_tokens": -5, "completion_tokens": -50},
    {"prompt_tokens": 0, "completion_tokens": 0},
    {"prompt_tokens": None, "completion_tokens": None},
    {"prompt_tokens": "many", "completion_tokens": {}},
    {"prompt_tokens": 10**30, "completion_tokens": 10**30},
    {"prompt_tokens": 1.5, "completion_tokens": True, "cost": "free"},
    {"prompt_tokens_details": 5, "completion_tokens_details": [1]},
    {"prompt_tokens_details": {"cached_tokens": -7}, "completion_tokens_details": {"reasoning_tokens": "x"}},
    {"cost": -1.0},
    {"cost": float("nan")},
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("usage", USAGES, ids=str)
async def test_odd_usage_costs_no_answer(usage: Any, stream: bool) -> None:
    with FaultyServer(completion(usage, stream=stream)) as server:
        model = OpenAIModel("m", base_url=server.url, api_key="key")
        response = await model.request(ASKING, (lambda _: None) if stream else None)
    assert response.message.text == "an answer of several words"
    counts = response.usage
    assert counts.calls == 1
    assert 0 < counts.input_tokens < 100
    assert 0 < counts.output_tokens < 100
    assert (counts.cached_input_tokens, counts.reasoning_tokens, counts.cost_usd) == (0, 0, None)


def test_an_unknown_cost_stays_unknown_and_a_known_one_is_kept() -> None:
    known, unknown = Usage(calls=1, cost_usd=0.5), Usage(calls=1, cost_usd=None)
    assert (known - known).cost_usd == 0
    assert (known - unknown).cost_usd is (unknown - known).cost_usd is (unknown - unknown).cost_usd is None
    price = Price(input=1, output=2)
    assert price.priced(known) == known
    assert price.priced(Usage(calls=1, input_tokens=10, output_tokens=5, cost_usd=None)).cost_usd == 2e-5
