"""The tables of a journal, made on first use; those of other versions, and of others, are left alone."""

from __future__ import annotations

from importlib.resources import files

from psycopg import sql

from ...errors import JournalError
from .address import PostgresAddress
from .connections import PostgresConnection

SCHEMA_VERSION = 1


def prepare(connection: PostgresConnection, address: PostgresAddress) -> None:
    """Make the tables if they are not there; several processes may do so at once.

    Raises:
        JournalError: the schema is something else's, or of another version.
    """
    if _is_there(connection, address):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"contemplate {address.schema}",))
        # Another process may have made them in the meantime.
        if _is_there(connection, address):
            return
        if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (address.schema,)).fetchone():
            # Even with IF NOT EXISTS it would need the right to make one.
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(address.schema)))
        connection.execute(files(__package__).joinpath("schema.sql").read_bytes())
        connection.execute("INSERT INTO journal (version) VALUES (%s)", (SCHEMA_VERSION,))


def _is_there(connection: PostgresConnection, address: PostgresAddress) -> bool:
    tables = "SELECT count(*), count(*) FILTER (WHERE tablename = 'journal') FROM pg_tables WHERE schemaname = %s"
    found = connection.execute(tables, (address.schema,)).fetchone()
    every, ours = found or (0, 0)
    if not every:
        return False
    if not ours:
        raise JournalError(
            f"schema {address.schema!r} of {address.name} is not a journal of contemplate",
            hint='choose another: "?schema=name"',
        )
    # By its whole name: who may not look into the schema is told so, and not that there is no table.
    query = sql.SQL("SELECT version FROM {}").format(sql.Identifier(address.schema, "journal"))
    versions = connection.execute(query).fetchall()
    if versions == [(SCHEMA_VERSION,)]:
        return True
    said = ", ".join(str(version) for (version,) in versions) or "none"
    raise JournalError(
        f"journal {address.name} has version {said}, but this contemplate reads version {SCHEMA_VERSION}",
        hint='update contemplate-ai, or choose another schema: "?schema=name"',
    )
