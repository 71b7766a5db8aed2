"""What those see who watch the server: ids, logs, metrics; and what a browser is allowed."""

from __future__ import annotations

import logging
import time

import httpx2
import openai
import pytest

from contemplate import Contemplator
from contemplate.server import ServerSettings
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Minds, Serve
from .test_server_slow_clients import BODY, CHAT, Endless

PAGE = "https://chat.example.org"


def minds() -> Minds:
    return {"m": Contemplator(ScriptedModel("Yes."), mode="instant")}


def test_each_answer_has_an_id(serve: Serve) -> None:
    url = serve(minds())
    ids = [
        httpx2.get(url + "/healthz"),
        httpx2.get(url + "/nowhere"),
        httpx2.post(url + CHAT, json=BODY),
        httpx2.post(url + CHAT, json={}),
        httpx2.post(url + CHAT, json=BODY | {"stream": True}),
    ]
    assert len({each.headers["x-request-id"] for each in ids}) == len(ids)


@pytest.mark.parametrize(
    ("given", "kept"), [("my-id:1.2_3", True), ("x" * 200, False), ("a b", False), ('"><script>', False)]
)
def test_a_sane_id_of_the_client_is_kept(serve: Serve, given: str, kept: bool) -> None:
    answer = httpx2.get(serve(minds()) + "/healthz", headers={"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) is kept


def test_the_log_of_a_request(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="contemplate.server")
    url = serve(minds())
    answer = httpx2.post(url + CHAT, json=BODY, headers={"x-request-id": "abc"})
    httpx2.get(url + "/a%0Ab")
    # It is written when the answer is out.
    while len(caplog.records) < 2:
        time.sleep(0.001)
    line, other = caplog.records
    assert line.getMessage() == f"POST {CHAT} 200"
    said = vars(line)
    assert (said["request"], said["model"], said["outcome"]) == ("abc", "m", "answered")
    assert (said["run"], said["output_tokens"]) == (answer.json()["id"].removeprefix("chatcmpl-"), 1)
    assert other.getMessage() == "GET /a%0Ab 404"


def test_a_client_that_leaves_is_no_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model = Endless()
    url = serve({"m": Contemplator(model, mode="instant")})
    with httpx2.stream("POST", url + CHAT, json=BODY | {"stream": True}) as answer:
        next(answer.iter_lines())
    assert model.cancelled.wait(PATIENCE)
    while 'outcome="left"} 1.0' not in httpx2.get(url + "/metrics").text:
        pass
    assert all(record.levelno < logging.WARNING for record in caplog.records)


def test_metrics_count_requests_runs_and_tokens_and_name_nothing_of_a_client(serve: Serve) -> None:
    url = serve(minds())
    httpx2.post(url + CHAT, json=BODY)
    httpx2.post(url + CHAT, json=BODY | {"model": "secret-wish"})
    httpx2.get(url + "/secret-path")
    shown = httpx2.get(url + "/metrics").text
    for line in (
        'contemplate_requests_total{route="/v1/chat/completions",status="200"} 1.0',
        'contemplate_requests_total{route="/v1/chat/completions",status="404"} 1.0',
        'contemplate_requests_total{route="other",status="404"} 1.0',
        'contemplate_runs_total{key="",model="m",outcome="answered"} 1.0',
        'contemplate_tokens_total{key="",kind="output",model="m"} 1.0',
        "contemplate_runs_active 0.0",
    ):
        assert line in shown.splitlines()
    assert "secret" not in shown


def test_names_that_a_client_makes_up_are_one_in_metrics(serve: Serve) -> None:
    url = serve({"gpt-*": Contemplator(ScriptedModel("Yes."), mode="instant")})
    for name in ("gpt-one", "gpt-two"):
        assert httpx2.post(url + CHAT, json=BODY | {"model": name}).json()["model"] == name
    shown = httpx2.get(url + "/metrics").text
    assert 'contemplate_runs_total{key="",model="gpt-*",outcome="answered"} 2.0' in shown.splitlines()
    assert "gpt-one" not in shown


def test_a_bug_is_answered_with_an_id_that_the_log_has(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Buggy(Contemplator[str]):
        @property
        def prompts(self) -> object:  # type: ignore[override]
            raise RuntimeError("the password is hunter2")

    url = serve({"m": Buggy(ScriptedModel("Yes."))})
    answer = httpx2.post(url + CHAT, json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "hunter2" not in answer.text
    (record,) = caplog.records
    assert vars(record)["request"] == answer.headers["x-request-id"]


def test_web_pages_are_kept_out_unless_they_are_allowed(serve: Serve) -> None:
    asks = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    closed = serve(minds())
    assert "access-control-allow-origin" not in httpx2.options(closed + CHAT, headers=asks).headers
    url = serve(minds(), ServerSettings(allowed_origins=(PAGE,)))
    asked = httpx2.options(url + CHAT, headers=asks)
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, PAGE)
    for path, status in ((CHAT, 200), ("/v1/nowhere", 404)):
        answer = httpx2.post(url + path, json=BODY, headers={"origin": PAGE})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
    others = httpx2.post(url + CHAT, json=BODY, headers={"origin": "https://evil.example.org"})
    assert "access-control-allow-origin" not in others.headers


def test_the_official_client_shows_the_id(serve: Serve) -> None:
    with (
        openai.OpenAI(base_url=f"{serve(minds())}/v1", api_key="none") as client,
        pytest.raises(openai.NotFoundError) as caught,
    ):
        client.models.retrieve("nothing")
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")
