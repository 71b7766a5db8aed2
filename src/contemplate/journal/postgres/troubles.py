"""What PostgreSQL's errors mean: which of them pass, and what to do about those that do not."""

from __future__ import annotations

import re

import psycopg

FULL, AWAY, REFUSED = "53300", "57P03", "28000"
FULL_HINT = "raise the server's max_connections, or put a pooler in session mode before it"
REFUSED_HINT = "is the server there, and are database, user and password right?"

# States in which something may be tried again: the connection, the server or the transaction was lost, or others had
# what it needs. https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = ("08", "40", "53", "57")
_PASSING_TOO = {"55P03", "25006", "25P03"}
# Which stay, although their classes pass: what a pooler does not understand, and a database that was dropped.
_STAYING = {"08P01", "57P04"}

# Whoever is not let in is told why in words alone, as libpq passes on no state before there is a connection. A server
# that speaks another language is taken for one that is not there.
_WORDS = {
    FULL: "too many (clients|connections)|remaining connection slots|no more connections allowed",
    REFUSED: r"authentication|no pg_hba\.conf entry|(role|database) .* does not exist|not permitted|permission denied"
    "|no such (user|database)|unsupported startup parameter",
    AWAY: "the database system is|server login has been failing",
}


def state_of(error: psycopg.Error) -> str | None:
    """Return the state in SQL that an error stands for; None if it never came from a server."""
    if error.sqlstate is not None:
        return error.sqlstate
    return next((state for state, words in _WORDS.items() if re.search(f"FATAL: .*({words})", str(error))), None)


def passes(error: psycopg.Error, *, known: bool = True) -> bool:
    """Return whether an error may be none when it is tried again.

    Args:
        error: the error.
        known: whether the server was ever reached: if not, one that is not there is another one than was meant.
    """
    state = state_of(error)
    if state is None:
        return known and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state not in _STAYING and (state.startswith(_PASSING) or state in _PASSING_TOO)


def hint_for(error: psycopg.Error) -> str | None:
    """Return what to do about an error; None if it says so itself."""
    if state_of(error) == FULL:
        return FULL_HINT
    return REFUSED_HINT if error.sqlstate is None else None
