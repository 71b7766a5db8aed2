"""A worker whose user may not make what it needs."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from contemplate.errors import ClusterError
from contemplate.journal import open_journal

from ..postgres import PostgresServer
from .stage import voters, worker_in_thread


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
    with pytest.raises(ClusterError, match="permission denied"), worker_in_thread(limited, {"voters": voters}):
        pass
