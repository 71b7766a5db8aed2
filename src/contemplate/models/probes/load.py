"""Probes of what an endpoint does with several calls: at once, cancelled, and one after the other."""

from __future__ import annotations

import time

import anyio

from ...prompts import render
from ..base import Delta
from .bench import Bench, Outcome

AT_ONCE = 8
# A call that is given up has to be over within so many seconds.
PROMPTLY = 2.0
CACHED_LINES = 260


async def cancellation(bench: Bench) -> Outcome:
    """Give up a stream at its first piece, and see how soon the call is over."""
    given_up: list[float] = []

    def give_up(_: Delta) -> None:
        if not given_up:
            given_up.append(time.monotonic())
            scope.cancel()

    with anyio.CancelScope() as scope:
        await bench.ask(render("probes/count", most="500"), give_up)
    if not given_up:
        return Outcome("no", "there was no piece at which it could be given up")
    took = time.monotonic() - given_up[0]
    how = "over" if scope.cancelled_caught else "over before that,"
    return Outcome("ok" if took < PROMPTLY else "no", f"{how} after {took:.2f} s")


async def at_once(bench: Bench) -> Outcome:
    """Ask eight times at once."""
    answered: list[float] = []
    failed: list[Exception] = []
    begun = time.monotonic()

    async def ask() -> None:
        try:
            await bench.ask(render("probes/word"))
            answered.append(time.monotonic() - begun)
        except Exception as error:
            failed.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(ask)
    if failed:
        return Outcome("no", f"{len(answered)} of {AT_ONCE} were answered; {failed[0]}")
    return Outcome("ok", f"the first after {min(answered):.1f} s, the last after {max(answered):.1f} s")


async def prefix_cache(bench: Bench) -> Outcome:
    """Send a long prompt twice; its beginning is new each time that a model is checked."""
    lines = "\n".join(f"{time.time_ns() + place:x}" for place in range(CACHED_LINES))
    prompt = render("probes/long", lines=lines)
    await bench.ask(prompt)
    told = (await bench.ask(prompt)).usage
    seen = f"{told.cached_input_tokens} of {told.input_tokens} tokens"
    return Outcome("ok" if told.cached_input_tokens else "no", seen)
