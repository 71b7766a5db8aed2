"""Keys and passwords: in no log, event, error, result or repr, whatever the server says of them."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contemplate import (
    Agent,
    ContemplateError,
    Contemplator,
    Message,
    RunContext,
    RunResult,
    Task,
    TaskResult,
    aggregators,
    checked,
    planners,
    tool,
)
from contemplate.errors import ConfigurationError
from contemplate.events import Event
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import OpenAIModel, resolve
from contemplate.redaction import redact, shown_url
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import FAULTS, Exchange, HttpError, RawBody, Reply

pytestmark = pytest.mark.anyio

KEY, PASSWORD = "an-odd-key-0123456789", "hunt@er2"


def echoing(exchange: Exchange) -> Reply:
    """A server that repeats the key and the address, as some do in their errors."""
    return HttpError(400, f"wrong: {KEY} at http://user:{PASSWORD}@host, Authorization: Bearer {KEY}")


def within(exchange: Exchange) -> Reply:
    return RawBody(b'{"error": {"message": "no such key %b"}}' % KEY.encode())


REPLIES = {name: FAULTS[name] for name in ("error_401", "error_500", "rate_limit", "reset_before", "invalid_json")}
REPLIES |= {name: FAULTS[name] for name in ("wrong_schema", "wrong_content_type", "no_choices", "closed_during")}


@pytest.mark.parametrize("reply", [*REPLIES.values(), echoing, within], ids=[*REPLIES, "echoing", "within"])
async def test_nothing_tells_them(reply: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="contemplate")
    events: list[Event] = []
    with FaultyServer(reply) as server:  # type: ignore[arg-type]
        model = OpenAIModel("m", base_url=server.url, api_key=KEY)
        mind = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote(), on_event=events.append)
        with pytest.raises(ContemplateError) as caught:
            await mind.run("q")
    error = caught.value
    said = [str(error), repr(error), *(event.model_dump_json() for event in events), repr(model), repr(vars(model))]
    said += [record.getMessage() for record in caplog.records]
    said += [error.partial.model_dump_json()] if error.partial is not None else []
    assert events
    for text in said:
        assert not [secret for secret in (KEY, PASSWORD, "er2") if secret in text], text


@pytest.mark.parametrize("url", ["http://{}@localhost/v1#m", "http://{}@localhost/v1", "ftp://{}@localhost/v1"])
def test_a_password_in_a_url_is_refused_and_not_told(url: str) -> None:
    """Clients would send it in place of the key, or refuse both together in the middle of a run."""
    secret = url.format(f"user:{PASSWORD}")
    for make in (resolve, lambda url: OpenAIModel("m", base_url=url, api_key=KEY)):
        with pytest.raises(ConfigurationError) as caught:
            make(secret)
        if make is not resolve or url.startswith("http"):
            assert "er2" not in "".join(traceback.format_exception_only(caught.value))


def test_a_query_is_not_part_of_a_name() -> None:
    model = resolve("http://localhost:1/v1?key=t0psecret#m")
    assert model.name == "http://localhost:1/v1#m"
    assert "t0psecret" not in repr(model)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://h:1/v1", "http://h:1/v1"),
        ("http://u:p@h/v1", "http://h/v1"),
        ("http://u:p@w@h/v1/a@b", "http://h/v1/a@b"),
        ("https://h/v1?api-key=x#m", "https://h/v1#m"),
        ("nonsense", "nonsense"),
    ],
)
def test_what_is_shown_of_a_url(url: str, place: str) -> None:
    assert shown_url(url) == place


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wrong key an-odd-key-0123456789!", "wrong key [secret]!"),
        ("both an-odd-key-0123456789-and-more", "both [secret]"),
        ("none of these", "none of these"),
        ("at http://user:hunt@er2@host/v1/a@b", "at http://[secret]@host/v1/a@b"),
        ("http://h/v1?api-version=1&api-key=abc&n=2", "http://h/v1?api-version=1&api-key=[secret]&n=2"),
        ("GET 'https://h/a?X-Amz-Signature=abc'", "GET 'https://h/a?X-Amz-Signature=[secret]'"),
        ("no such key sk-abcdef123456, nor RK-abc***def", "no such key [secret], nor [secret]"),
        ("Authorization: Bearer abcdefgh.123", "Authorization: Bearer [secret]"),
        ("missing bearer or basic authentication", "missing bearer or basic authentication"),
        ("a task-oriented risk-averse answer", "a task-oriented risk-averse answer"),
    ],
)
def test_what_is_told_of_a_text(text: str, told: str) -> None:
    secrets = (KEY, f"{KEY}-and-more", "none", "")
    assert redact(text, *secrets) == told
    assert redact(told, *secrets) == told


RAISED = f"GET https://ann:{PASSWORD}@host/v1?api_key={KEY} failed, Authorization: Bearer {KEY}"


def failing(*given: object) -> Any:
    raise RuntimeError(RAISED)


async def failing_plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield failing()


async def failing_merge(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    return str(failing())


@tool
def fetch() -> str:
    """Fetch."""
    return str(failing())


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [fetch]},
        {"agent": failing},
        {"planner": failing_plan},
        {"aggregator": failing_merge},
        {"agent": checked(Agent(), failing)},
        {"aggregator": aggregators.vote(key=failing)},
        {"planner": planners.verified(failing)},
    ],
    ids=["tool", "agent", "planner", "aggregator", "check", "key", "verifier"],
)
async def test_what_users_code_raises_goes_nowhere_with_its_secrets(
    options: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither to the model, nor into an event, a log, a journal, a record or an error."""
    caplog.set_level(logging.DEBUG, logger="contemplate")
    call = Message(role="assistant", tool_calls=(ToolCall(id="1", name="fetch", arguments="{}"),))
    model = ScriptedModel(lambda request: call if request.tools and request.messages[-1].role != "tool" else "done")
    events: list[Event] = []
    journal = Journal(tmp_path / "runs.db")
    mind = Contemplator(model, **{"mode": "vote", **options}, on_event=events.append, journal=journal)
    said: list[str] = []
    try:
        result: RunResult[Any] | None = await mind.run("q", run_id="r")
    except ContemplateError as error:
        said, result = [str(error), repr(error), str(error.hint)], error.partial
    journal.close()
    assert result is not None
    assert "[secret]" in "".join(event.model_dump_json() for event in events)
    said += [result.model_dump_json(), str(result.to_records()), result._repr_html_(), repr(model.requests)]
    said += [event.model_dump_json() for event in events] + [record.getMessage() for record in caplog.records]
    said.append((tmp_path / "runs.db").read_bytes().decode(errors="replace"))
    for text in said:
        assert not [secret for secret in (KEY, PASSWORD) if secret in text], text
