"""`contemplate worker`, `submit` and `cluster status`, as they are typed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest

from contemplate.cli import main
from contemplate.cluster import status
from contemplate.cluster.worker import Worker
from contemplate.journal.account_limits import accounts_in
from contemplate.models.wrappers.rate_limit import Allowed, End, Join, News

from ..patience import PATIENCE
from .stage import Stage, read, samples, wait_until


def test_a_question_is_submitted_and_its_answer_waited_for(
    workers: str, on_stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["submit", "Which?", "--mind", "voters", "--journal", workers, "--run-id", "typed"]
    assert main(command) == 0
    assert capsys.readouterr().out == "typed\n"
    assert main([*command, "--wait", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["run_id"] == "typed"
    assert "submitted as run typed" in err
    assert main(["submit", "Another", "--mind", "voters", "--journal", workers, "--wait", "--events"]) == 0
    told = [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()]
    assert (told[0], told[-1]) == ("run_started", "run_finished")
    assert len(on_stage.asked()) == 10


def test_a_contemplator_that_nobody_has_is_told_of(
    workers: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["submit", "Any", "--mind", "voter", "--journal", workers]) == 0
    assert "no worker takes runs of 'voter'; those alive are: voters, careful on" in caplog.text
    assert "start the program that registers 'voter'" in caplog.text
    assert main(["submit", "Any", "--journal", workers]) == 2
    assert "several contemplators: careful, voters" in capsys.readouterr().err


def test_the_cluster_is_seen(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "status", "--journal", workers]) == 0
    out = capsys.readouterr().out
    assert "workers: 1" in out
    # How many go on is as old as the last heartbeat.
    assert re.search(r"voters, careful  \d of 8 runs, working", out)
    assert main(["cluster", "status", "--journal", workers, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["workers"][0]["minds"] == ["voters", "careful"]
    assert [each.minds for each in status(workers).workers] == [("voters", "careful")]


def test_what_a_worker_does_is_told_to_prometheus(worker: Worker, workers: str, on_stage: Stage) -> None:
    assert worker.metrics_url is not None
    before = samples(read(worker.metrics_url))
    assert main(["submit", "Counted?", "--mind", "voters", "--journal", workers, "--wait", "--quiet"]) == 0
    url = worker.metrics_url
    runs, calls = ("contemplate_worker_runs_total", "voters", "answered"), ("contemplate_worker_model_calls_total",)
    # It is answered for the client a moment before it is over for the worker.
    wait_until(lambda: samples(read(url)).get(runs, 0) - before.get(runs, 0) == 1)
    after = samples(read(url))
    assert after[*calls, "voters", "answered"] - before.get((*calls, "voters", "answered"), 0) == 5
    assert after["contemplate_cluster_workers_alive", "careful"] == 1
    assert after["contemplate_worker_places",] == 8


def test_limits_are_seen(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    accounts, gate = accounts_in(workers), "seen"
    joins = [Join(f"seen {number}", "a run", 10) for number in range(3)]
    news = News(Allowed(60, 600, 2), True, joins, waiting=[join.call for join in joins])
    accounts.exchange("us", gate, news, PATIENCE)
    assert main(["cluster", "status", "--journal", workers]) == 0
    out = capsys.readouterr().out
    # Buckets fill by the second.
    left = "(58|59|60) requests left, (5[89].|600) tokens left"
    assert re.search(rf"limits:\n  us  2 of 2 in flight, 1 waiting, {left}\nruns: ", out)
    accounts.exchange("us", gate, News(Allowed(), ends=[End("seen 0", "refused", retry_after=30)]), PATIENCE)
    assert main(["cluster", "status", "--journal", workers]) == 0
    assert re.search(r"  us  1 of 1 in flight, 1 waiting, .*, paused for \d+ s, as the prov", capsys.readouterr().out)
    (account,) = status(workers).limits
    assert (account.account, account.in_flight) == ("us", 1)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["worker", "tests.cluster.stage:nobody"], "no attribute 'nobody'"),
        (["worker", "tests.cluster.stage"], "there is no contemplator 'tests.cluster.stage'"),
        (["worker", "tests.nowhere:mind"], "No module named 'tests.nowhere'"),
        (["worker", "tests.cluster.stage:STAGE"], "is a Stage, not a Contemplator"),
        (["worker", "tests.cluster.stage:voters", "--journal", "runs.db"], "one machine only"),
        (["submit", "Any", "--journal", "sqlite:///runs.db"], "one machine only"),
        (["cluster", "status"], "there is no journal"),
        (["submit", " ", "--journal", "postgresql://127.0.0.1:1/nowhere"], "question is empty"),
    ],
)
def test_what_is_typed_wrongly_is_told(
    command: Sequence[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONTEMPLATE_JOURNAL", raising=False)
    assert main([*command]) == 2 if "worker" not in command or "--journal" in command else True
    if "worker" in command and "--journal" not in command:
        assert main([*command, "--journal", "postgresql://127.0.0.1:1/nowhere"]) == 2
    assert says in capsys.readouterr().err
