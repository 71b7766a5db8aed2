"""What an upstream refuses, as a client sees it: in every mode, whole and streamed, the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from contemplate import Contemplator, aggregators, planners, strategies
from contemplate.models import OpenAIModel
from contemplate.testing import FaultyServer, faulty

from .conftest import Minds, serving

MODES: Any = ("instant", "thinking", "contemplating", "auto", "vote", "refine")
NAMES = (*MODES, "code", "router", "as_needed")
TOO_LONG = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."
# What it says; then the status, the code, the kind, and when to come again, as the client is told.
REFUSALS = [
    (faulty.HttpError(429, "slow down", {"retry-after": "7"}, "too_fast"), 429, "too_fast", "rate_limit_error", "7"),
    (faulty.HttpError(400, "it is too hot", code="too_hot"), 400, "too_hot", "invalid_request_error", None),
    (
        faulty.HttpError(400, TOO_LONG, code="context_length_exceeded"),
        400,
        "context_length_exceeded",
        "invalid_request_error",
        None,
    ),
    (faulty.HttpError(401, "no such key"), 502, "upstream_authentication", "server_error", None),
    (faulty.HttpError(403, "not allowed"), 502, "upstream_authentication", "server_error", None),
]


def minds(model: OpenAIModel) -> Minds:
    votes = aggregators.vote()
    by_mode = {mode: Contemplator(model, mode=mode) for mode in MODES}
    return by_mode | {
        "code": Contemplator(model, planner=planners.sample(2, strategies=[strategies.code]), aggregator=votes),
        "router": Contemplator(model, planner=planners.router(planners.model()), aggregator=votes),
        "as_needed": Contemplator(model, planner=planners.as_needed(planners.direct()), aggregator=aggregators.first()),
    }


@pytest.fixture(scope="module", params=REFUSALS, ids=lambda each: f"{each[0].status}-{each[2]}")
def refusing(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    """The URL of a server whose upstream refuses, and how."""
    reply, *told = request.param
    with FaultyServer(reply) as upstream:
        model = OpenAIModel("m", base_url=upstream.url, api_key="none")
        with serving(minds(model)) as url:
            yield url, told


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", NAMES)
def test_a_refusal_stays_what_it_is(refusing: tuple[str, Any], mode: str, stream: bool) -> None:
    url, (status, code, kind, retry_after) = refusing
    body = {"model": mode, "stream": stream, "messages": [{"role": "user", "content": "Why?"}]}
    answer = httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (status, code, kind)
    assert answer.headers.get("retry-after") == retry_after
    assert answer.headers["x-should-retry"] == "false"
