"""A real HTTP server on loopback for chat completions, with faults as scripted.

    http           HTTP/1.1, byte by byte
    exchange       a request and its outcome; the protocol of a reply
    chat_answer    good answers
    replies        faulty replies
    mixture        the faults by name, and a seeded mixture of them
    server         `FaultyServer`

`python -m contemplate.testing.faulty --help` runs it as a separate process.
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
