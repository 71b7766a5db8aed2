"""A seeded mixture of faults."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from .replies import Answer, BrokenBody, Endless, HttpError, Page, RawBody, RawStream, Reply, Reset, Silence, chunk_of
from .server import Exchange

HUGE = 2_000_000
MANY_TASKS = 10_000


def _events(exchange: Exchange, text: str, *, order: Callable[[list[Any]], list[Any]] = list) -> bytes:
    """The bytes of a good stream, with its chunks reordered by `order`."""
    chunks = order([chunk_of(exchange, {"content": piece}) for piece in (text[:3], text[3:6], text[6:])])
    chunks.append(chunk_of(exchange, {}, "stop"))
    lines = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def _double(chunks: list[Any]) -> list[Any]:
    return chunks * 2


def _reverse(chunks: list[Any]) -> list[Any]:
    return chunks[::-1]


def _plan(needs: Callable[[int], list[int]], count: int) -> str:
    tasks = [{"title": f"Task {i}", "prompt": f"Do {i}.", "needs": needs(i)} for i in range(1, count + 1)]
    return json.dumps({"tasks": tasks})


Fault = Callable[[Exchange], Reply]

FAULTS: Mapping[str, Fault] = {
    "rate_limit": lambda _: HttpError(429, "slow down"),
    "rate_limit_retry_after": lambda _: HttpError(429, "slow down", {"retry-after": "1"}),
    "error_500": lambda _: HttpError(500),
    "error_503": lambda _: HttpError(503, headers={"retry-after": "0"}),
    "error_401": lambda _: HttpError(401, "wrong key"),
    "reset_before": lambda _: Reset("head"),
    "reset_during": lambda _: Reset("body"),
    "reset_at_end": lambda _: Reset("end"),
    "silence": lambda _: Silence(),
    "silence_midway": lambda _: Silence(after_first_token=True),
    "endless": lambda _: Endless(),
    "broken_body": lambda _: BrokenBody(),
    "one_byte_chunks": lambda exchange: RawStream(_events(exchange, "näïve ☃ answer"), 1),
    "invalid_json": lambda _: RawBody(b'{"choices": [{"message": '),
    "invalid_utf8": lambda _: RawBody(b'{"choices": [{"message": {"content": "\xff\xfe"}, "finish_reason": "stop"}]}'),
    "wrong_schema": lambda _: RawBody(b'{"choices": [{"message": {"content": 42}, "finish_reason": "stop"}]}'),
    "wrong_content_type": lambda _: Page(),
    "truncated_plan": lambda _: Answer(_plan(lambda _: [], 4)[:-60]),
    "cyclic_plan": lambda _: Answer(_plan(lambda i: [i % 3 + 1], 3)),
    "endless_plan": lambda _: Answer(_plan(lambda _: [], MANY_TASKS), chunk=4096),
    "huge": lambda _: Answer("x" * HUGE, chunk=65_536),
    "duplicated_chunks": lambda exchange: RawStream(_events(exchange, "one answer", order=_double), 4096),
    "reordered_chunks": lambda exchange: RawStream(
        _events(exchange, "one answer", order=lambda every: every[::-1]), 4096
    ),
    "no_usage": lambda _: Answer(usage=False),
    "length": lambda _: Answer("cut off in the", finish="length"),
    "content_filter": lambda _: Answer("", finish="content_filter"),
}


def mixture(
    rates: Mapping[str, float], *, seed: int, otherwise: Callable[[Exchange], Reply | str] | str = "ok"
) -> Callable[[Exchange], Reply | str]:
    """A script that misbehaves at random: each fault of `FAULTS` at its rate, and `otherwise` for the rest.

    Which request gets which fault depends only on the seed and on the number of the request.

    Raises:
        ValueError: there is no such fault, or the rates add up to more than one.
    """
    unknown = set(rates) - set(FAULTS)
    if unknown or sum(rates.values()) > 1:
        raise ValueError(f"unknown faults {sorted(unknown)}" if unknown else "the rates add up to more than 1")

    def script(exchange: Exchange) -> Reply | str:
        left = random.Random(f"{seed}:{exchange.number}").random()  # noqa: S311
        for name, rate in rates.items():
            left -= rate
            if left < 0:
                exchange.fault = name
                return FAULTS[name](exchange)
        return otherwise if isinstance(otherwise, str) else otherwise(exchange)

    return script
