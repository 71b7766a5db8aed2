"""The scripted model: each request's answer repeats its own question, so that a mix-up shows."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import anyio

from contemplate import Contemplator, Message, Usage
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse


@dataclass
class Echo:
    """Writes the question's last word `tokens` times, one token each `seconds`."""

    tokens: int
    seconds: float
    name: str = "echo"

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer."""
        token = request.messages[-1].text.split()[-1] + " "
        for _ in range(self.tokens):
            await anyio.sleep(self.seconds)
            if on_delta is not None:
                on_delta(Delta(token))
        usage = Usage(calls=1, input_tokens=10, output_tokens=self.tokens, cost_usd=None)
        message = Message.assistant(token * self.tokens)
        return ModelResponse(message=message, finish="stop", usage=usage, model=self.name)


def main() -> None:
    """Serve it: `python -m benchmarks.serving.scripted TOKENS SECONDS`."""
    from contemplate.server import ServerSettings, serve

    mind = Contemplator(Echo(int(sys.argv[1]), float(sys.argv[2])), mode="instant")
    settings = ServerSettings(max_runs=10_000, unread_seconds=5.0, drain_seconds=0)
    serve(minds={"m": mind}, port=0, settings=settings)


if __name__ == "__main__":
    main()
