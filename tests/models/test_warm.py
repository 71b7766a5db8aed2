"""`Warm`: who goes first, who waits for whom, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from contemplate import ImagePart, Message, Usage
from contemplate.errors import ConfigurationError, ModelConnectionError, ModelError
from contemplate.models import (
    Delta,
    DeltaSink,
    Limit,
    ModelRequest,
    ModelResponse,
    OpenAIModel,
    OutputSchema,
    Retry,
    ToolSpec,
    Warm,
)
from contemplate.models.tokens import BYTES_PER_TOKEN
from contemplate.models.wrappers.prefixes import (
    MOST_REMEMBERED,
    Beginnings,
    beginning,
    beginnings_of,
)
from contemplate.models.wrappers.warm import LEAST_TOKENS, LONGEST_WAIT, WARM_SECONDS
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import ChatAnswer
from contemplate.usage import FREE, Price

from ..patience import PATIENCE
from ..support import steps

pytestmark = pytest.mark.anyio

LONG = "word " * LEAST_TOKENS
SEVERAL = 8
VIRTUAL = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual clock")],
)


def asking(own: object, shared: str = LONG) -> ModelRequest:
    return ModelRequest((Message.system(shared), Message.user(str(own))))


@dataclass(eq=False)
class Call:
    """A call that says its first piece when `read` is set, and ends when `over` is."""

    own: str
    error: Exception | None = None
    streamed: bool = False
    read: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)

    def finish(self) -> None:
        self.read.set()
        self.over.set()


class Reader:
    """A model whose calls are told when to go on."""

    name = "reader"

    def __init__(self, price: Price | None = None) -> None:
        self.price = price
        self.calls: list[Call] = []

    @property
    def asked(self) -> list[str]:
        return [call.own for call in self.calls]

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        call = Call(request.messages[-1].text, streamed=on_delta is not None)
        self.calls.append(call)
        await call.read.wait()
        if call.error is not None:
            raise call.error
        if on_delta is not None:
            on_delta(Delta("read"))
        await call.over.wait()
        return ModelResponse(message=Message.assistant("read"), finish="stop", usage=Usage(calls=1), model=self.name)


class Asked:
    """Several calls of one model at the same time; each can be cancelled by itself."""

    def __init__(self, model: Warm) -> None:
        self.model = model
        self.scopes: dict[str, anyio.CancelScope] = {}
        self.ended: dict[str, str] = {}

    async def __call__(self, request: ModelRequest) -> None:
        own = request.messages[-1].text
        with anyio.CancelScope() as self.scopes[own]:
            try:
                await self.model.request(request)
                self.ended[own] = "answered"
            except ModelError:
                self.ended[own] = "failed"
        self.ended.setdefault(own, "cancelled")


async def started(group: anyio.abc.TaskGroup, asked: Asked, *requests: ModelRequest) -> None:
    for request in requests:
        group.start_soon(asked, request)
        await steps(3)


async def test_the_others_wait_for_the_first_token_and_no_longer() -> None:
    asked = Asked(Warm(inner := Reader()))
    async with anyio.create_task_group() as group:
        await started(group, asked, *map(asking, range(SEVERAL)))
        assert inner.asked == ["0"]
        assert inner.calls[0].streamed, "otherwise its first token could not be seen"
        inner.calls[0].read.set()
        await steps(5)
        assert sorted(inner.asked) == [str(number) for number in range(SEVERAL)]
        assert asked.ended == {}
        assert not any(call.streamed for call in inner.calls[1:])
        for call in inner.calls:
            call.finish()
    assert set(asked.ended.values()) == {"answered"}


@pytest.mark.parametrize(
    "other",
    [
        asking("other", LONG[: LEAST_TOKENS * BYTES_PER_TOKEN - 50]),
        asking("other", f"another {LONG}"),
        ModelRequest((Message.user(LONG), Message.user("other"))),
        replace(asking("other"), tools=(ToolSpec("look", "looks", {"type": "object"}),)),
        replace(asking("other"), output_schema=OutputSchema("n", {"type": "integer"})),
    ],
    ids=["short", "another beginning", "another role", "tools", "schema"],
)
async def test_nobody_waits_for_what_is_not_shared(other: ModelRequest) -> None:
    asked = Asked(Warm(inner := Reader()))
    async with anyio.create_task_group() as group:
        await started(group, asked, asking("first"), other)
        assert inner.asked == ["first", "other"]
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("price", "waits"),
    [
        (None, True),
        (FREE, True),
        (Price(input=1, cached_input=0.1, output=4), True),
        (Price(input=1, cached_input=1, output=4), False),
        (Price(input=1, output=4), False),
    ],
    ids=["unknown", "free", "cheaper", "as dear", "not said"],
)
async def test_nobody_waits_for_what_saves_nothing(price: Price | None, waits: bool) -> None:
    asked = Asked(Warm(inner := Reader(price)))
    async with anyio.create_task_group() as group:
        await started(group, asked, asking("first"), asking("second"))
        assert len(inner.calls) == 2 - waits
        group.cancel_scope.cancel()


async def test_when_the_first_fails_the_next_goes_first() -> None:
    asked = Asked(Warm(inner := Reader()))
    async with anyio.create_task_group() as group:
        await started(group, asked, *map(asking, range(4)))
        inner.calls[0].error = ModelConnectionError("gone", model="m")
        inner.calls[0].read.set()
        await steps(5)
        assert inner.asked == ["0", "1"]
        inner.calls[1].read.set()
        await steps(5)
        assert sorted(inner.asked) == ["0", "1", "2", "3"]
        for call in inner.calls:
            call.finish()
    assert asked.ended == {"0": "failed", "1": "answered", "2": "answered", "3": "answered"}


async def test_when_the_first_is_cancelled_the_next_goes_first() -> None:
    asked = Asked(Warm(inner := Reader()))
    async with anyio.create_task_group() as group:
        await started(group, asked, *map(asking, range(4)))
        asked.scopes["0"].cancel()
        await steps(5)
        assert inner.asked == ["0", "1"]
        # One that waits, and then the one that goes first together with its heir, which just learns that it is one.
        asked.scopes["2"].cancel()
        asked.scopes["1"].cancel()
        await steps(1)
        asked.scopes["3"].cancel()
        await started(group, asked, asking("4"))
        await steps(5)
        assert inner.asked[-1] == "4"
        inner.calls[-1].finish()
    assert asked.ended.pop("4") == "answered"
    assert set(asked.ended.values()) == {"cancelled"}


async def test_an_heir_that_is_cancelled_has_an_heir_too() -> None:
    beginnings = Beginnings()
    assert await beginnings.leads(b"key")
    scopes = [anyio.CancelScope() for _ in range(3)]
    led: list[int] = []

    async def wait(number: int) -> None:
        with scopes[number]:
            if await beginnings.leads(b"key"):
                led.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait, number)
            await steps(3)
        beginnings.given_up(b"key")
        # Before it learns that it is the heir.
        scopes[0].cancel()
        await steps(5)
        assert led == [1] or led == [0], "who learns of it in time may go on"
        if led == [0]:
            beginnings.given_up(b"key")
            await steps(5)
        assert led[-1] == 1
        beginnings.warmed(b"key")
    assert led[-1] == 1


@pytest.mark.parametrize("count", range(14))
async def test_wherever_the_first_ones_are_cancelled_the_last_one_is_answered(count: int) -> None:
    asked = Asked(Warm(ScriptedModel("well " * 4)))
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(asked, asking(number))
            await steps(2)
            for number in range(3):
                await steps(count)
                asked.scopes[str(number)].cancel()
    assert asked.ended["3"] == "answered"


async def test_a_model_that_does_not_stream_lets_the_others_go_when_it_has_answered() -> None:
    order: list[str] = []

    def script(request: ModelRequest) -> ModelResponse:
        order.append(request.messages[-1].text)
        return ModelResponse(message=Message.assistant(""), finish="stop", usage=Usage(calls=1), model="m")

    asked = Asked(Warm(ScriptedModel(script)))
    async with anyio.create_task_group() as group:
        for number in range(SEVERAL):
            group.start_soon(asked, asking(number))
    assert len(order) == SEVERAL
    assert set(asked.ended.values()) == {"answered"}


async def test_pieces_reach_whoever_listens() -> None:
    model = Warm(ScriptedModel("to be or not to be", chunk=4))
    for _ in range(2):
        deltas: list[Delta] = []
        await model.request(asking("q"), deltas.append)
        assert "".join(delta.text for delta in deltas) == "to be or not to be"


@VIRTUAL
async def test_nobody_is_held_back_for_longer_than_was_said() -> None:
    asked = Asked(Warm(inner := Reader()))
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        await started(group, asked, *map(asking, range(SEVERAL)))
        await anyio.sleep(LONGEST_WAIT - 0.1)
        assert inner.asked == ["0"]
        await anyio.sleep(0.2)
        assert len(inner.calls) == SEVERAL
        # Who comes now waits anew: the first one may be read at any moment.
        await started(group, asked, asking("late"))
        assert len(inner.calls) == SEVERAL
        for call in inner.calls:
            call.finish()
        await steps(5)
        inner.calls[-1].finish()
    assert set(asked.ended.values()) == {"answered"}
    assert anyio.current_time() - began < 2 * LONGEST_WAIT


@VIRTUAL
async def test_what_was_read_stays_warm_for_a_while() -> None:
    model = Warm(ScriptedModel("ok"))
    beginnings = beginnings_of(model, WARM_SECONDS)
    key = beginning(asking(0), LEAST_TOKENS)
    assert key is not None
    for _ in range(3):
        await model.request(asking(0))
        await anyio.sleep(WARM_SECONDS - 1)
        assert not await beginnings.leads(key), "each use makes it last longer"
    await anyio.sleep(WARM_SECONDS + 1)
    assert await beginnings.leads(key)


async def test_what_is_remembered_is_bounded() -> None:
    beginnings = Beginnings()
    for number in range(3 * MOST_REMEMBERED):
        key = number.to_bytes(4)
        assert await beginnings.leads(key)
        beginnings.warmed(key)
    assert len(beginnings._warm) == MOST_REMEMBERED
    assert not beginnings._lines


@pytest.mark.parametrize("fails", [False, True])
async def test_a_thousand_calls(fails: bool) -> None:
    woken = 0

    def script(request: ModelRequest) -> str | Exception:
        nonlocal woken
        woken += 1
        return ModelConnectionError("gone", model="m") if fails else "ok"

    model = Warm(ScriptedModel(script), longest_wait=3600)
    asked = Asked(model)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for number in range(1000):
                group.start_soon(asked, asking(number))
    assert woken == 1000
    assert len(asked.ended) == 1000
    assert set(asked.ended.values()) == {"failed" if fails else "answered"}
    assert not beginnings_of(model)._lines


async def test_around_other_wrappers() -> None:
    with FaultyServer(ChatAnswer("ok")) as server:
        ours = OpenAIModel("m", base_url=server.url)
        model = Retry(Warm(Limit(ours, concurrency=2, account="test_warm")))
        async with model.connect(), anyio.create_task_group() as group:
            for number in range(SEVERAL):
                group.start_soon(model.request, asking(number))
        assert len(server.exchanges) == SEVERAL


def test_each_event_loop_is_by_itself() -> None:
    model = Warm(Reader())

    async def left_in_the_middle() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(model.request, asking(0))
                group.start_soon(model.request, asking(1))
                await steps(5)
                scope.cancel()

    async def again() -> None:
        assert await beginnings_of(model, WARM_SECONDS).leads(beginning(asking(0), LEAST_TOKENS) or b"")

    for backend in ("asyncio", "trio"):
        anyio.run(left_in_the_middle, backend=backend)
        anyio.run(again, backend=backend)


@pytest.mark.parametrize(
    "made", [lambda: Warm(Reader(), least_tokens=0), lambda: Warm(Reader(), longest_wait=-1)], ids=["tokens", "wait"]
)
def test_numbers_that_are_too_small(made: Callable[[], Warm]) -> None:
    with pytest.raises(ConfigurationError, match="at least 1 and 0"):
        made()


@given(st.text(), st.text(), st.text())
def test_prompts_are_alike_if_they_begin_alike(shared: str, one: str, other: str) -> None:
    tokens = 8
    first, second = (beginning(ModelRequest((Message.user(shared + own),)), tokens) for own in (one, other))
    # The role stands before the text.
    length = tokens * BYTES_PER_TOKEN - len("\0user\0")
    written, otherwise = ((shared + own).encode(errors="surrogatepass") for own in (one, other))
    assert (first is None) == (len(written) < length)
    if first is not None and second is not None:
        assert (first == second) == (written[:length] == otherwise[:length])


def test_prompts_with_other_images_are_not_alike() -> None:
    red, blue = (Message.user(LONG, (ImagePart(data=raw),)) for raw in (b"red", b"blue"))
    keys = [beginning(ModelRequest((message,)), LEAST_TOKENS) for message in (red, blue, red)]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.anyio
async def test_who_is_cancelled_while_he_waits_does_not_go_on() -> None:
    beginnings, went_on = Beginnings(), []
    assert await beginnings.leads(b"a")

    async def wait() -> None:
        went_on.append(await beginnings.leads(b"a"))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await steps(3)
        assert beginnings.waiting(b"a") == 1
        group.cancel_scope.cancel()
    assert went_on == []
    assert beginnings.waiting(b"a") == 0
