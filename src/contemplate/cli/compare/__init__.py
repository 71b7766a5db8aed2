"""`contemplate compare`: the rows of a file as questions, in several ways, and a table of what came of them."""

from __future__ import annotations

from .command import compare

__all__ = ["compare"]
