"""All that the library does works with every provider: at the first run, and without a refusal at the second."""

from __future__ import annotations

import pytest

from benchmarks.capabilities import CAPABILITIES, MODES
from benchmarks.providers import BEGIN, END, PAGE, line, row, tried
from contemplate.testing import providers
from contemplate.testing.providers import ProviderDialect

pytestmark = pytest.mark.anyio

ALL = pytest.mark.parametrize("dialect", providers.ALL, ids=lambda dialect: dialect.name)
# What an endpoint takes is known beforehand, or is to be learnt.
KNOWN = pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
# Streamed over one of the two transports, and whole over the other.
WAYS = pytest.mark.parametrize(("anyio_backend", "stream"), [("asyncio", True), ("trio", False)])
# Each mode is asked in both ways, and of known and unknown endpoints; every combination is tried by what follows them.
MODES_WAYS = pytest.mark.parametrize(
    ("anyio_backend", "stream", "known"),
    [("asyncio", True, True), ("trio", False, False)],
    ids=["streamed-known", "whole-unknown"],
)
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def check(dialect: ProviderDialect, capability: str, *, stream: bool, known: bool) -> None:
    outcome = await tried(dialect, capability, stream=stream, known=known)
    assert outcome.works, outcome.problem
    assert outcome.refused[1] == 0, "what was learnt in the first run was not known in the second"
    assert outcome.counted, "the usage is not what was billed"


@ALL
@MODES_WAYS
@pytest.mark.parametrize("mode", MODES)
async def test_modes(dialect: ProviderDialect, mode: str, stream: bool, known: bool) -> None:
    await check(dialect, mode, stream=stream, known=known)


@ALL
@KNOWN
@WAYS
@pytest.mark.parametrize("capability", ["typed", "streaming"])
async def test_answers(dialect: ProviderDialect, capability: str, stream: bool, known: bool) -> None:
    await check(dialect, capability, stream=stream, known=known)


@ALL
@KNOWN
@WAYS
@pytest.mark.parametrize("capability", ["tools", "typed, with tools"])
async def test_tools(dialect: ProviderDialect, capability: str, stream: bool, known: bool) -> None:
    if "tools" not in dialect.lacks:
        await check(dialect, capability, stream=stream, known=known)
        return
    outcome = await tried(dialect, capability, stream=stream, known=known)
    assert outcome.works or "not supported" in outcome.problem, outcome.problem


@ALL
@KNOWN
@WAYS
async def test_images(dialect: ProviderDialect, stream: bool, known: bool) -> None:
    if "images" not in dialect.lacks:
        await check(dialect, "images", stream=stream, known=known)
        return
    outcome = await tried(dialect, "images", stream=stream, known=known)
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
