"""What the server keeps: responses, and conversations; in memory, and in a journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from contemplate import Contemplator
from contemplate.journal import Journal
from contemplate.journal.documents import JournalDocuments
from contemplate.server import ServerSettings
from contemplate.server.api_errors import RequestError
from contemplate.server.responses.conversation import as_messages
from contemplate.server.responses.items import FunctionCall, FunctionCallOutput, Message
from contemplate.server.responses.parts import OutputText
from contemplate.server.responses.resource import new_response
from contemplate.server.responses.schema import ResponsesRequest
from contemplate.server.responses.store import PRUNE_SECONDS, MemoryDocuments, Shelves, Store, StoredResponse
from contemplate.testing import ScriptedModel

from ..conftest import Minds, Serve

Make = Callable[[Any], Minds]


@pytest.fixture(params=["memory", "journal"])
def minds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes contemplators, whose answers are kept here or there."""
    journal = Journal(tmp_path / "runs.db") if request.param == "journal" else None
    yield lambda model: {"m": Contemplator(model, mode="instant", journal=journal)}
    if journal is not None:
        journal.close()


def test_a_response_is_kept_until_it_is_deleted(client: Any, minds: Make) -> None:
    api = client(minds(ScriptedModel("yes")))
    made = api.responses.create(model="m", input="Why?", metadata={"a": "b"})
    assert api.responses.retrieve(made.id) == made
    assert [each.content[0].text for each in api.responses.input_items.list(made.id)] == ["Why?"]
    api.responses.delete(made.id)
    for missing in (api.responses.retrieve, api.responses.delete, api.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            missing(made.id)


def test_a_streamed_response_is_kept_before_its_end_is_told(client: Any, minds: Make) -> None:
    api = client(minds(ScriptedModel("yes")))
    with api.responses.stream(model="m", input="Why?") as stream:
        made = stream.get_final_response()
    assert api.responses.retrieve(made.id).output_text == "yes"


def test_what_is_not_to_be_stored_is_not(client: Any, minds: Make) -> None:
    api = client(minds(ScriptedModel("yes")))
    made = api.responses.create(model="m", input="Why?", store=False)
    assert made.store is False
    with pytest.raises(openai.NotFoundError):
        api.responses.retrieve(made.id)


def test_a_conversation_by_the_response_before(client: Any, minds: Make) -> None:
    model = ScriptedModel(["one", "two", "three"])
    api = client(minds(model))
    first = api.responses.create(model="m", input="1?", instructions="Be brief.")
    second = api.responses.create(model="m", input="2?", previous_response_id=first.id)
    api.responses.create(model="m", input="3?", previous_response_id=second.id)
    said = [(each.role, each.text) for each in model.requests[-1].messages if each.role != "system"]
    assert said == [("user", "1?"), ("assistant", "one"), ("user", "2?"), ("assistant", "two"), ("user", "3?")]
    assert "Be brief." not in "".join(each.text for each in model.requests[-1].messages)
    items = list(api.responses.input_items.list(second.id, order="asc", limit=2))
    assert [each.content[0].text for each in items] == ["1?", "one", "2?"]
    api.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        api.responses.create(model="m", input="4?", previous_response_id=second.id)
    assert caught.value.code == "previous_response_not_found"


def test_an_item_may_be_referred_to(client: Any, minds: Make) -> None:
    model = ScriptedModel(["one", "two"])
    api = client(minds(model))
    first = api.responses.create(model="m", input="1?")
    said = [
        {"role": "user", "content": "1?"},
        {"type": "item_reference", "id": first.output[-1].id},
        {"role": "user", "content": "2?"},
    ]
    api.responses.create(model="m", input=said)
    assert [each.text for each in model.requests[-1].messages if each.role == "assistant"] == ["one"]


def test_a_conversation_that_the_server_keeps(client: Any, minds: Make) -> None:
    model = ScriptedModel(["one", "two"])
    api = client(minds(model))
    kept = api.conversations.create(metadata={"a": "b"}, items=[{"role": "user", "content": "My name is Ada."}])
    assert api.conversations.retrieve(kept.id) == kept
    first = api.responses.create(model="m", input="1?", conversation=kept.id)
    assert first.conversation.id == kept.id
    list(api.responses.create(model="m", input="2?", conversation={"id": kept.id}, stream=True))
    said = [each.text for each in model.requests[-1].messages if each.role != "system"]
    assert said == ["My name is Ada.", "1?", "one", "2?"]
    items = list(api.conversations.items.list(kept.id, order="asc", limit=2))
    assert [each.content[0].text for each in items] == ["My name is Ada.", "1?", "one", "2?", "two"]
    assert api.conversations.items.retrieve(items[0].id, conversation_id=kept.id) == items[0]
    api.conversations.items.delete(items[0].id, conversation_id=kept.id)
    with pytest.raises(openai.NotFoundError):
        api.conversations.items.retrieve(items[0].id, conversation_id=kept.id)
    added = api.conversations.items.create(kept.id, items=[{"role": "user", "content": "Bye."}])
    assert added.data[0].id == added.first_id == added.last_id
    assert api.conversations.items.retrieve(added.last_id, conversation_id=kept.id).content[0].text == "Bye."
    assert api.conversations.update(kept.id, metadata={"c": "d"}).metadata == {"c": "d"}
    assert api.conversations.delete(kept.id).deleted
    with pytest.raises(openai.NotFoundError):
        api.responses.create(model="m", input="3?", conversation=kept.id)


def test_another_server_with_the_same_journal_knows_it(client: Any, tmp_path: Path) -> None:
    journals = [Journal(tmp_path / "runs.db") for _ in range(2)]
    first, second = (
        client({"m": Contemplator(ScriptedModel("yes"), mode="instant", journal=each)}) for each in journals
    )
    made = first.responses.create(model="m", input="Why?")
    assert second.responses.retrieve(made.id) == made
    for each in journals:
        each.close()


def test_pages_of_items_are_checked(client: Any, minds: Make) -> None:
    api = client(minds(ScriptedModel("yes")))
    made = api.responses.create(model="m", input="Why?")
    for odd in ({"limit": 0}, {"order": "up"}, {"after": "msg_0"}):
        with pytest.raises(openai.BadRequestError, match=next(iter(odd))):
            api.responses.input_items.list(made.id, **odd)


def test_tokens_are_counted_without_a_call(client: Any, minds: Make) -> None:
    model = ScriptedModel("yes")
    api = client(minds(model))
    few = api.responses.input_tokens.count(model="m", input="Why?").input_tokens
    assert 0 < few < api.responses.input_tokens.count(model="m", input="Why? " * 100).input_tokens
    assert not model.requests


def test_what_is_old_or_too_much_in_a_journal_is_deleted(serve: Serve, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "runs.db")
    documents = JournalDocuments(journal)
    with pytest.MonkeyPatch.context() as patch:
        for days, name in [(31, "resp_old"), (2, "resp_first"), (1, "conv_second"), (0, "ann/resp_last")]:
            patch.setattr("contemplate.journal.sqlite.store.time", Past(days * 86_400.0))
            documents.change(name, lambda _: "text")
    minds = {"m": Contemplator(ScriptedModel("yes"), journal=journal)}
    assert httpx2.get(f"{serve(minds)}/healthz").status_code == 200
    assert documents.names("") == ["resp_first", "conv_second", "ann/resp_last"]
    assert httpx2.get(f"{serve(minds, ServerSettings(store_most=2))}/healthz").status_code == 200
    assert documents.names("") == ["conv_second", "ann/resp_last"]
    shelves = Shelves(minds.values(), ServerSettings(store_days=0.5))
    shelves.prune_now_and_then()
    assert len(documents.names("")) == 2
    shelves._pruned -= PRUNE_SECONDS
    shelves.prune_now_and_then()
    assert documents.names("") == ["ann/resp_last"]
    journal.close()


class Past:
    """The clock as it was some seconds ago."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self) -> float:
        return time.time() - self._seconds


def test_memory_is_bounded() -> None:
    documents = MemoryDocuments(max_bytes=30)
    for name in "abc":
        documents.change(name, lambda _: "x" * 10)
    assert documents.get("a")
    documents.change("d", lambda _: "x" * 10)
    assert [name for name in "abcd" if documents.get(name)] == ["a", "c", "d"]
    documents.change("e", lambda _: "x" * 31)
    assert not any(documents.get(name) for name in "abcde")


@pytest.mark.anyio
async def test_a_response_that_is_being_made_is_nothing_to_go_on_from() -> None:
    mind = Contemplator(ScriptedModel("yes"))
    store = Store(Shelves([mind], ServerSettings()), "")
    made = new_response(ResponsesRequest(model="m", input=(), background=True), ())
    await store.keep(mind, StoredResponse(response=made))
    with pytest.raises(RequestError, match="is not finished") as caught:
        await store.before(made.id)
    assert caught.value.failure.code == "previous_response_not_finished"


def test_calls_belong_to_the_message_before_them() -> None:
    def call(id_: str) -> FunctionCall:
        return FunctionCall(id=f"fc_{id_}", call_id=id_, name="look", arguments="{}")

    said = Message(id="m", role="assistant", content=(OutputText(text="Let me see."),))
    output = FunctionCallOutput(call_id="b", output="seen")
    first, results, last = as_messages([said, call("a"), call("b"), output, call("c")])
    assert (first.text, [each.id for each in first.tool_calls]) == ("Let me see.", ["a", "b"])
    assert (results.tool_call_id, results.text) == ("b", "seen")
    assert (last.role, last.text, [each.id for each in last.tool_calls]) == ("assistant", "", ["c"])
