"""The table of docs/clients.md."""

from __future__ import annotations

from collections.abc import Sequence

from .cells import Cell


def keep(cells: Sequence[Cell]) -> None:
    """Write cells into the table."""
