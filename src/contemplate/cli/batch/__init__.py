"""`contemplate batch`: the rows of a file as questions, and their answers as the lines of another."""

from __future__ import annotations

from .command import batch

__all__ = ["batch"]
