"""Rows of a file that are asked, as `batch` and `compare` do: how they are read, and how far they are."""

from __future__ import annotations

from .progress_line import duration, line_of, shown
from .reading import Reading, Row, nothing_to_ask

__all__ = ["Reading", "Row", "duration", "line_of", "nothing_to_ask", "shown"]
