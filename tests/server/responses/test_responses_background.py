"""Runs in the background, and clients that go."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import openai
import pytest

from contemplate import Contemplator, Limits
from contemplate.errors import ModelServerError
from contemplate.journal import Journal
from contemplate.journal.documents import JournalDocuments
from contemplate.models import ModelRequest
from contemplate.modes import Mode
from contemplate.server import ClientKey, ServerSettings
from contemplate.server.request_limits import LIMITS_HEADER
from contemplate.server.responses.store import StoredResponse
from contemplate.testing import FaultyServer, ScriptedModel, faulty

from ...patience import PATIENCE
from ..conftest import USUAL, Serve, serving
from ..test_server_clients import StepByStep
from ..test_server_disconnect import minds as over
from .conftest import MERGED, expert, instant

SECRET = "sk-ann-0123456789"


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


class Unmerged(ScriptedModel):
    """Plans two parts and answers them, and never merges."""

    def __init__(self) -> None:
        super().__init__(expert)
        self.merging = threading.Event()

    async def request(self, request: ModelRequest, on_delta: Any = None) -> Any:
        if expert(request) == MERGED:
            self.merging.set()
            await anyio.sleep_forever()
        return await super().request(request, on_delta)


@pytest.mark.parametrize("stopped", [True, False])
def test_a_run_goes_on_with_the_next_server_and_pays_nothing_twice(tmp_path: Path, stopped: bool) -> None:
    first, path = Unmerged(), tmp_path / "runs.db"
    with served(first, path, mode="contemplating") as api:
        made = api.responses.create(model="m", input="Why?", background=True)
        assert first.merging.wait(PATIENCE)
        if not stopped:
            # As it is when the server dies.
            with closing(sqlite3.connect(path)) as file, closing(sqlite3.connect(tmp_path / "left.db")) as copy:
                file.backup(copy)
            path = tmp_path / "left.db"
    second = ScriptedModel(expert)
    with served(second, path, mode="contemplating") as api:
        found = finished(api, made.id)
        assert (found.status, found.output_text) == ("completed", MERGED)
        assert found.usage.total_tokens > 0
        told = list(api.responses.retrieve(made.id, stream=True))
        assert [each.sequence_number for each in told] == list(range(len(told)))
        # Who was told of more by the server that is gone learns the end.
        assert list(api.responses.retrieve(made.id, stream=True, starting_after=10_000)) == told[-1:]
    assert len(second.requests) == 1
    third = ScriptedModel([])
    with served(third, path) as api:
        assert api.responses.retrieve(made.id) == found


def test_who_follows_a_run_is_told_no_end_when_the_server_stops(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with served(StepByStep(["The ", threading.Event()]), path) as api:
        made = api.responses.create(model="m", input="Why?", background=True, stream=True)
        stream = iter(made)
        told = [next(stream).type]
    with suppress(openai.APIConnectionError):
        told += [each.type for each in stream]
    assert set(told) <= {"response.created", "response.queued", "response.in_progress"}
    (name,) = left(path)
    with served(ScriptedModel("yes"), path) as api:
        assert finished(api, name.removeprefix("work:")).output_text == "yes"
    assert left(path) == []


def left(path: Path) -> list[str]:
    with closing(Journal(path)) as journal:
        return JournalDocuments(journal).names("work:")


@pytest.mark.parametrize(
    ("later", "said"),
    [({"key": "bob"}, "the key 'ann' is no longer"), ({"name": "other"}, "there is no model 'm'"), ({}, None)],
)
def test_a_run_goes_on_for_its_own_key_and_its_own_model_only(
    tmp_path: Path, later: dict[str, str], said: str | None
) -> None:
    def serving_once(model: Any, key: str, name: str) -> Any:
        mind = Contemplator(model, mode="instant", journal=f"sqlite:///{tmp_path}/runs.db", stream=True)
        return serving({name: mind}, ServerSettings(keys=(ClientKey(key, SECRET),)))

    with serving_once(StepByStep(["The ", threading.Event()]), "ann", "m") as url, connected(url) as api:
        id_ = api.responses.create(model="m", input="Why?", background=True).id
    key, name = later.get("key", "ann"), later.get("name", "m")
    with serving_once(ScriptedModel("yes"), key, name) as url, connected(url) as api:
        if said is None:
            assert finished(api, id_).output_text == "yes"
            shown = httpx2.get(f"{url}/metrics", headers={"x-api-key": SECRET}).text
            assert 'contemplate_runs_total{key="ann",model="m",outcome="answered"} 1.0' in shown
            return
        assert httpx2.get(f"{url}/healthz").status_code == 200
    with closing(Journal(tmp_path / "runs.db")) as journal:
        kept = StoredResponse.model_validate_json(JournalDocuments(journal).get(f"ann/{id_}") or "")
    assert (kept.response.status, kept.response.error and said in kept.response.error.message) == ("failed", True)
    assert left(tmp_path / "runs.db") == []


@pytest.mark.parametrize(("most", "wanted"), [(Limits(output_tokens=300), ""), (Limits(), "output_tokens=300")])
def test_the_limits_of_a_run_hold_with_the_next_server_too(tmp_path: Path, most: Limits, wanted: str) -> None:
    path, settings = tmp_path / "runs.db", ServerSettings(limits=most)
    with served(StepByStep(["The ", threading.Event()]), path, settings=settings) as api:
        headers = {LIMITS_HEADER: wanted}
        id_ = api.responses.create(model="m", input="Why?", background=True, extra_headers=headers).id
    with served(model := ScriptedModel("yes"), path, settings=settings) as api:
        assert finished(api, id_).output_text == "yes"
    (asked,) = model.requests
    assert 0 < (asked.settings.max_tokens or 0) <= 300


def test_of_too_many_runs_that_were_left_some_are_told_as_failed(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with served(StepByStep(["The ", threading.Event()]), path) as api:
        made = [api.responses.create(model="m", input="Why?", background=True).id for _ in range(3)]
    with served(ScriptedModel("yes"), path, settings=ServerSettings(max_runs=2)) as api:
        assert [finished(api, each).status for each in made] == ["completed", "completed", "failed"]


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
def served(
    model: Any, path: Path, *, mode: Mode = "instant", settings: ServerSettings = USUAL
) -> Iterator[openai.OpenAI]:
    journal = Journal(path)
    mind = Contemplator(model, mode=mode, journal=journal, stream=True)
    with serving({"m": mind}, settings) as url, connected(url) as api:
        yield api
    journal.close()


def connected(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=SECRET, max_retries=0)


def _id(api: openai.OpenAI, event: Any) -> str:
    return f"resp_{event.item_id.partition('_')[2][:32]}"
