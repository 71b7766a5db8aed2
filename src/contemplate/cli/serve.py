"""`contemplate serve`."""

from __future__ import annotations

import argparse

from ..errors import MissingDependencyError
from .models import fetch_if_local


def serve(options: argparse.Namespace) -> int:
    """Serve the model until interrupted."""
    try:
        from .. import server
    except ModuleNotFoundError as error:
        raise MissingDependencyError("the server", "server") from error
    fetch_if_local(options.model, quiet=False)
    server.serve(options.model, host=options.host, port=options.port)
    return 0
