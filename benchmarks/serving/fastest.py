"""A model that writes as fast as it is read, behind `create_app`, as any commit has it: its port is printed."""

from __future__ import annotations

import socket
import sys

import uvicorn

from contemplate import Contemplator
from contemplate.server import create_app
from contemplate.testing import ScriptedModel

TOKEN = "word "


def main() -> None:
    """Serve it: `python benchmarks/serving/fastest.py TOKENS`."""
    mind = Contemplator(ScriptedModel(TOKEN * int(sys.argv[1]), chunk=len(TOKEN)), mode="instant")
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(create_app({"m": mind}), log_config=None, access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    main()
