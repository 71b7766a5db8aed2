"""`Retry`: how often, how long, and when no more."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import anyio
import pytest
import trio.testing

from contemplate import Contemplator, Message, aggregators, planners
from contemplate.errors import AggregationError, ConfigurationError, ModelError, ModelRateLimitError, ModelServerError
from contemplate.models import ModelRequest, OpenAIModel, Retry
from contemplate.models.wrappers import retry as module
from contemplate.models.wrappers.base import Allowance
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import HttpError

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio

ASKING = ModelRequest((Message.user("hello"),))
VIRTUAL = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual clock")],
)


def failing(retry_after: float | None = None) -> ScriptedModel:
    return ScriptedModel(lambda _: ModelRateLimitError("slow down", model="m", retry_after=retry_after))


def flaky(failures: Callable[[int], bool]) -> ScriptedModel:
    """A model whose calls fail where `failures` says so of their number."""
    asked = iter(range(1_000_000))
    return ScriptedModel(lambda _: ModelServerError("no", model="m") if failures(next(asked)) else "yes")


@VIRTUAL
@pytest.mark.parametrize("share", [0.125, None])
async def test_retries_are_a_share_of_the_calls(share: float | None) -> None:
    inner = failing()
    model = Retry(inner) if share is None else Retry(inner, attempts=4, share=share)
    for _ in range(1000):
        with pytest.raises(ModelRateLimitError):
            await model.request(ASKING)
    retries = len(inner.requests) - 1000
    assert retries == pytest.approx(1000 * (0.2 if share is None else share) + module.FIRST_RETRIES, abs=1)


@VIRTUAL
async def test_a_call_is_made_four_times_at_most() -> None:
    inner = failing()
    with pytest.raises(ModelRateLimitError):
        await Retry(inner).request(ASKING)
    assert len(inner.requests) == 4


@VIRTUAL
async def test_what_was_saved_has_an_end() -> None:
    outage = 2000
    inner = flaky(lambda number: number >= outage)
    model = Retry(inner, attempts=4, share=0.5)
    for _ in range(outage):
        await model.request(ASKING)
    for _ in range(100):
        with pytest.raises(ModelServerError):
            await model.request(ASKING)
    assert len(inner.requests) - outage - 100 <= module.SAVED_RETRIES + 100 * 0.5


@VIRTUAL
async def test_without_a_share_there_are_the_first_retries_only() -> None:
    inner = failing()
    model = Retry(inner, share=0)
    for _ in range(20):
        with pytest.raises(ModelError):
            await model.request(ASKING)
    assert len(inner.requests) == 20 + module.FIRST_RETRIES


@VIRTUAL
async def test_successes_cost_nothing_of_the_allowance() -> None:
    inner = flaky(lambda number: number % 10 == 9)
    model = Retry(inner, share=0.2)
    for _ in range(500):
        assert (await model.request(ASKING)).message.text == "yes"
    assert len(inner.requests) > 500


@VIRTUAL
async def test_a_wait_that_ends_after_the_deadline_is_not_begun() -> None:
    inner = failing(retry_after=10)
    started = anyio.current_time()
    with anyio.fail_after(9), pytest.raises(ModelRateLimitError):
        await Retry(inner).request(ASKING)
    assert (len(inner.requests), anyio.current_time() - started) == (1, 0)
    with anyio.fail_after(15), pytest.raises(ModelRateLimitError):
        await Retry(inner).request(ASKING)
    assert len(inner.requests) == 3
    assert anyio.current_time() - started == pytest.approx(10)


@VIRTUAL
async def test_a_wait_that_does_not_fit_costs_no_allowance() -> None:
    model = Retry(inner := failing(retry_after=10), share=0)
    for _ in range(50):
        with anyio.fail_after(5), pytest.raises(ModelRateLimitError):
            await model.request(ASKING)
    with pytest.raises(ModelRateLimitError):
        await model.request(ASKING)
    assert len(inner.requests) == 50 + 4


@VIRTUAL
async def test_the_server_is_not_asked_before_the_time_it_named() -> None:
    times: list[float] = []

    def reply(_: ModelRequest) -> ModelError:
        times.append(anyio.current_time())
        return ModelRateLimitError("slow down", model="m", retry_after=7)

    with pytest.raises(ModelRateLimitError):
        await Retry(ScriptedModel(reply), attempts=3).request(ASKING)
    assert [later - earlier for earlier, later in pairwise(times)] == [7, 7]


@VIRTUAL
async def test_runs_share_the_allowance_of_one_object() -> None:
    inner = failing()
    model = Retry(inner, share=0.1)

    async def run() -> None:
        for _ in range(50):
            with pytest.raises(ModelRateLimitError):
                await model.request(ASKING)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(run)
    assert len(inner.requests) <= 200 + 200 * 0.1 + module.FIRST_RETRIES


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1.5s"}, 1.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 20),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "6m0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1s?"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        ({"retry-after": "2", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s"}, 2),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "3s",
            },
            3,
        ),
    ],
)
async def test_rate_limit_headers(headers: dict[str, str], seconds: float | None) -> None:
    with FaultyServer(HttpError(429, headers=headers)) as server, pytest.raises(ModelRateLimitError) as caught:
        await OpenAIModel("m", base_url=server.url).request(ASKING)
    assert caught.value.retry_after == (None if seconds is None else pytest.approx(seconds))


async def test_over_the_wire_within_a_deadline() -> None:
    too_long = 2 * int(PATIENCE)
    server = FaultyServer(HttpError(429, headers={"retry-after": str(too_long)}))
    with server, anyio.fail_after(PATIENCE), pytest.raises(ModelRateLimitError):
        await Retry(OpenAIModel("m", base_url=server.url), longest_wait=too_long).request(ASKING)
    assert len(server.exchanges) == 1


@VIRTUAL
async def test_a_run_has_retries_of_its_own() -> None:
    inner = flaky(lambda number: number >= 1000)
    model = Retry(inner, share=0.25, attempts=8)
    for _ in range(1000):
        await model.request(ASKING)
    mind = Contemplator(model, planner=planners.sample(20), aggregator=aggregators.vote(key=str))
    with pytest.raises(AggregationError):
        await mind.run("q")
    asked = len(inner.requests) - 1000
    assert asked == 20 + 20 * 0.25 + module.FIRST_RETRIES, "others saved up a hundred, which are not this run's"


async def test_a_share_is_not_negative() -> None:
    with pytest.raises(ConfigurationError, match="share=-1"):
        Retry(failing(), share=-1)


async def test_an_allowance() -> None:
    allowance = Allowance(0.5, start=1, most=1.5)
    assert [allowance.spend(), allowance.spend()] == [True, False]
    for _ in range(10):
        allowance.earn()
    assert [allowance.spend(), allowance.spend()] == [True, False]
