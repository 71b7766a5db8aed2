"""Batches: many questions, a few at a time, with errors as results."""

from __future__ import annotations

from .items import BatchItem, BatchResult
from .meter import BatchProgress

__all__ = ["BatchItem", "BatchProgress", "BatchResult"]
