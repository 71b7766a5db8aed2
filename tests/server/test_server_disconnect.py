"""A client that goes takes its run with it: the model's server sees its connections closed."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest

from contemplate import Contemplator, aggregators, planners
from contemplate.models import OpenAIModel, Retry
from contemplate.testing import FaultyServer, faulty

from ..patience import PATIENCE
from .conftest import Minds, Serve

CALLS = 5
MESSAGES: Any = [{"role": "user", "content": "Why?"}]

which = pytest.mark.parametrize(("model", "calls"), [("one", 1), ("many", CALLS)])


@pytest.fixture
def upstream() -> Iterator[FaultyServer]:
    """A model's server that begins its answers and never ends them."""
    with FaultyServer(faulty.Silence(after_first_token=True)) as server:
        yield server


@pytest.fixture(autouse=True)
def _without_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a client is gone is to be noticed before anything is sent to it, or given up."""
    monkeypatch.setattr("contemplate.server.chat.replies.KEEP_ALIVE_SECONDS", 2 * PATIENCE)


def minds(upstream: FaultyServer) -> Minds:
    model = Retry(OpenAIModel("m", base_url=upstream.url, api_key="none"))
    many = Contemplator(model, planner=planners.sample(CALLS), aggregator=aggregators.vote())
    return {"many": many, "one": Contemplator(model, mode="instant")}


def asked(upstream: FaultyServer, calls: int) -> Callable[[], bool]:
    return lambda: len(upstream.exchanges) == calls


def left(upstream: FaultyServer, calls: int) -> bool:
    """Whether every call is hung up, and none was made again."""
    gone = upstream.wait_for(lambda: all(each.hung_up for each in upstream.exchanges), PATIENCE)
    return gone and upstream.wait_for(lambda: upstream.connections == 0) and asked(upstream, calls)()


@which
def test_leaving_a_stream_cancels_its_run(serve: Serve, upstream: FaultyServer, model: str, calls: int) -> None:
    with openai.OpenAI(base_url=f"{serve(minds(upstream))}/v1", api_key="none") as api:
        stream = api.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        next(stream)
        assert upstream.wait_for(asked(upstream, calls))
        stream.close()
        assert left(upstream, calls)


@which
def test_not_waiting_for_a_whole_answer_cancels_its_run(
    serve: Serve, upstream: FaultyServer, model: str, calls: int
) -> None:
    host, _, port = serve(minds(upstream)).removeprefix("http://").partition(":")
    body = json.dumps({"model": model, "messages": MESSAGES})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert upstream.wait_for(asked(upstream, calls))
    assert left(upstream, calls)


def test_others_go_on_when_one_client_goes(serve: Serve, upstream: FaultyServer) -> None:
    url = f"{serve(minds(upstream))}/v1/chat/completions"
    body = {"model": "one", "messages": MESSAGES, "stream": True}
    with httpx2.stream("POST", url, json=body) as stays:
        lines = stays.iter_lines()
        with httpx2.stream("POST", url, json=body) as goes:
            next(goes.iter_lines())
        assert upstream.wait_for(lambda: any(each.hung_up for each in upstream.exchanges))
        assert any('"content":"well,"' in line for line in (next(lines) for _ in range(4)))
        assert sum(each.hung_up is not None for each in upstream.exchanges) == 1


@pytest.mark.parametrize("second", ["half of an answer, and its end", "another answer"])
def test_a_reset_in_the_answer_is_mended_or_told(serve: Serve, second: str) -> None:
    def script(exchange: faulty.Exchange) -> faulty.Reply | str:
        return faulty.Reset("body", text="half of an answer") if exchange.number == 0 else second

    pieces: list[str] = []
    told = ""
    with FaultyServer(script) as upstream, openai.OpenAI(base_url=f"{serve(minds(upstream))}/v1", api_key="-") as api:
        stream = api.chat.completions.create(model="one", messages=MESSAGES, stream=True)
        try:
            pieces.extend(chunk.choices[0].delta.content or "" for chunk in stream)
        except openai.APIError as error:
            told = error.code or ""
    assert len(upstream.exchanges) == 2
    if second.startswith("half of an answer"):
        assert ("".join(pieces), told) == (second, "")
    else:
        assert ("".join(pieces), told) == ("half of an answer", "answer_restarted")


@pytest.mark.parametrize(
    ("reply", "status", "said"),
    [
        (faulty.HttpError(401, "Incorrect API key provided: sk-secret123"), 502, "Incorrect API key"),
        (faulty.HttpError(404, "no such model"), 502, "no such model"),
        (faulty.Page(), 502, "not a chat completion"),
    ],
)
def test_an_upstream_that_refuses(serve: Serve, reply: faulty.Reply, status: int, said: str) -> None:
    with FaultyServer(reply) as upstream, openai.OpenAI(base_url=f"{serve(minds(upstream))}/v1", api_key="-") as api:
        with pytest.raises(openai.InternalServerError, match=said) as caught:
            api.chat.completions.create(model="one", messages=MESSAGES)
        assert caught.value.status_code == status
        assert "secret123" not in str(caught.value)
        assert len(upstream.exchanges) == 1
