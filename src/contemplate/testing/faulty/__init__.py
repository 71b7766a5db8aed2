"""A real HTTP server on loopback that speaks chat completions, and misbehaves as its script says.

    http           HTTP/1.1, byte by byte
    exchange       a request and what became of it; the protocol of a reply
    chat_answer    good answers
    replies        everything else that servers do
    mixture        the faults by name, and a seeded mixture of them
    server         `FaultyServer`

`python -m contemplate.testing.faulty --help` runs it as a process of its own.
"""

from .chat_answer import ChatAnswer
from .exchange import Exchange, Reply
from .mixture import FAULTS, mixture
from .replies import BrokenBody, Close, Endless, Hold, HttpError, Page, RawBody, RawStream, Reset, Silence
from .server import FaultyServer, Script

__all__ = [
    "FAULTS",
    "BrokenBody",
    "ChatAnswer",
    "Close",
    "Endless",
    "Exchange",
    "FaultyServer",
    "Hold",
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
