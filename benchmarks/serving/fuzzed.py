"""A server to be fuzzed, in which every name is a model: `python -m benchmarks.serving.fuzzed`.

In an environment of its own, since it is no dependency:

    pip install schemathesis
    schemathesis run http://127.0.0.1:8471/openapi.json --checks not_a_server_error --max-examples 1000
"""

from __future__ import annotations

from typing import Any

from contemplate import Contemplator
from contemplate.server import ServerSettings, serve
from contemplate.testing import ScriptedModel

PORT = 8471


class EveryName(dict[str, Contemplator[Any]]):
    """Contemplators, of which one is behind every name."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Contemplator[Any]:
        return next(iter(self.values()))

    def get(self, name: str, default: Any = None) -> Contemplator[Any]:
        """Return the contemplator."""
        return self[name]


def main() -> None:
    """Serve a scripted model."""
    mind = Contemplator(ScriptedModel(lambda _: "Yes."), mode="instant")
    serve(minds=EveryName(m=mind), port=PORT, settings=ServerSettings(drain_seconds=0))


if __name__ == "__main__":
    main()
