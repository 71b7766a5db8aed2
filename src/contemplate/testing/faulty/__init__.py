"""A real HTTP server on loopback that speaks chat completions, and misbehaves as its script says."""

from .mixture import FAULTS, mixture
from .replies import (
    Answer,
    BrokenBody,
    Endless,
    HttpError,
    Page,
    RawBody,
    RawStream,
    Reply,
    Reset,
    Silence,
)
from .server import Exchange, FaultyServer, Script

__all__ = [
    "FAULTS",
    "Answer",
    "BrokenBody",
    "Endless",
    "Exchange",
    "FaultyServer",
    "HttpError",
    "Page",
    "RawBody",
    "RawStream",
    "Reply",
    "Reset",
    "Script",
    "Silence",
    "mixture",
]
