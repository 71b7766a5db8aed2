"""Old runs that are over are deleted, and nothing else is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, get_args

import psycopg
import pytest

from contemplate import Contemplator, planners
from contemplate.aggregators import first
from contemplate.cli import main
from contemplate.errors import ConfigurationError
from contemplate.journal import Journal, RunRecord, open_journal, prune, pruning
from contemplate.journal.entries import Status
from contemplate.journal.postgres import address_of
from contemplate.journal.store import SQLConnection
from contemplate.testing import ScriptedModel

from ..postgres import PostgresServer
from .conftest import Opened
from .test_store import entry

pytestmark = pytest.mark.anyio
DAY = 86_400.0


def record(run_id: str, status: Status, days: float) -> RunRecord:
    return RunRecord(run_id=run_id, question="What?", model="m", status=status, created=time.time() - days * DAY)


def parts(journal: Journal) -> int:
    rows = journal.store.read(lambda connection: connection.execute("SELECT count(*) FROM parts").fetchall(), 1.0)
    return int(rows[0][0])


async def asked(journal: Journal, question: str, run_id: str) -> int:
    model = ScriptedModel("yes")
    mind = Contemplator(model, planner=planners.sample(2, seed=0), aggregator=first(), journal=journal)
    await mind.run(question, run_id=run_id)
    return len(model.requests)


def aged(journal: Journal, run_id: str, days: float) -> None:
    values = (time.time() - days * DAY, run_id)
    journal.store.write(
        lambda connection: connection.execute("UPDATE runs SET created = ? WHERE run_id = ?", values), 1.0
    )


async def test_of_those_that_stay_nothing_is_lost(name: str) -> None:
    journal = open_journal(name)
    await asked(journal, "Why?", "old")
    mine = parts(journal)
    await asked(journal, "Why?", "new")
    await asked(journal, "Why else?", "other")
    aged(journal, "old", 31)
    aged(journal, "other", 32)
    both = parts(journal)
    assert prune(journal, 30 * DAY, dry_run=True) == 2
    assert (journal.run_ids(), parts(journal)) == (["new", "old", "other"], both)
    assert prune(journal, 30 * DAY) == 2
    assert journal.run_ids() == ["new"]
    assert (journal.entries("old"), parts(journal)) == ([], mine)
    assert all(journal.parts(entry.parts) for entry in journal.entries("new") if entry.parts)
    assert await asked(journal, "Why?", "new") == 0
    assert await asked(journal, "Why?", "old") > 0
    assert prune(journal, 30 * DAY) == 0
    journal.close()


def test_a_piece_that_is_used_again_meanwhile_stays(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, other = opened(), opened()
    with_piece = entry().model_copy(update={"parts": ("d",)})
    journal.save(record("old", "answered", 31))
    journal.append("old", [with_piece], {"d": "text", "unused": "text"})
    read = journal.store.read

    def reading(work: Callable[[SQLConnection], Any], patience: float) -> Any:
        found = read(work, patience)
        if isinstance(found, list) and ("d",) in found:
            other.append("new", [with_piece], {"d": "text"})
        return found

    monkeypatch.setattr(journal.store, "read", reading)
    monkeypatch.setattr(pruning, "PARTS_AT_ONCE", 1)
    assert prune(journal, 30 * DAY) == 1
    assert parts(journal) == 1
    assert [each.parts for each in journal.entries("new")] == [("d",)]


def test_a_piece_that_is_about_to_be_used_stays(postgres: PostgresServer) -> None:
    address = postgres.address()
    schema = address_of(address).schema
    with closing(open_journal(address)) as journal, psycopg.connect(address.partition("?")[0]) as writer:
        journal.save(record("old", "answered", 31))
        journal.append("old", [entry().model_copy(update={"parts": ("d",)})], {"d": "text"})
        body = journal.entries("old")[0].model_dump_json()
        writer.execute(f"SET search_path TO {schema}".encode())
        writer.commit()
        writer.execute("INSERT INTO parts VALUES ('d', 'text') ON CONFLICT DO NOTHING")
        writer.execute("INSERT INTO calls (run_id, slot, body, checksum) VALUES ('new', 's', %s, 0)", (body,))
        # What is recorded after it is there before it.
        journal.append("later", [entry()], {})
        pruned = threading.Thread(target=prune, args=(journal, 30 * DAY))
        pruned.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'parts'::regclass"
        with psycopg.connect(address.partition("?")[0], autocommit=True) as looking:
            looking.execute(f"SET search_path TO {schema}".encode())
            while looking.execute(waiting).fetchone() == (0,):
                assert pruned.is_alive()
        writer.commit()
        pruned.join()
        assert (journal.run_ids(), parts(journal)) == ([], 1)


def test_what_goes_on_or_waits_is_not_over() -> None:
    journal = Journal()
    for status in get_args(Status):
        journal.save(record(status, status, 31))
    journal.save(record("young", "answered", 29))
    with journal.hold("failed"), journal.hold("running"):
        assert prune(journal, 30 * DAY) == 3
    assert set(journal.run_ids()) == {"running", "suspended", "damaged", "young", "failed"}
    assert prune(journal, 0, dry_run=True) > 0
    with pytest.raises(ConfigurationError, match="older_than=-0.5 is below 0"):
        prune(journal, -0.5)


def test_what_nobody_carries_out_any_more_is_over(opened: Opened) -> None:
    journal, other = opened(), opened()
    for run_id in "killed", "going on":
        journal.save(record(run_id, "running", 31))
    with other.hold("going on"):
        assert prune(journal, 30 * DAY, dry_run=True) == 1
        with journal.hold("killed"):
            pass
        assert prune(journal, 30 * DAY) == 1
        assert journal.run_ids() == ["going on"]


def test_on_the_command_line(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    file = f"{tmp_path}/runs.db"
    journal = Journal(file)
    for number in range(450):
        journal.save(record(f"r{number}", "answered", 2))
    journal.save(record("new", "answered", 0.5))
    assert main(["runs", "--journal", file, "prune", "--older-than", "1d", "--dry-run"]) == 0
    assert "450 runs would be deleted" in capsys.readouterr().err
    assert main(["runs", "prune", "--journal", file, "--older-than", "1d"]) == 0
    assert "450 runs deleted" in capsys.readouterr().err
    assert journal.run_ids() == ["new"]
    with pytest.raises(SystemExit):
        main(["runs", "prune", "--older-than", "30"])
    assert "'30' is no age, such as 90m, 12h or 30d" in capsys.readouterr().err
    journal.close()
