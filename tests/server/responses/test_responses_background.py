"""Runs in the background, and clients that go."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from contemplate import Contemplator
from contemplate.errors import ModelServerError
from contemplate.journal import Journal
from contemplate.journal.documents import JournalDocuments
from contemplate.testing import FaultyServer, ScriptedModel, faulty

from ..conftest import Serve, serving
from ..test_server_clients import StepByStep
from ..test_server_disconnect import minds as over
from .conftest import PATIENCE, instant


def finished(api: openai.OpenAI, id_: str) -> Any:
    until = time.monotonic() + PATIENCE
    while (found := api.responses.retrieve(id_)).status in ("queued", "in_progress"):
        assert time.monotonic() < until
    return found


def test_a_run_goes_on_without_its_client(client: Any) -> None:
    gate = threading.Event()
    api = client(instant(StepByStep(["The ", gate, "answer"]), stream=True))
    made = api.responses.create(model="m", input="Why?", background=True)
    assert (made.status, made.background) == ("queued", True)
    assert api.responses.retrieve(made.id).status == "in_progress"
    with pytest.raises(openai.BadRequestError, match="not finished"):
        api.responses.create(model="m", input="And?", previous_response_id=made.id)
    gate.set()
    assert finished(api, made.id).output_text == "The answer"


def test_a_stream_is_left_and_followed_again(client: Any) -> None:
    gate = threading.Event()
    api = client(instant(StepByStep(["The ", gate, "answer"]), stream=True))
    with api.responses.create(model="m", input="Why?", background=True, stream=True) as stream:
        first = []
        for event in stream:
            first.append(event)
            if event.type == "response.output_text.delta":
                break
    id_ = first[0].response.id
    following = api.responses.retrieve(id_, stream=True, starting_after=first[-1].sequence_number)
    gate.set()
    rest = list(following)
    numbers = [each.sequence_number for each in (*first, *rest)]
    assert numbers == list(range(len(numbers)))
    assert rest[-1].response.output_text == "The answer"
    later = list(api.responses.retrieve(id_, stream=True))
    assert later == [*first, *rest]


def test_a_run_is_cancelled(client: Any) -> None:
    api = client(instant(StepByStep(["The ", threading.Event()]), stream=True))
    with api.responses.create(model="m", input="Why?", background=True, stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                break
        id_ = api.responses.cancel(_id(api, event)).id
    kept = api.responses.retrieve(id_)
    assert kept.status == "cancelled"
    assert kept.output[-1].content[0].text == "The "
    assert api.responses.cancel(id_).status == "cancelled"
    assert list(api.responses.retrieve(id_, stream=True))[-1].type == "response.incomplete"


def test_a_run_is_deleted_while_it_goes_on(client: Any) -> None:
    api = client(instant(StepByStep(["The ", threading.Event()]), stream=True))
    made = api.responses.create(model="m", input="Why?", background=True)
    api.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        api.responses.retrieve(made.id)


def test_a_failure_is_kept(client: Any) -> None:
    api = client(instant(ScriptedModel([ModelServerError("it fell over", model="x")])))
    made = finished(api, api.responses.create(model="m", input="Why?", background=True).id)
    assert (made.status, made.error.code) == ("failed", "server_error")
    assert "it fell over" in made.error.message


def test_only_what_is_in_the_background_is_cancelled_or_followed(client: Any) -> None:
    api = client(instant(ScriptedModel("yes")))
    made = api.responses.create(model="m", input="Why?")
    with pytest.raises(openai.BadRequestError, match="background"):
        api.responses.cancel(made.id)
    with pytest.raises(openai.BadRequestError, match="background"):
        api.responses.retrieve(made.id, stream=True)


@pytest.mark.parametrize("stream", [True, False])
def test_in_the_foreground_a_client_that_goes_takes_its_run_with_it(serve: Serve, stream: bool) -> None:
    with FaultyServer(faulty.Silence(after_first_token=True)) as upstream:
        host, _, port = serve(over(upstream)).removeprefix("http://").partition(":")
        body = json.dumps({"model": "many", "input": "Why?", "stream": stream})
        head = f"POST /v1/responses HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            # The first call of a process imports much.
            assert upstream.wait_for(lambda: len(upstream.exchanges) == 5, seconds=60)
        assert upstream.wait_for(lambda: all(each.hung_up for each in upstream.exchanges))


def test_a_server_that_stops_says_so(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with served(StepByStep(["The ", threading.Event()]), path) as api:
        made = api.responses.create(model="m", input="Why?", background=True)
    with served(ScriptedModel("yes"), path) as api:
        assert_failed(api, made.id)


def test_a_server_that_died_leaves_no_run_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with served(ScriptedModel("yes"), path) as api:
        made = api.responses.create(model="m", input="Why?", background=True, stream=True)
        first: Any = next(iter(made))
        id_ = first.response.id
        finished(api, id_)
    journal = Journal(path)
    documents = JournalDocuments(journal)
    documents.change(id_, lambda body: (body or "").replace('"status":"completed"', '"status":"in_progress"', 1))
    with served(ScriptedModel("yes"), path) as api:
        with journal.hold(id_):
            assert api.responses.retrieve(id_).status == "in_progress"
        assert_failed(api, id_)
        assert list(api.responses.retrieve(id_, stream=True))[-1].type == "response.failed"
    journal.close()


def assert_failed(api: openai.OpenAI, id_: str) -> None:
    found = api.responses.retrieve(id_)
    assert found.status == "failed"
    assert found.error is not None
    assert (found.error.code, found.metadata) == ("server_error", {"contemplate:error": "server_stopped"})


@contextmanager
def served(model: Any, path: Path) -> Iterator[openai.OpenAI]:
    journal = Journal(path)
    mind = Contemplator(model, mode="instant", journal=journal, stream=True)
    with serving({"m": mind}) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as api:
        yield api
    journal.close()


def _id(api: openai.OpenAI, event: Any) -> str:
    return f"resp_{event.item_id.partition('_')[2][:32]}"
