"""Journals in PostgreSQL, which any number of processes on any number of machines use together.

address       the name of a journal, and what it is connected with
place         where a journal is
connections   a few connections
troubles      what the server's errors mean: which of them pass
outage        words about a database that is away
schema        the tables, made on first use
store         the database as a journal uses it
leases        which process has a run
heartbeat     how a process says that it lives
"""

from __future__ import annotations

from .address import PostgresAddress, address_of
from .place import PostgresPlace

__all__ = ["PostgresAddress", "PostgresPlace", "address_of"]
