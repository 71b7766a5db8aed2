"""`contemplate serve`."""

from __future__ import annotations

import argparse

from .models import fetch_if_local


def serve(options: argparse.Namespace) -> int:
    """Serve the model until interrupted."""
    # First, so that a missing extra is told of before anything is fetched.
    from ..server import serve as run

    fetch_if_local(options.model, quiet=False)
    run(options.model, host=options.host, port=options.port)
    return 0
