"""The faults by name, and a seeded mixture of them."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import cache
from typing import Any

from pydantic_core import to_json

from .chat_answer import ChatAnswer, chunk_of
from .exchange import Exchange, Reply
from .replies import BrokenBody, Close, Endless, HttpError, Page, RawBody, RawStream, Reset, Silence

HUGE = 2_000_000
MANY_TASKS = 10_000
ROUNDING = 1e-9

Fault = Callable[[Exchange], Reply]


def _raw(body: bytes) -> Fault:
    """Return a fault that sends `body`; in a stream, as an event."""

    def fault(exchange: Exchange) -> Reply:
        if not exchange.streams:
            return RawBody(body)
        return RawStream(b"data: %b\n\n" % body.replace(b'"message"', b'"delta"'), len(body))

    return fault


def _chunks(arrange: Callable[[list[Any]], list[Any]]) -> Fault:
    """Return a fault that rearranges the chunks of an answer; an answer that is not streamed is sent whole."""

    def fault(exchange: Exchange) -> Reply:
        if not exchange.streams:
            return ChatAnswer("one answer")
        chunks = arrange([chunk_of(exchange, {"content": piece}) for piece in ("one", " an", "swer")])
        events = b"".join(b"data: %b\n\n" % to_json(chunk) for chunk in [*chunks, chunk_of(exchange, {}, "stop")])
        return RawStream(events + b"data: [DONE]\n\n", 4096)

    return fault


def _one_byte(exchange: Exchange) -> Reply:
    text = "näïve ☃ answer"
    if not exchange.streams:
        return RawStream(to_json(ChatAnswer(text).completion(exchange)), 1, "application/json")
    chunks = (chunk_of(exchange, {"content": text}), chunk_of(exchange, {}, "stop"))
    return RawStream(b"".join(b"data: %b\n\n" % to_json(chunk) for chunk in chunks) + b"data: [DONE]\n\n", 1)


def _in_a_second(_: Exchange) -> Reply:
    return HttpError(429, "slow down", {"retry-after": formatdate(time.time() + 1, usegmt=True)})


def _plan(needs: Callable[[int], list[int]], count: int) -> str:
    tasks = [{"title": f"Task {i}", "prompt": f"Do {i}.", "needs": needs(i)} for i in range(1, count + 1)]
    return json.dumps({"tasks": tasks})


@cache
def _endless_plan() -> str:
    return _plan(lambda _: [], MANY_TASKS)


FAULTS: Mapping[str, Fault] = {
    "rate_limit": lambda _: HttpError(429, "slow down"),
    "rate_limit_retry_after": lambda _: HttpError(429, "slow down", {"retry-after": "1"}),
    "rate_limit_date": _in_a_second,
    "error_500": lambda _: HttpError(500),
    "error_503": lambda _: HttpError(503, headers={"retry-after": "0"}),
    "error_401": lambda _: HttpError(401, "wrong key", code="invalid_api_key"),
    "error_400": lambda _: HttpError(400, "the prompt is too long", code="context_length_exceeded"),
    "error_within": _raw(b'{"error": {"message": "overloaded"}}'),
    "reset_before": lambda _: Reset("head"),
    "reset_during": lambda _: Reset("body"),
    "reset_at_end": lambda _: Reset("end"),
    "reset_after": lambda _: Reset("after"),
    "closed_before": lambda _: Close("head"),
    "closed_during": lambda _: Close("body"),
    "silence": lambda _: Silence(),
    "silence_midway": lambda _: Silence(after_first_token=True),
    "pings": lambda _: Silence(ping=0.05),
    "endless": lambda _: Endless(),
    "broken_body": lambda _: BrokenBody(),
    "one_byte_chunks": _one_byte,
    "invalid_json": _raw(b'{"choices": [{"message": '),
    "invalid_utf8": _raw(b'{"choices": [{"message": {"content": "\xff\xfe"}, "finish_reason": "stop"}]}'),
    "wrong_schema": _raw(b'{"choices": [{"message": {"content": 42}, "finish_reason": "stop"}]}'),
    "no_choices": _raw(b'{"id": "chatcmpl-0", "object": "chat.completion"}'),
    "wrong_content_type": lambda _: Page(),
    "truncated_plan": lambda _: ChatAnswer(_plan(lambda _: [], 4)[:-60]),
    "cyclic_plan": lambda _: ChatAnswer(_plan(lambda i: [i % 3 + 1], 3)),
    "endless_plan": lambda _: ChatAnswer(_endless_plan(), chunk=4096),
    "huge": lambda _: ChatAnswer("x" * HUGE, chunk=65_536),
    "duplicated_chunks": _chunks(lambda chunks: [chunk for chunk in chunks for _ in range(2)]),
    "reordered_chunks": _chunks(lambda chunks: chunks[::-1]),
    "no_usage": lambda _: ChatAnswer(usage=False),
    "length": lambda _: ChatAnswer("cut off in the", finish="length"),
    "content_filter": lambda _: ChatAnswer("", finish="content_filter"),
}


def mixture(
    rates: Mapping[str, float],
    *,
    seed: int,
    otherwise: Callable[[Exchange], Reply | str] | Reply | str = "ok",
) -> Callable[[Exchange], Reply | str]:
    """Return a script with random faults: each of `FAULTS` at its rate, and `otherwise` for the other requests.

    The fault of a request depends only on the seed and the request's number.

    Raises:
        ValueError: a fault is unknown, a rate is negative, or the sum of the rates is more than one.
    """
    unknown = set(rates) - set(FAULTS)
    if unknown:
        raise ValueError(f"unknown faults {sorted(unknown)}; there are {sorted(FAULTS)}")
    if any(rate < 0 for rate in rates.values()) or math.fsum(rates.values()) > 1 + ROUNDING:
        raise ValueError("rates are shares of all requests: none may be negative, and their sum may be at most 1")

    def script(exchange: Exchange) -> Reply | str:
        left = random.Random(f"{seed}:{exchange.number}").random()  # noqa: S311
        for name, rate in rates.items():
            left -= rate
            if left < 0:
                exchange.fault = name
                return FAULTS[name](exchange)
        return otherwise(exchange) if callable(otherwise) else otherwise

    return script
