"""Test doubles: a model with scripted replies, a server that injects faults, and imitations of providers."""

from __future__ import annotations

from . import faulty, providers
from .faulty import FaultyServer
from .providers import Provider
from .scripted import ScriptedModel

__all__ = ["FaultyServer", "Provider", "ScriptedModel", "faulty", "providers"]
