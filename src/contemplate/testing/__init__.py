"""Doubles for tests of your own: a model that says what you wrote, and a server that misbehaves on request."""

from __future__ import annotations

from . import faulty
from .faulty import FaultyServer
from .scripted import ScriptedModel

__all__ = ["FaultyServer", "ScriptedModel", "faulty"]
