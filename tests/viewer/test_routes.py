"""What the viewer's page asks for: lists, events and decisions; for whom, and for whom not."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from contemplate import Budget, Contemplator, Message, tool
from contemplate.journal import Journal
from contemplate.journal.journal import checksum_of
from contemplate.journal.overview import RunFilter, RunOverview, overview
from contemplate.messages import ToolCall
from contemplate.modes import Mode
from contemplate.server import ClientKey, ServerSettings
from contemplate.server.viewer.live_runs import LiveRuns
from contemplate.server.viewer.shown_runs import ShownRuns
from contemplate.testing import ScriptedModel
from contemplate.usage import Price

from ..server.conftest import Serve
from .conftest import KEY, Show

CHAT = "/v1/chat/completions"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}
ANN, BOB = ClientKey("ann", "the-key-of-ann"), ClientKey("bob", "the-key-of-bob")


def filled(path: Path, runs: int = 7) -> Journal:
    """A journal with runs whose questions, modes and costs differ."""
    journal = Journal(path)
    for number in range(runs):
        mode: Mode = "instant" if number % 2 else "thinking"
        model = ScriptedModel("yes", name=f"model-{number % 3}", price=Price(input=1000 * number, output=0))
        mind = Contemplator(model, mode=mode, journal=journal, labels={"mode": mode})
        mind.run_sync(f"Is Question {number} 100% 'quoted'?", run_id=f"run-{number}")
    return journal


def of(found: list[RunOverview]) -> list[str]:
    return [run.run_id for run in found]


def test_runs_are_found_by_what_they_are(tmp_path: Path) -> None:
    journal = filled(tmp_path / "runs.db")
    assert of(overview(journal, RunFilter())) == [f"run-{number}" for number in reversed(range(7))]
    assert of(overview(journal, RunFilter(text="QUESTION 3 100% '"))) == ["run-3"]
    assert of(overview(journal, RunFilter(text="run-5"))) == ["run-5"]
    assert overview(journal, RunFilter(text="%")) == overview(journal, RunFilter())
    assert of(overview(journal, RunFilter(mode="instant"))) == ["run-5", "run-3", "run-1"]
    assert of(overview(journal, RunFilter(model="model-1"))) == ["run-4", "run-1"]
    assert overview(journal, RunFilter(status="failed")) == []
    costs = {run.run_id: run.cost_usd or 0.0 for run in overview(journal, RunFilter())}
    dear = [name for name, cost in costs.items() if cost >= costs["run-5"]]
    assert 2 <= len(dear) < 7
    assert of(overview(journal, RunFilter(least_cost=costs["run-5"]))) == dear
    assert of(overview(journal, RunFilter(mode="instant", least_cost=costs["run-5"]))) == ["run-5"]
    assert of(overview(journal, RunFilter(), skip=2, most=3)) == ["run-4", "run-3", "run-2"]
    assert overview(journal, RunFilter(client="ann")) == overview(journal, RunFilter(served=True)) == []
    for run in overview(journal, RunFilter()):
        assert RunFilter(text=run.question[3:9].upper(), mode=run.mode, model=run.model).holds(run)
        assert not RunFilter(mode="vote").holds(run)


def test_a_damaged_record_costs_no_other(tmp_path: Path) -> None:
    journal = filled(tmp_path / "runs.db", 2)
    body = "{not JSON"
    change = "UPDATE runs SET body = ?, checksum = ? WHERE run_id = 'run-0'"
    journal.store.write(lambda connection: connection.execute(change, (body, checksum_of(body))), 1.0)
    assert of(overview(journal, RunFilter())) == ["run-1"]


def test_the_list_comes_in_pages(tmp_path: Path, show: Show) -> None:
    url = show(ShownRuns((filled(tmp_path / "a.db"), filled(tmp_path / "b.db", 3)), LiveRuns()))

    def page(**wanted: str) -> tuple[list[str], bool]:
        body = httpx2.get(f"{url}/viewer/runs", params=wanted, headers=AUTHORIZED).json()
        return [run["run_id"] for run in body["runs"]], body["more"]

    whole, more = page()
    # The newest of both journals first, and of one that is in both the newer record.
    assert (whole, more) == ([f"run-{number}" for number in (2, 1, 0, 6, 5, 4, 3)], False)
    assert page(most="3") == (whole[:3], True)
    assert page(most="3", skip="6") == (whole[6:], False)
    assert page(text="Question 4") == (["run-4"], False)
    assert page(least_cost="", most="x") == (whole, False)
    assert httpx2.get(f"{url}/viewer/runs?least_cost=many", headers=AUTHORIZED).status_code == 400


def test_nobody_is_told_anything_without_the_key(tmp_path: Path, show: Show) -> None:
    url = show(ShownRuns((filled(tmp_path / "a.db", 1),), LiveRuns()))
    for path in ("/viewer/runs", "/viewer/runs/run-0/events", "/viewer/runs/run-0/page", "/metrics"):
        for headers in ({}, {"authorization": "Bearer wrong-key-of-nobody"}, {"cookie": f"key={KEY}"}):
            answer = httpx2.get(url + path, headers=headers)
            assert answer.status_code == 401
            assert "Question" not in answer.text
        assert httpx2.get(f"{url}{path}?key={KEY}").status_code == 401
    decided = {"call": "c", "decision": "approve"}
    assert httpx2.post(f"{url}/viewer/runs/run-0/decisions", json=decided).status_code == 401
    for path in ("/", "/viewer.js", "/viewer.css"):
        assert httpx2.get(url + path).status_code == 200


def test_pages_of_others_are_refused(tmp_path: Path, show: Show) -> None:
    url = show(ShownRuns((filled(tmp_path / "a.db", 1),), LiveRuns()))
    elsewhere = {**AUTHORIZED, "origin": "http://evil.example"}
    assert httpx2.get(f"{url}/viewer/runs", headers=elsewhere).status_code == 403
    assert httpx2.get(f"{url}/viewer/runs", headers={**AUTHORIZED, "origin": url}).status_code == 200
    assert httpx2.get(f"{url}/viewer/runs", headers={**AUTHORIZED, "host": "evil.example"}).status_code == 400
    decide = f"{url}/viewer/runs/run-0/decisions"
    body = json.dumps({"call": "c", "decision": "approve"})
    assert (
        httpx2.post(decide, content=body, headers=elsewhere | {"content-type": "application/json"}).status_code == 403
    )
    # What a form can send.
    assert httpx2.post(decide, content=body, headers=AUTHORIZED | {"content-type": "text/plain"}).status_code == 415


def test_what_is_not_there_is_told(tmp_path: Path, show: Show) -> None:
    url = show(ShownRuns((filled(tmp_path / "a.db", 1),), LiveRuns()))
    for path in ("/viewer/runs/nothing/events", "/viewer/runs/nothing/page"):
        answer = httpx2.get(url + path, headers=AUTHORIZED)
        assert (answer.status_code, "nothing" in answer.json()["error"]["message"]) == (404, True)
    decide = f"{url}/viewer/runs/run-0/decisions"
    for body, said in (
        ({"call": "c", "decision": "approve"}, "waits"),
        ({"call": "c", "decision": "perhaps"}, "decision"),
    ):
        answer = httpx2.post(decide, json=body, headers=AUTHORIZED)
        assert answer.status_code == 400
        assert said in answer.json()["error"]["message"]


def test_events_go_on_after_those_that_were_read(tmp_path: Path, show: Show) -> None:
    url = show(ShownRuns((filled(tmp_path / "a.db", 1),), LiveRuns()))
    whole = httpx2.get(f"{url}/viewer/runs/run-0/events", headers=AUTHORIZED).text.splitlines()
    rest = httpx2.get(f"{url}/viewer/runs/run-0/events?after=3", headers=AUTHORIZED).text.splitlines()
    assert rest == whole[3:]
    assert json.loads(whole[0])["run_id"] == "run-0"


@pytest.mark.parametrize("keys", [(), (ANN, BOB)])
def test_each_key_sees_its_own_runs(serve: Serve, tmp_path: Path, keys: tuple[ClientKey, ...]) -> None:
    path = tmp_path / "runs.db"
    private = Contemplator(ScriptedModel("yes"), mode="instant", journal=f"sqlite:///{path}")
    private.run_sync("Private?", run_id="private")

    def listed(url: str, key: ClientKey | None) -> list[str]:
        headers = {} if key is None else {"x-api-key": key.secret}
        body = httpx2.get(f"{url}/viewer/runs", headers=headers).json()
        return sorted(run["question"] for run in body["runs"])

    askers: tuple[ClientKey | None, ...] = keys or (None,)
    for again in (False, True):
        # A server that was started anew knows those of the journal only.
        mind = Contemplator(ScriptedModel("yes"), mode="instant", journal=f"sqlite:///{path}")
        url = serve({"m": mind}, ServerSettings(keys=keys))
        for key in askers:
            name = "nobody" if key is None else key.name
            if not again:
                body = {"model": "m", "messages": [{"role": "user", "content": f"Of {name}?"}]}
                headers = {} if key is None else {"x-api-key": key.secret}
                assert httpx2.post(url + CHAT, json=body, headers=headers).status_code == 200
        for key in askers:
            own = [f"Of {key.name}?"] if key is not None else [] if again else ["Of nobody?"]
            assert listed(url, key) == own
    if keys:
        runs = httpx2.get(f"{url}/viewer/runs", headers={"x-api-key": ANN.secret}).json()["runs"]
        theirs = f"{url}/viewer/runs/{runs[0]['run_id']}/events"
        assert httpx2.get(theirs, headers={"x-api-key": ANN.secret}).status_code == 200
        assert httpx2.get(theirs, headers={"x-api-key": BOB.secret}).status_code == 404
        assert httpx2.get(f"{url}/viewer/runs/private/events", headers={"x-api-key": ANN.secret}).status_code == 404


@pytest.mark.parametrize("journal", [None, "memory:"])
def test_a_run_that_goes_on_by_a_click_is_paid_by_the_key_and_counted(
    serve: Serve, journal: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="contemplate.server")

    @tool(approval=True)
    def mail() -> str:
        return "sent"

    call = Message.assistant("", (ToolCall(id="c", name="mail", arguments="{}"),))
    mind = Contemplator(ScriptedModel([call, "Done."]), mode="instant", tools=[mail], journal=journal)
    budget = Budget("ann", calls=5)
    url = serve({"m": mind}, ServerSettings(keys=(ClientKey("ann", ANN.secret, (budget,)),)))
    headers = {"x-api-key": ANN.secret}
    body = {"model": "m", "messages": [{"role": "user", "content": "Mail."}]}
    httpx2.post(url + CHAT, json=body, headers=headers)
    assert budget.left().calls == 4
    (run,) = httpx2.get(f"{url}/viewer/runs", headers=headers).json()["runs"]
    at = f"{url}/viewer/runs/{run['run_id']}"
    with httpx2.stream("GET", f"{at}/events", headers=headers) as told:
        lines = told.iter_lines()
        waiting = next(each for each in map(json.loads, filter(None, lines)) if each["kind"] == "run_suspended")
        decision = {"call": waiting["pending"][0]["id"], "decision": "approve"}
        assert httpx2.post(f"{at}/decisions", json=decision, headers=headers).status_code == 200
        assert any(each["kind"] == "run_finished" for each in map(json.loads, filter(None, lines)))
    assert budget.left().calls == 3
    # The request of the click is counted when it is answered, and the run that went on when that is over.
    said = 'contemplate_model_calls_total{key="ann",model="m"} 2.0'
    while said not in (shown := httpx2.get(f"{url}/metrics", headers=headers).text):
        pass
    for outcome in ("suspended", "answered"):
        assert f'contemplate_runs_total{{key="ann",model="m",outcome="{outcome}"}} 1.0' in shown
    (line,) = [each for each in caplog.records if each.message == f"run {run['run_id']}"]
    facts = line.__dict__
    assert (facts["key"], facts["model"], facts["outcome"], facts["run"]) == ("ann", "m", "answered", run["run_id"])
    assert facts["output_tokens"] > 0
    # What is refused is no run.
    other = decision | {"call": "other"}
    assert httpx2.post(f"{at}/decisions", json=other, headers=headers).status_code == 400
    counted = httpx2.get(f"{url}/metrics", headers=headers).text
    assert [each for each in counted.splitlines() if each.startswith("contemplate_runs_total")] == [
        each for each in shown.splitlines() if each.startswith("contemplate_runs_total")
    ]


def test_a_run_of_a_contemplator_that_is_gone_is_not_gone_on_with(serve: Serve, tmp_path: Path) -> None:
    @tool(approval=True)
    def mail() -> str:
        return "sent"

    call = Message.assistant("", (ToolCall(id="c", name="mail", arguments="{}"),))
    journal = f"sqlite:///{tmp_path / 'runs.db'}"
    mind = Contemplator(ScriptedModel([call, "Done."]), mode="instant", tools=[mail], journal=journal)
    headers, settings = {"x-api-key": ANN.secret}, ServerSettings(keys=(ANN,))
    url = serve({"old": mind}, settings)
    body = {"model": "old", "messages": [{"role": "user", "content": "Mail."}]}
    httpx2.post(url + CHAT, json=body, headers=headers)
    url = serve({"new": mind}, settings)
    (run,) = httpx2.get(f"{url}/viewer/runs", headers=headers).json()["runs"]
    at = f"{url}/viewer/runs/{run['run_id']}"
    decision = {"call": "c", "decision": "approve"}
    refused = httpx2.post(f"{at}/decisions", json=decision, headers=headers)
    assert refused.status_code == 400
    assert "there is no contemplator 'old' here" in refused.json()["error"]["message"]


def test_a_server_can_do_without(serve: Serve) -> None:
    mind = Contemplator(ScriptedModel("yes"), mode="instant")
    url = serve({"m": mind}, ServerSettings(viewer=False))
    assert httpx2.get(url).status_code == 404
    assert httpx2.get(f"{url}/viewer/runs").status_code == 404
    assert "/viewer/runs" not in httpx2.get(f"{url}/openapi.json").json()["paths"]
