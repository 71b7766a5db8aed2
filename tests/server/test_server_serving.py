"""`serve`: a process of its own, from its first line to the signal that ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import IO, Any

import anyio
import httpx2
import openai
import pytest
from starlette.applications import Starlette

from contemplate import Contemplator
from contemplate.errors import ConfigurationError
from contemplate.server import ServerSettings, serve
from contemplate.server.announced_server import AnnouncedServer, listen
from contemplate.testing import FaultyServer, ScriptedModel, faulty

from ..patience import PATIENCE
from ..processes import Process

MESSAGES: Any = [{"role": "user", "content": "Why?"}]


class Served:
    """`serve` in a process, on a free port."""

    def __init__(self, model: str, drain_seconds: float = 0) -> None:
        code = (
            "from contemplate.server import ServerSettings, serve; "
            f"serve({model!r}, port=0, settings=ServerSettings(drain_seconds={drain_seconds})); print('returned')"
        )
        command, pipe = [sys.executable, "-W", "error", "-c", code], subprocess.PIPE
        self.process = Process[str](command, stdout=pipe, stderr=pipe, text=True)
        self.line = self._out.readline()

    @property
    def _out(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def client(self) -> openai.OpenAI:
        url = next(word for word in self.line.split() if word.startswith("http://127.0.0.1:"))
        return openai.OpenAI(base_url=url, api_key="none", timeout=PATIENCE, max_retries=0)

    def stop(self, sent: signal.Signals) -> tuple[int, str, str]:
        self.process.send_signal(sent)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def upstream() -> Iterator[FaultyServer]:
    """A model's server that begins its answers and never ends them."""
    with FaultyServer(faulty.Silence(after_first_token=True)) as server:
        yield server


@pytest.fixture
def served(upstream: FaultyServer) -> Iterator[Served]:
    """`serve` over a model that begins its answers and never ends them."""
    served = Served(f"{upstream.url}#m")
    yield served
    if served.process.poll() is None:
        served.process.kill()
        served.process.communicate()


def test_one_line_tells_where_and_each_mode_is_a_model(served: Served) -> None:
    with served.client() as client:
        names = [each.id for each in client.models.list()]
    assert names == ["contemplate", "contemplate-auto", "contemplate-thinking", "contemplate-instant"]
    assert all(name in served.line for name in names)
    assert served.stop(signal.SIGTERM) == (0, "returned\n", "")


def test_anthropics_models_are_answered_for_by_name(served: Served) -> None:
    with served.client() as client:
        for name in ("claude-opus-5", "claude-haiku-4-5"):
            assert client.models.retrieve(name).id == name
        with pytest.raises(openai.NotFoundError, match="there are: contemplate, contemplate-auto"):
            client.models.retrieve("gpt-5")


@pytest.mark.skipif(os.name == "nt", reason="signals are sent")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_what_is_running_and_ends_the_server(
    served: Served, upstream: FaultyServer, sent: signal.Signals
) -> None:
    with served.client() as client:
        stream = client.chat.completions.create(model="contemplate-instant", messages=MESSAGES, stream=True)
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        assert served.stop(sent) == (0, "returned\n", "")
        assert upstream.wait_for(lambda: upstream.exchanges[0].hung_up is not None)
        with pytest.raises(openai.APIError, match="the server is stopping"):
            list(stream)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent")
def test_runs_may_end_after_a_sigterm_and_nothing_new_begins() -> None:
    go_on = threading.Event()

    def slow(exchange: faulty.Exchange) -> str:
        assert go_on.wait(PATIENCE)
        return "Yes."

    answers: list[str] = []
    with FaultyServer(slow) as upstream:
        served = Served(f"{upstream.url}#m", drain_seconds=PATIENCE)
        with served.client() as client:

            def ask() -> None:
                said = client.chat.completions.create(model="contemplate-instant", messages=MESSAGES)
                answers.append(said.choices[0].message.content or "")

            asking = threading.Thread(target=ask)
            asking.start()
            assert upstream.wait_for(lambda: len(upstream.exchanges) == 1)
            ready = str(client.base_url).replace("/v1/", "/readyz")
            assert httpx2.get(ready).status_code == 200
            served.process.send_signal(signal.SIGTERM)
            while httpx2.get(ready).status_code == 200:
                pass
            with pytest.raises(openai.InternalServerError, match="begins nothing new") as caught:
                client.chat.completions.create(model="contemplate-instant", messages=MESSAGES)
            assert caught.value.status_code == 503
            assert caught.value.response.headers["x-should-retry"] == "true"
            go_on.set()
            asking.join(PATIENCE)
            out, err = served.process.communicate(timeout=PATIENCE)
    assert (answers, served.process.returncode, out, err) == (["Yes."], 0, "returned\n", "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_others_are_not_served_unless_it_is_asked_for(host: str) -> None:
    with pytest.raises(ConfigurationError, match="has no keys"):
        serve(ScriptedModel("Yes."), host=host, port=0)


@pytest.mark.parametrize("host", ["", "no such host", "example.org"])
def test_a_host_is_an_address(host: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an IP address"):
        serve(ScriptedModel("Yes."), host=host)


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(ScriptedModel("Yes."), port=port)


@pytest.mark.usefixtures("no_leftovers")
def test_that_it_serves_is_told_once_it_does() -> None:
    class Short(AnnouncedServer):
        async def on_tick(self, counter: int) -> bool:
            return True

    told: list[bool] = []
    with closing(listen("127.0.0.1", 0)) as listener:
        server = Short(Starlette(), ServerSettings(), lambda: told.append(server.started), seconds_to_stop=1)
        anyio.run(server.serve, [listener])
    assert told == [True]


def test_an_error_at_the_start_comes_out_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: Contemplator[str]) -> Contemplator[str]:
        raise ConfigurationError("llama.cpp cannot load it")

    monkeypatch.setattr(Contemplator, "__aenter__", fail)
    with pytest.raises(ConfigurationError, match=r"llama\.cpp cannot load it"):
        serve(ScriptedModel("Yes."), host="localhost", port=0)


@pytest.mark.parametrize("port", [-1, 65_536, 10**30])
@pytest.mark.usefixtures("no_leftovers")
def test_what_is_no_port(port: int) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen"):
        serve(ScriptedModel("Yes."), port=port)
