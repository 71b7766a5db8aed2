"""Keys: who may ask, and what each may spend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import openai
import pytest

from contemplate import Budget, Contemplator, Limits
from contemplate.errors import ConfigurationError
from contemplate.server import ClientKey, ServerSettings, read_config
from contemplate.server.api_errors import budget_spent
from contemplate.server.key_syntax import read_keys
from contemplate.server.keys import KeyRing
from contemplate.testing import ScriptedModel

from .conftest import Minds, Serve

ANN, BOB = "sk-ann-0123456789", "sk-bob-0123456789"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
CHAT = "/v1/chat/completions"
MIND = "from contemplate import Contemplator\nmind = Contemplator('http://127.0.0.1:9/v1#m')"


def minds() -> Minds:
    return {"m": Contemplator(ScriptedModel("Yes."), mode="instant")}


def ask(url: str, secret: str, **headers: str) -> httpx2.Response:
    return httpx2.post(url + CHAT, json=QUESTION, headers={"authorization": f"Bearer {secret}", **headers})


def test_a_key_lets_in_and_its_secret_is_told_nowhere(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="contemplate.server")
    url = serve(minds(), ServerSettings(keys=(ClientKey("ann", ANN), ClientKey("bob", BOB))))
    assert ask(url, ANN).status_code == 200
    assert httpx2.post(url + CHAT, json=QUESTION, headers={"x-api-key": BOB}).status_code == 200
    shown = httpx2.get(url + "/metrics", headers={"x-api-key": ANN}).text
    assert 'contemplate_runs_total{key="bob",model="m",outcome="answered"} 1.0' in shown
    assert [vars(record)["key"] for record in caplog.records][:2] == ["ann", "bob"]
    assert ANN not in caplog.text + shown + repr(ClientKey("ann", ANN))


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-nobody"}, {"authorization": f"Basic {ANN}"}])
def test_without_a_key_only_health_is_told(serve: Serve, headers: dict[str, str]) -> None:
    url = serve(minds(), ServerSettings(keys=(ClientKey("ann", ANN),)))
    for path in (CHAT, "/v1/models", "/metrics", "/nowhere"):
        refused = httpx2.get(url + path, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert refused.headers["x-request-id"].startswith("req_")
    assert httpx2.get(url + "/healthz").status_code == httpx2.get(url + "/readyz").status_code == 200


def test_the_official_client_is_told_that_its_key_is_refused(serve: Serve) -> None:
    url = serve(minds(), ServerSettings(keys=(ClientKey("ann", ANN),)))
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="sk-wrong") as client,
        pytest.raises(openai.AuthenticationError, match="not one of this server's") as caught,
    ):
        client.models.list()
    assert caught.value.code == "invalid_api_key"


def test_all_keys_are_compared() -> None:
    ring = KeyRing([ClientKey("ann", ANN), ClientKey("bob", BOB)])
    assert [found and found.name for found in map(ring.find, (ANN, BOB, "", ANN[:-1]))] == ["ann", "bob", None, None]


@pytest.mark.parametrize(("per", "retry"), [("day", "false"), (None, "false"), ("minute", "true")])
def test_a_key_spends_its_own_budget_only(serve: Serve, per: str | None, retry: str) -> None:
    budget = Budget("ann calls", calls=1, per=per)  # type: ignore[arg-type]
    budget._clock = lambda: 30.0
    url = serve(minds(), ServerSettings(keys=(ClientKey("ann", ANN, (budget,)), ClientKey("bob", BOB))))
    assert ask(url, ANN).status_code == 200
    spent = ask(url, ANN)
    assert spent.status_code == 429
    assert "nothing left of its budget 'ann calls'" in spent.json()["error"]["message"]
    assert spent.headers["x-should-retry"] == retry
    assert spent.headers.get("retry-after") == {"day": "86370", "minute": "30", None: None}[per]
    assert ask(url, BOB).status_code == 200


def test_budgets_of_keys_are_kept_in_a_journal(tmp_path: Path, serve: Serve) -> None:
    for status in (200, 429):
        keys = read_keys([f"ann={ANN}"], ["ann:1calls/day", "1000000 tokens/minute"], f"sqlite:///{tmp_path}/runs.db")
        assert ask(serve(minds(), ServerSettings(keys=keys)), ANN).status_code == status


@pytest.mark.parametrize(
    ("wanted", "status"), [("", 200), ("calls=5, seconds=30", 200), ("calls=x", 400), ("calls", 400), ("wish=1", 400)]
)
def test_a_header_asks_for_limits(serve: Serve, wanted: str, status: int) -> None:
    answer = ask(serve(minds()), ANN, **{"x-contemplate-limits": wanted})
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["param"] == "x-contemplate-limits"


@pytest.mark.parametrize("wanted", ["total_tokens=1", "total_tokens=1000000"])
def test_limits_of_a_request_can_only_be_lowered(serve: Serve, wanted: str) -> None:
    most = 1000 if wanted.endswith("=1") else 1
    settings = ServerSettings(limits=Limits(total_tokens=most))
    refused = ask(serve(minds(), settings), ANN, **{"x-contemplate-limits": wanted})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "LimitExceeded")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ClientKey("", ANN),
        lambda: ClientKey("a b", ANN),
        lambda: ClientKey("ann", "short"),
        lambda: ClientKey("ann", "with a space"),
        lambda: ServerSettings(keys=(ClientKey("a", ANN), ClientKey("b", ANN))),
        lambda: ServerSettings(keys=(ClientKey("a", ANN), ClientKey("a", BOB))),
        lambda: ServerSettings(max_runs=0),
        lambda: ServerSettings(unread_seconds=float("nan")),
    ],
)
def test_settings_that_cannot_be(wrong: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        wrong()
    assert ANN not in str(caught.value)


def test_a_setting_that_cannot_be_says_what_can() -> None:
    with pytest.raises(ConfigurationError, match="max_runs=0") as caught:
        ServerSettings(max_runs=0)
    assert caught.value.hint == "a number above 0"
    assert ServerSettings(max_queued=0, drain_seconds=0).max_queued == 0


@pytest.mark.parametrize(("now", "retry", "wait"), [(0.0, "true", "60"), (59.5, "true", "1")])
def test_a_spent_budget_is_asked_again_as_soon_as_the_official_clients_do(now: float, retry: str, wait: str) -> None:
    budget = Budget("b", calls=1, per="minute")
    budget._clock = lambda: now
    assert budget_spent(budget).headers == {"retry-after": wait, "x-should-retry": retry}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not say what to serve"),
        ("minds = {}", "does not say what to serve"),
        ("minds = {'a': 1}", r"minds\['a'\] is a int"),
        ("mind = minds = 1", "both"),
        ("1 / 0", "ZeroDivisionError"),
        (
            "from contemplate import Contemplator\nmind = Contemplator('http://127.0.0.1:9/v1#m')\nsettings = 1",
            "settings is a int",
        ),
    ],
)
def test_files_that_configure_nothing(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mind.py"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_config(path)


def test_a_file_with_one_mind(tmp_path: Path) -> None:
    path = tmp_path / "mind.py"
    path.write_text(MIND)
    assert list(read_config(path).minds) == ["contemplate"]
