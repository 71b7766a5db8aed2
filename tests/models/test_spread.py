"""`Spread`: when a prompt is read beforehand, who waits for it, and what is said to have been read. No real server."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.error import URLError

import anyio
import pytest

from contemplate import Message, ModelSettings, Usage
from contemplate.errors import ModelConnectionError
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.models.local.slots import Slots
from contemplate.models.local.spread import FEWEST_COPIES, LEAST_TOKENS, Spread

from ..support import steps

pytestmark = pytest.mark.anyio

SLOTS = 8
CONTEXT = 32_768
PROMPT_TOKENS = 1_000
LONG = "word " * LEAST_TOKENS


def asking(own: object, shared: str = LONG) -> ModelRequest:
    return ModelRequest((Message.system(shared), Message.user(str(own))), ModelSettings(max_tokens=50, seed=7))


class Server(Slots):
    """Slots that remember what is copied, and a model that knows what is in them."""

    name = "server"

    def __init__(self) -> None:
        super().__init__()
        self.busy = 0
        self.copied: list[tuple[int, tuple[int, ...]]] = []
        self.requests: list[ModelRequest] = []
        self.error: Exception | None = None
        self.unreachable = False
        self.gate: anyio.Event | None = None

    def idle(self) -> list[int]:
        if self.unreachable:
            raise URLError("gone")
        return list(range(self.busy, SLOTS))

    def copy(self, source: int, targets: Sequence[int]) -> int:
        self.copied.append((source, tuple(targets)))
        return len(targets)

    @property
    def readings(self) -> list[ModelRequest]:
        return [request for request in self.requests if request.settings.max_tokens == 1]

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.requests.append(request)
        await anyio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        cached = PROMPT_TOKENS - 1 if self.copied else 0
        usage = Usage(calls=1, input_tokens=PROMPT_TOKENS, cached_input_tokens=cached)
        return ModelResponse(message=Message.assistant("ok"), finish="stop", usage=usage, model=self.name)


@pytest.fixture
def server() -> Server:
    return Server()


async def together(model: Spread, *requests: ModelRequest) -> list[Usage]:
    said: list[Usage] = []

    async def call(request: ModelRequest) -> None:
        said.append((await model.request(request)).usage)

    async with anyio.create_task_group() as group:
        for request in requests:
            group.start_soon(call, request)
    return said


async def test_what_eight_calls_share_is_read_once(server: Server) -> None:
    model = Spread(server, server, CONTEXT)
    said = await together(model, *map(asking, range(8)))
    assert server.copied == [(0, tuple(range(1, 8)))]
    (reading,) = server.readings
    assert server.requests[0] is reading
    assert reading.settings == ModelSettings(max_tokens=1, seed=7, extra={"id_slot": 0})
    assert [each.settings for each in server.requests[1:]] == [ModelSettings(max_tokens=50, seed=7)] * 8
    # The first call's usage says what the reading had cost.
    assert sorted(each.cached_input_tokens for each in said) == [0] + [PROMPT_TOKENS - 1] * 7
    assert not server.out


async def test_it_stays_read_until_others_have_used_the_slots(server: Server) -> None:
    model = Spread(server, server, CONTEXT)
    await together(model, asking(0), asking(1))
    await together(model, asking(2), asking(3))
    assert len(server.readings) == 1
    for number in range(SLOTS - FEWEST_COPIES):
        await model.request(asking(number, "short"))
    await together(model, asking(4), asking(5))
    assert len(server.readings) == 1
    for number in range(2):
        await model.request(asking(number, f"{number} {LONG}"))
    await together(model, asking(4), asking(5))
    assert len(server.readings) == 2


async def test_who_is_alone_is_not_read_for(server: Server) -> None:
    model = Spread(server, server, CONTEXT)
    for number in range(3):
        await model.request(asking(number))
    await together(model, *(asking(number, f"{number} {LONG}") for number in range(8)))
    await together(model, *(asking(number, "short") for number in range(8)))
    assert server.readings == []
    assert not server.copied


async def test_who_comes_while_another_is_under_way_shares_with_it(server: Server) -> None:
    model = Spread(server, server, CONTEXT)
    server.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(model.request, asking(0))
        while not server.requests:
            await anyio.lowlevel.checkpoint()
        assert server.readings == []
        group.start_soon(model.request, asking(1))
        group.start_soon(model.request, asking(2))
        while not server.readings:
            await anyio.lowlevel.checkpoint()
        server.gate.set()
    assert len(server.readings) == 1
    assert len(server.copied) == 1


async def test_copies_leave_room_in_the_context(server: Server) -> None:
    await together(Spread(server, server, 4 * PROMPT_TOKENS - 1), asking(0), asking(1))
    assert server.copied == [(0, (1, 2))]


async def test_where_all_slots_are_busy_nothing_is_read_beforehand(server: Server) -> None:
    server.busy = SLOTS - 1
    said = await together(Spread(server, server, CONTEXT), *map(asking, range(8)))
    assert len(said) == 8
    assert server.readings == []
    server.busy = 0
    await together(Spread(server, server, CONTEXT), asking(0, "short"))
    await together(Spread(server, server, CONTEXT), *map(asking, range(8)))
    assert len(server.readings) == 1


async def test_slots_that_cannot_be_asked_are_no_error(server: Server) -> None:
    server.unreachable = True
    assert len(await together(Spread(server, server, CONTEXT), *map(asking, range(8)))) == 8
    assert server.readings == []


async def test_a_server_that_fails_is_the_calls_error(server: Server) -> None:
    model = Spread(server, server, CONTEXT)
    server.error = ModelConnectionError("gone", model="server")
    failed = 0

    async def call(number: int) -> None:
        nonlocal failed
        with pytest.raises(ModelConnectionError):
            await model.request(asking(number))
        failed += 1

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(call, number)
    assert failed == 8
    assert len(server.requests) == 8 + 1
    assert not server.out


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13])
async def test_when_the_one_that_reads_is_cancelled_another_reads(server: Server, count: int) -> None:
    model = Spread(server, server, CONTEXT)
    server.gate = anyio.Event()
    first = anyio.CancelScope()
    answered: list[int] = []

    async def call(number: int) -> None:
        with first if number == 0 else anyio.CancelScope():
            await model.request(asking(number))
            answered.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(call, 0)
        await steps(2)
        for number in range(1, 4):
            group.start_soon(call, number)
        while not server.readings:
            await anyio.lowlevel.checkpoint()
        await steps(count)
        first.cancel()
        while len(server.readings) < 2:
            await anyio.lowlevel.checkpoint()
        server.gate.set()
    assert sorted(answered) == [1, 2, 3]
    assert not server.out
