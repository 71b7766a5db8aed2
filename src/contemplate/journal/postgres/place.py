"""Where a journal in PostgreSQL is."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .address import PostgresAddress

if TYPE_CHECKING:
    from .store import PostgresStore


@dataclass(frozen=True)
class PostgresPlace:
    """A journal's place in a database. See `Place`."""

    address: PostgresAddress

    @property
    def name(self) -> str:
        """Its address, without secrets."""
        return self.address.name

    @property
    def path(self) -> Path | None:
        """None: it is no file."""
        return None

    @property
    def key(self) -> Hashable:
        """What is equal for two names of the same journal, as far as these tell."""
        return self.address.place

    def open(self) -> PostgresStore:
        """Return its database, to which it is connected when it is used."""
        # Imported on use only, as it imports psycopg, which is optional.
        from .store import PostgresStore

        return PostgresStore(self.address)
