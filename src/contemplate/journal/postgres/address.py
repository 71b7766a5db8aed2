"""The name of a journal in PostgreSQL: postgresql://user:password@host/database?schema=name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from ...errors import ConfigurationError, MissingDependencyError
from ...redaction import shown_url

SCHEMA = "contemplate"
HEARTBEAT = 5.0
LONGEST_HEARTBEAT = 300.0
FORM = 'it is like "postgresql://host/database", with "?schema=name" if it is not "contemplate"'
ENCODED = "write them as %40 %2F %3F %23 in a user, a password or an option, or put the password into PGPASSWORD"

# What tells of a database where it is.
_PLACE = ("service", "host", "hostaddr", "port", "dbname")
# A name that needs no quotes, and from which that of a channel can be made.
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class PostgresAddress:
    """Where a journal is.

    Args:
        name: what users and errors call it: the address without user, password and options.
        conninfo: what to connect with, as libpq takes it.
        place: the server, the database and the schema.
        schema: that of its tables.
        heartbeat: seconds after which a process that has runs says again that it lives.
    """

    name: str
    conninfo: str = field(repr=False)
    place: tuple[str, ...] = ()
    schema: str = SCHEMA
    heartbeat: float = HEARTBEAT


def address_of(name: str) -> PostgresAddress:
    """Return what the name of a journal says.

    Raises:
        ConfigurationError: it has another form.
        MissingDependencyError: the extra "cluster" is not installed.
    """
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ModuleNotFoundError as error:
        raise MissingDependencyError("a journal in PostgreSQL", "cluster") from error
    _check_characters(name)
    address, _, query = name.partition("?")
    own, others = {"schema": SCHEMA, "heartbeat": str(HEARTBEAT)}, list[str]()
    for parameter in filter(None, query.split("&")):
        key, _, value = parameter.partition("=")
        if key in own:
            own[key] = unquote(value)
        else:
            # To libpq, a plus is no space.
            others.append(f"{key}={quote(unquote(value), safe='')}")
    schema, heartbeat = own["schema"], own["heartbeat"]
    conninfo = address + ("?" + "&".join(others) if others else "")
    try:
        known = conninfo_to_dict(conninfo)
    except ProgrammingError:
        # What libpq says of it may contain a part of the password.
        raise ConfigurationError(f"journal {shown_url(name)!r} cannot be read", hint=FORM) from None
    if not known.get("dbname") and not known.get("service"):
        raise ConfigurationError(f"journal {shown_url(name)!r} names no database", hint=FORM)
    if not _SCHEMA.fullmatch(schema):
        raise ConfigurationError(
            f"journal {shown_url(name)!r}: schema {schema!r}", hint="up to 40 of a-z, 0-9 and _; not pg_..."
        )
    shown = shown_url(address) + (f"?schema={schema}" if schema != SCHEMA else "")
    place = (*(str(known.get(name, "")) for name in _PLACE), schema)
    return PostgresAddress(shown, conninfo, place, schema, _seconds(shown, heartbeat))


def _check_characters(name: str) -> None:
    """Raise an error where a part of a password might be taken for a host or a database, which are shown."""
    address = name.partition("://")[2]
    after_user = address.rpartition("@")[2]
    user = address.removesuffix(after_user)
    if user.count("@") > 1 or any(mark in user for mark in "/?#") or "#" in after_user:
        raise ConfigurationError("journal 'postgresql://...' has one of @ / ? # where none can be", hint=ENCODED)


def _seconds(name: str, heartbeat: str) -> float:
    try:
        seconds = float(heartbeat)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_HEARTBEAT:
        hint = f"a number of seconds, up to {LONGEST_HEARTBEAT:.0f}"
        raise ConfigurationError(f"journal {name!r}: heartbeat={heartbeat!r:.20}", hint=hint)
    return seconds
