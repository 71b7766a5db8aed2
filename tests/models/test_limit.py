"""`Limit`: who waits, for how long, and who goes first."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from contemplate import Message, ModelSettings, Usage
from contemplate.errors import ConfigurationError, ModelRateLimitError, ModelServerError
from contemplate.models import (
    Delta,
    DeltaSink,
    Limit,
    ModelRequest,
    ModelResponse,
    OpenAIModel,
    Retry,
    RunMark,
    current_run,
)
from contemplate.models.wrappers import retry as module
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import ChatAnswer, Exchange, HttpError, Reply

from ..patience import PATIENCE
from ..support import steps

pytestmark = pytest.mark.anyio

VIRTUAL = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual clock")],
)


def asking(text: str = "hello", max_tokens: int | None = None) -> ModelRequest:
    return ModelRequest((Message.user(text),), settings=ModelSettings(max_tokens=max_tokens))


class Slow:
    """A model that takes `seconds`, and remembers when each call came, and how many were out together."""

    def __init__(self, seconds: float = 1.0, *, usage: Usage | None = None, name: str = "slow") -> None:
        self.name = name
        self.came: list[tuple[str, float]] = []
        self.out = 0
        self.most_out = 0
        self.refuse: Callable[[], float | None] = lambda: None
        self._seconds = seconds
        self._usage = usage or Usage(calls=1)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.came.append((request.messages[-1].text, anyio.current_time()))
        refusal = self.refuse()
        if refusal is not None:
            raise ModelRateLimitError("slow down", model=self.name, retry_after=refusal)
        self.out += 1
        self.most_out = max(self.most_out, self.out)
        try:
            if on_delta is not None:
                on_delta(Delta("well"))
            await anyio.sleep(self._seconds)
        finally:
            self.out -= 1
        return ModelResponse(message=Message.assistant("well"), finish="stop", usage=self._usage, model=self.name)

    @property
    def times(self) -> list[float]:
        return [at - self.came[0][1] for _, at in self.came]


async def together(*calls: Callable[[], Awaitable[object]]) -> None:
    async def run(call: Callable[[], Awaitable[object]]) -> None:
        await call()

    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(run, call)


@VIRTUAL
async def test_requests_a_minute() -> None:
    inner = Slow(0.1)
    model = Limit(inner, requests_per_minute=6)
    await together(*[lambda: model.request(asking())] * 9)
    assert inner.times == pytest.approx([0] * 6 + [10, 20, 30], abs=1e-3)


@VIRTUAL
async def test_tokens_a_minute_are_estimated_and_corrected() -> None:
    inner = Slow(0, usage=Usage(calls=1, input_tokens=10, output_tokens=90))
    model = Limit(inner, tokens_per_minute=600)
    for _ in range(8):
        await model.request(asking(max_tokens=100))
    # Each was estimated at 109, and took 100.
    assert inner.times == pytest.approx([0] * 5 + [0.9, 10.9, 20.9], abs=0.2)


@VIRTUAL
async def test_a_call_larger_than_a_minute_waits_for_a_full_one_and_leaves_a_debt() -> None:
    inner = Slow(0, usage=Usage(calls=1, input_tokens=0, output_tokens=1200))
    model = Limit(inner, tokens_per_minute=600)
    for _ in range(3):
        await model.request(asking("", max_tokens=1200))
    assert inner.times == pytest.approx([0, 120, 240], abs=1e-3)


@VIRTUAL
async def test_without_a_maximum_an_answer_is_expected_to_be_as_long_as_others() -> None:
    inner = Slow(0, usage=Usage(calls=1, output_tokens=10))
    model = Limit(inner, tokens_per_minute=1000)
    for _ in range(60):
        await model.request(asking(""))
    begun = inner.times[-1]
    await together(*[lambda: model.request(asking(""))] * 20)
    assert inner.times[-1] - begun < 5


@VIRTUAL
async def test_calls_at_one_moment() -> None:
    inner = Slow(1)
    model = Limit(inner, concurrency=3)
    await together(*[lambda: model.request(asking())] * 10)
    assert inner.most_out == 3
    assert inner.times == pytest.approx([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])


@VIRTUAL
async def test_models_of_one_account_share_its_limits() -> None:
    one, other, third = Slow(name="a"), Slow(name="b"), Slow(name="c")
    models = [Limit(inner, concurrency=1, account="us") for inner in (one, other)]
    alone = Limit(third, concurrency=1)
    started = anyio.current_time()
    await together(*[lambda model=model: model.request(asking()) for model in (*models, alone)])
    assert sorted([one.came[0][1] - started, other.came[0][1] - started]) == pytest.approx([0, 1])
    assert third.came[0][1] - started == 0


@VIRTUAL
async def test_a_small_run_does_not_wait_for_a_large_one() -> None:
    inner = Slow(1)
    model = Limit(inner, concurrency=4)
    done: dict[str, float] = {}
    started = anyio.current_time()

    asked: dict[str, list[str]] = {"large": [], "small": []}

    async def call(name: str, number: int) -> None:
        asked[name].append(f"{name}{number}")
        await model.request(asking(asked[name][-1]))

    async def run(name: str, calls: int) -> None:
        current_run.set(RunMark())
        await together(*[lambda number=number: call(name, number) for number in range(calls)])
        done[name] = anyio.current_time() - started

    async with anyio.create_task_group() as group:
        group.start_soon(run, "large", 800)
        await anyio.sleep(10)
        group.start_soon(run, "small", 3)
    assert done["small"] <= 10 + 3
    assert done["large"] == pytest.approx(803 / 4, abs=1)
    came = dict(inner.came)
    for name in ("large", "small"):
        times = [came[text] for text in asked[name]]
        assert times == sorted(times)


@VIRTUAL
async def test_refusals_halve_what_is_out_and_answers_bring_it_back() -> None:
    inner = Slow(1)
    inner.refuse = lambda: 0 if inner.out >= 8 else None
    model = Retry(Limit(inner, concurrency=64), attempts=30, share=30)
    await together(*[lambda: model.request(asking())] * 200)
    assert inner.most_out == 8
    refused = len(inner.came) - 200
    # A wave of 56 at first; then the window has found out, and tries one more now and then.
    assert refused <= 56 + 40


@VIRTUAL
async def test_a_pause_holds_for_all() -> None:
    inner = Slow(1)
    refusals = iter([20.0])
    inner.refuse = lambda: next(refusals, None)
    model = Limit(inner)
    with pytest.raises(ModelRateLimitError):
        await model.request(asking())
    await together(*[lambda: model.request(asking())] * 3)
    assert inner.times[:3] == pytest.approx([0, 20, 21])


@VIRTUAL
@pytest.mark.parametrize("on_delta", [None, lambda _: None])
async def test_a_long_pause_does_not_freeze_the_account(on_delta: DeltaSink | None) -> None:
    inner = Slow(5)
    inner.refuse = lambda: 7200.0 if len(inner.came) <= 2 else None
    model = Limit(inner, concurrency=8)
    for _ in range(2):
        with pytest.raises(ModelRateLimitError):
            await model.request(asking(), on_delta)
    await together(*[lambda: model.request(asking(), on_delta)] * 3)
    # A probe each minute; when the third begins to answer, the rest goes on; the window is small yet.
    assert inner.times[:3] == pytest.approx([0, 60, 120])
    assert max(inner.times) < 140


@VIRTUAL
async def test_a_call_that_waits_to_be_retried_takes_no_room() -> None:
    inner = Slow(1)
    refusals = iter([0.0])
    inner.refuse = lambda: next(refusals, None)
    model = Retry(Limit(inner, concurrency=1))
    await together(*[lambda: model.request(asking())] * 2)
    assert inner.times[1] < 1e-3


@VIRTUAL
async def test_a_failed_call_gives_its_place_back() -> None:
    model = Limit(ScriptedModel(lambda _: ModelServerError("no", model="m")), concurrency=1)
    for _ in range(3):
        with anyio.fail_after(1), pytest.raises(ModelServerError):
            await model.request(asking())


@pytest.mark.parametrize("waits_for", ["a call", "the clock"])
async def test_whoever_is_cancelled_gives_its_place_back(waits_for: str) -> None:
    inner = Slow(0)
    model = Limit(inner, **({"concurrency": 1} if waits_for == "a call" else {"requests_per_minute": 2400}))  # type: ignore[arg-type]
    for step in range(40):
        # One of three is cancelled after so many steps: in the line, just let in, or during its call.
        async with anyio.create_task_group() as group:
            scopes = [anyio.CancelScope() for _ in range(3)]

            async def call(scope: anyio.CancelScope) -> None:
                with scope:
                    await model.request(asking())

            for scope in scopes:
                group.start_soon(call, scope)
            for _ in range(step % 8):
                await anyio.lowlevel.checkpoint()
            scopes[step % 3].cancel()
        with anyio.fail_after(PATIENCE):
            await model.request(asking())
    assert inner.out == 0


@VIRTUAL
async def test_a_keeper_of_the_clock_that_leaves_hands_it_over() -> None:
    inner = Slow(0)
    model = Limit(inner, requests_per_minute=1)
    await model.request(asking())
    scopes = [anyio.CancelScope() for _ in range(4)]

    async def call(scope: anyio.CancelScope) -> None:
        with scope:
            await model.request(asking())

    with anyio.fail_after(70):
        async with anyio.create_task_group() as group:
            for scope in scopes:
                group.start_soon(call, scope)
                await anyio.lowlevel.checkpoint()
            await anyio.sleep(1)
            # The second is cancelled in the same moment as it is made keeper.
            scopes[0].cancel()
            scopes[1].cancel()
            await anyio.sleep(1)
            scopes[2].cancel()
    assert inner.times == pytest.approx([0, 60], abs=1e-3)


@VIRTUAL
async def test_extra_calls_of_a_hedge_are_counted() -> None:
    inner = Slow(0, usage=Usage(calls=2))
    model = Limit(inner, requests_per_minute=6)
    for _ in range(4):
        await model.request(asking())
    assert inner.times == pytest.approx([0, 0, 0, 10], abs=1e-3)


async def test_an_account_has_one_set_of_limits() -> None:
    await Limit(ScriptedModel("a"), concurrency=1).request(asking())
    with pytest.raises(ConfigurationError, match="account .scripted. has the limits"):
        await Limit(ScriptedModel("a"), concurrency=2).request(asking())


@VIRTUAL
@pytest.mark.parametrize("burst", [100, 400])
async def test_a_burst_loses_nothing_at_a_provider_that_takes_few(burst: int) -> None:
    """Without a known concurrency, and with the usual share of retries."""
    inner = Slow(1)
    inner.refuse = lambda: 0.1 if inner.out >= 20 else None
    model = Retry(Limit(inner, account=f"burst of {burst}"))
    await together(*[lambda: model.request(asking())] * burst)
    assert inner.most_out == 20
    assert model._allowance._left >= module.FIRST_RETRIES


@VIRTUAL
async def test_a_refusal_of_a_call_that_is_alone_is_its_error() -> None:
    inner = Slow(1)
    inner.refuse = lambda: 0
    model = Limit(inner, account="alone")
    with pytest.raises(ModelRateLimitError):
        await model.request(asking())
    assert len(inner.came) == 1


@VIRTUAL
async def test_a_refused_call_does_not_wait_beyond_the_deadline() -> None:
    inner = Slow(10)
    inner.refuse = lambda: 30 if inner.out else None
    model = Limit(inner, account="deadline")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(model.request, asking())
            await anyio.sleep(1)
            with pytest.raises(ModelRateLimitError):
                await model.request(asking())


@VIRTUAL
@pytest.mark.parametrize(("window", "most"), [(True, 300), (False, 599)])
async def test_what_fits_in_the_first_minute(window: bool, most: int) -> None:
    inner = Slow(0)
    model = Limit(inner, requests_per_minute=300, window=window, account=f"minute {window}")
    await together(*[lambda: model.request(asking())] * 1000)
    times = [at - inner.times[0] for at in inner.times]
    assert abs(sum(at < 60 - 1e-3 for at in times) - most) <= 1
    for first, last in zip(times, times[300:], strict=False):
        assert not window or last - first >= 60 - 1e-3


@VIRTUAL
async def test_a_window_gives_back_what_was_not_needed() -> None:
    inner = Slow(0, usage=Usage(calls=1, input_tokens=10, output_tokens=0))
    model = Limit(inner, tokens_per_minute=1000, window=True, account="window of tokens")
    for _ in range(5):
        await model.request(asking(max_tokens=900))
    assert inner.times[-1] == inner.times[0]


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        Limit(ScriptedModel("a"), concurrency=0)


async def test_over_the_wire_all_are_answered_by_a_server_that_takes_few() -> None:
    lock, out = threading.Lock(), [0]

    class Crowded:
        async def send(self, connection: object, exchange: Exchange) -> None:
            with lock:
                out[0] += 1
                reply: Reply = (
                    ChatAnswer("ok", delay=0.02) if out[0] <= 4 else HttpError(429, headers={"retry-after": "0"})
                )
            try:
                await reply.send(connection, exchange)  # type: ignore[arg-type]
            finally:
                with lock:
                    out[0] -= 1

    with FaultyServer(Crowded()) as server:
        model = Retry(Limit(OpenAIModel("m", base_url=server.url), concurrency=32), attempts=10, share=1)
        with anyio.fail_after(PATIENCE):
            await together(*[lambda: model.request(asking())] * 60)
        answered = [exchange for exchange in server.exchanges if exchange.answered is not None]
        assert len(answered) >= 60


@pytest.mark.anyio
async def test_who_was_refused_makes_room_for_the_next() -> None:
    asked: list[str] = []
    go_on = anyio.Event()

    class Refusing:
        name = "refusing"

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            asked.append(request.messages[-1].text)
            await go_on.wait()
            raise ModelRateLimitError("slow down", model=self.name)

    model = Limit(Refusing(), concurrency=1, account="of who was refused")

    async def call(text: str) -> None:
        with pytest.raises(ModelRateLimitError):
            await model.request(asking(text))

    async with anyio.create_task_group() as group:
        group.start_soon(call, "first")
        await steps(5)
        group.start_soon(call, "second")
        await steps(5)
        assert asked == ["first"]
        go_on.set()
        await steps(20)
        assert asked == ["first", "second"]
        group.cancel_scope.cancel()
