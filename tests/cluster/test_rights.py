"""A worker whose user may not make what it needs."""

from __future__ import annotations

import sys
from contextlib import closing

import psycopg

from contemplate.journal import open_journal

from ..postgres import PostgresServer
from ..processes import ROOT, run


def test_a_user_without_rights_is_told_so(postgres: PostgresServer) -> None:
    address = postgres.address()
    limited = address.replace("//postgres@", "//limited@")
    with psycopg.connect(address.partition("?")[0], autocommit=True) as connection:
        connection.execute("CREATE ROLE limited LOGIN")
        connection.execute("GRANT CREATE ON DATABASE postgres TO limited")
        with closing(open_journal(limited)) as journal:
            journal.load("")
        # What is left to make are the tables of the queues.
        connection.execute("REVOKE CREATE ON DATABASE postgres FROM limited")
    command = [sys.executable, "-m", "contemplate", "worker", "tests.cluster.stage:voters", "--journal", limited]
    done = run(command, 60, cwd=ROOT)
    assert done.returncode == 1
    assert f"cluster on {address.replace('postgres@', '')}: permission denied" in done.stderr
