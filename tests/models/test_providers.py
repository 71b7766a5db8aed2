"""All that the library does works with every provider: at the first run, and without a refusal at the second."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal

import pytest

from benchmarks.capabilities import CAPABILITIES, MODES
from benchmarks.providers import BEGIN, END, PAGE, line, row, tried
from contemplate.testing import providers
from contemplate.testing.providers import ProviderDialect

pytestmark = pytest.mark.anyio

ALL = pytest.mark.parametrize("dialect", providers.ALL, ids=lambda dialect: dialect.name)
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])
# Streamed over one of the two transports, and whole over the other; what an endpoint takes is known, or to be learnt.
WAYS = [
    pytest.param("asyncio", True, True, id="streamed-known"),
    pytest.param("asyncio", True, False, id="streamed-unknown"),
    pytest.param("trio", False, True, id="whole-known"),
    pytest.param("trio", False, False, id="whole-unknown"),
]


def ways(capabilities: Sequence[str], each: Literal[1, 2, 4]) -> pytest.MarkDecorator:
    """Try each capability with each provider in so many ways: other ones with the next, so that all meet all."""
    cases = []
    for (place, dialect), (column, name) in product(enumerate(providers.ALL), enumerate(capabilities)):
        first = (place + column) % len(WAYS)
        # The other one of two differs in both.
        chosen = {1: [first], 2: [first, len(WAYS) - 1 - first], 4: range(len(WAYS))}[each]
        for way in (WAYS[number] for number in chosen):
            cases.append(pytest.param(dialect, name, *way.values, id=f"{dialect.name}-{name}-{way.id}"))
    return pytest.mark.parametrize(("dialect", "capability", "anyio_backend", "stream", "known"), cases)


async def check(dialect: ProviderDialect, capability: str, *, stream: bool, known: bool) -> None:
    outcome = await tried(dialect, capability, stream=stream, known=known)
    assert outcome.works, outcome.problem
    assert outcome.refused[1] == 0, "what was learnt in the first run was not known in the second"
    assert outcome.counted, "the usage is not what was billed"


@ways(MODES, 1)
async def test_modes(dialect: ProviderDialect, capability: str, stream: bool, known: bool) -> None:
    await check(dialect, capability, stream=stream, known=known)


@ways(["typed", "streaming"], 2)
async def test_answers(dialect: ProviderDialect, capability: str, stream: bool, known: bool) -> None:
    await check(dialect, capability, stream=stream, known=known)


async def check_tools(dialect: ProviderDialect, capability: str, *, stream: bool, known: bool) -> None:
    if "tools" not in dialect.lacks:
        await check(dialect, capability, stream=stream, known=known)
        return
    outcome = await tried(dialect, capability, stream=stream, known=known)
    assert outcome.works or "not supported" in outcome.problem, outcome.problem


@ways(["tools"], 2)
async def test_tools(dialect: ProviderDialect, capability: str, stream: bool, known: bool) -> None:
    await check_tools(dialect, capability, stream=stream, known=known)


@ways(["typed, with tools"], 4)
async def test_typed_with_tools(dialect: ProviderDialect, capability: str, stream: bool, known: bool) -> None:
    await check_tools(dialect, capability, stream=stream, known=known)


@ways(["images"], 2)
async def test_images(dialect: ProviderDialect, capability: str, stream: bool, known: bool) -> None:
    if "images" not in dialect.lacks:
        await check(dialect, capability, stream=stream, known=known)
        return
    outcome = await tried(dialect, capability, stream=stream, known=known)
    assert not outcome.works, "the model cannot see, but answered as if it had"
    assert "image" in outcome.problem, outcome.problem


@ALL
@ON_ASYNCIO
async def test_programs(dialect: ProviderDialect) -> None:
    await check(dialect, "programs", stream=True, known=True)


def test_the_table_of_the_docs_has_a_line_for_each() -> None:
    lines = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].splitlines()
    names = [each.split(" | ")[0].removeprefix("| ") for each in lines[2:]]
    assert names == [dialect.name for dialect in providers.ALL]
    assert len(CAPABILITIES) > len(MODES)


@ON_ASYNCIO
@pytest.mark.parametrize("dialect", [providers.MISTRAL, providers.GATEWAY], ids=lambda dialect: dialect.name)
async def test_the_table_of_the_docs_is_current(dialect: ProviderDialect) -> None:
    text = PAGE.read_text("utf-8")
    assert line(dialect, await row(dialect)) in text, "python -m benchmarks.providers --write"
