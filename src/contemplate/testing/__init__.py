"""Test doubles: a model with scripted replies, and a server that injects faults."""

from __future__ import annotations

from . import faulty
from .faulty import FaultyServer
from .scripted import ScriptedModel

__all__ = ["FaultyServer", "ScriptedModel", "faulty"]
