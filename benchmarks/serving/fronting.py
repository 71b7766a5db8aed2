"""The server in front of a model that streams and one that does not: `python -m benchmarks.serving.fronting URL`."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from contemplate import Contemplator
from contemplate.models import OpenAIModel

# By the names under which clients ask: the paths of `benchmarks.speed.server`, and how many tokens each answer has.
TOKENS = 200
PATHS: Mapping[str, str] = {"whole": "/0/v1", "streamed": f"/stream-{TOKENS}/v1"}


def main() -> None:
    """Serve both."""
    from contemplate.server import ServerSettings, serve

    minds = {
        name: Contemplator(OpenAIModel("m", base_url=sys.argv[1] + path, api_key="none"), mode="instant")
        for name, path in PATHS.items()
    }
    serve(minds=minds, port=0, settings=ServerSettings(drain_seconds=0))


if __name__ == "__main__":
    main()
