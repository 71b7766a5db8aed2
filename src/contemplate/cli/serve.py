"""`contemplate serve`: the OpenAI-compatible server."""

from __future__ import annotations

import argparse

from .exit_codes import ANSWERED
from .models import fetch_if_local
from .run_options import prompts_in


def serve(options: argparse.Namespace) -> int:
    """Serve the model until interrupted, and return the exit code."""
    # First, so that a missing extra, or an address that is refused, is told of before anything is fetched.
    from ..server import check_address
    from ..server import serve as run

    check_address(options.host, options.port)
    prompts = prompts_in(options)
    fetch_if_local(options.model, quiet=False)
    run(options.model, host=options.host, port=options.port, prompts=prompts)
    return ANSWERED
