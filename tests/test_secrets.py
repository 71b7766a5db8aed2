"""Keys and passwords: in no log, event, error, result or repr, whatever the server says of them."""

from __future__ import annotations

import logging
import traceback

import pytest

from contemplate import ContemplateError, Contemplator, aggregators, planners
from contemplate.errors import ConfigurationError
from contemplate.events import Event
from contemplate.models import OpenAIModel, resolve
from contemplate.models.openai.pool import shown
from contemplate.testing import FaultyServer
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
        url = server.url.replace("://", f"://user:{PASSWORD}@")
        model = OpenAIModel("m", base_url=f"{url}?token=t0psecret", api_key=KEY)
        mind = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote(), on_event=events.append)
        with pytest.raises(ContemplateError) as caught:
            await mind.run("q")
    error = caught.value
    said = [str(error), repr(error), *(event.model_dump_json() for event in events), repr(model), repr(vars(model))]
    said += [record.getMessage() for record in caplog.records]
    said += [error.partial.model_dump_json()] if error.partial is not None else []
    assert events
    for text in said:
        assert not [secret for secret in (KEY, PASSWORD, "er2", "t0psecret") if secret in text], text


def test_a_name_that_is_a_url_is_told_without_its_password() -> None:
    model = resolve(f"http://user:{PASSWORD}@localhost:1/v1?key=t0psecret#m")
    assert model.name == "http://localhost:1/v1#m"
    assert PASSWORD not in repr(model)
    for wrong in (f"http://user:{PASSWORD}@localhost/v1", f"ftp://user:{PASSWORD}@localhost/v1"):
        with pytest.raises(ConfigurationError) as caught:
            resolve(wrong) if wrong.startswith("http") else OpenAIModel("m", base_url=wrong)
        assert "er2" not in "".join(traceback.format_exception_only(caught.value))


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
    assert shown(url) == place
