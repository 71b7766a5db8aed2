"""Run the server as a separate process: `python -m contemplate.testing.faulty --latency 0.05`."""

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
    faulty_script = mixture(dict.fromkeys(FAULTS, options.faults / len(FAULTS)), seed=options.seed, otherwise=answer)

    def script(exchange: Exchange) -> Reply | str:
        # Nobody can read them in this process.
        server.exchanges.clear()
        return faulty_script(exchange)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with FaultyServer(script, port=options.port) as server, suppress(KeyboardInterrupt):
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        threading.Event().wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m contemplate.testing.faulty", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the port; a free one if 0 (default)")
    parser.add_argument("--text", default="The answer is 4.", help="the text of the answers")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="the time before the first byte")
    parser.add_argument("--chunks", type=int, default=1, help="the number of pieces of a streamed answer")
    parser.add_argument("--gap", type=float, default=0.0, metavar="SECONDS", help="the time between the pieces")
    parser.add_argument(
        "--faults", type=float, default=0.0, metavar="SHARE", help="the share of requests that get a fault"
    )
    parser.add_argument("--seed", type=int, default=0, help="determines which request gets which fault")
    return parser.parse_args()


if __name__ == "__main__":
    main()
