"""The server as a process of its own: `python -m contemplate.testing.faulty --latency 0.05`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from contextlib import suppress

from .chat_answer import ChatAnswer
from .exchange import Exchange, Reply
from .mixture import FAULTS, mixture
from .server import FaultyServer


def main() -> None:
    """Serve until SIGINT or SIGTERM; the URL is printed first, as one line of JSON."""
    options = _arguments()
    answer = ChatAnswer(
        options.text, chunk=max(1, -(-len(options.text) // options.chunks)), delay=options.latency, gap=options.gap
    )
    misbehave = mixture(dict.fromkeys(FAULTS, options.faults / len(FAULTS)), seed=options.seed, otherwise=answer)

    def script(exchange: Exchange) -> Reply | str:
        # Nobody can look at them here.
        server.exchanges.clear()
        return misbehave(exchange)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with FaultyServer(script, port=options.port) as server, suppress(KeyboardInterrupt):
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        threading.Event().wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m contemplate.testing.faulty", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="a free one if 0, which is the default")
    parser.add_argument("--text", default="The answer is 4.", help="what is answered")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="before the first byte")
    parser.add_argument("--chunks", type=int, default=1, help="how many pieces a streamed answer comes in")
    parser.add_argument("--gap", type=float, default=0.0, metavar="SECONDS", help="between the pieces")
    parser.add_argument("--faults", type=float, default=0.0, metavar="SHARE", help="of the requests that meet a fault")
    parser.add_argument("--seed", type=int, default=0, help="decides which request meets which fault")
    return parser.parse_args()


if __name__ == "__main__":
    main()
