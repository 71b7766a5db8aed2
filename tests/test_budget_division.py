"""What is left of a limit is divided among what is still to come: some text comes back, and little is unspent."""

from __future__ import annotations

import json

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contemplate import Contemplator, Limits, RunResult, Usage
from contemplate.messages import Message
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse

pytestmark = pytest.mark.anyio

CHARACTERS = 4
MERGED = 600


def tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS)


class Obedient:
    """A model that plans `parts` tasks, writes `wanted` tokens for each, and keeps to `max_tokens`."""

    name = "obedient"

    def __init__(self, parts: int, wanted: int, *, pieces: int = 1) -> None:
        self.parts = parts
        self.wanted = wanted
        self.pieces = pieces

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        await anyio.lowlevel.checkpoint()
        text = self._text(request)
        prompt = sum(tokens(message.text) for message in request.messages)
        if request.output_schema is not None:
            prompt += tokens(json.dumps(request.output_schema.schema))
        most = request.settings.max_tokens
        cut = most is not None and tokens(text) > most
        text = text[: (most or 0) * CHARACTERS] if cut else text
        if on_delta is not None:
            step = -(-len(text) // self.pieces) or 1
            for start in range(0, len(text), step):
                on_delta(Delta(text[start : start + step]))
                await anyio.lowlevel.checkpoint()
        return ModelResponse(
            message=Message.assistant(text),
            finish="length" if cut else "stop",
            usage=Usage(calls=1, input_tokens=prompt, output_tokens=tokens(text)),
            model=self.name,
        )

    def _text(self, request: ModelRequest) -> str:
        if request.output_schema is not None:
            planned = [
                {"title": f"Part {i}", "prompt": f"Look at side {i} of it.", "needs": []} for i in range(self.parts)
            ]
            return json.dumps({"tasks": planned})
        length = MERGED if "final answer" in request.messages[0].text else self.wanted
        return ("word " * (length * CHARACTERS))[: length * CHARACTERS]


def contemplating(model: Obedient, **limits: int) -> Contemplator[str]:
    return Contemplator(model, limits=Limits.model_validate(limits))


def check(result: RunResult[str], limit: int, spent: int) -> None:
    assert result.text.strip()
    assert spent <= limit
    if any(task.outcome == "capped" for task in result.tasks):
        assert limit - spent <= limit / 4, (limit, spent, [(t.outcome, t.usage.output_tokens) for t in result.tasks])
        assert not result.complete


@pytest.mark.parametrize("limit", [3000, 5000, 8000, 16_000, 20_000, 30_000, 50_000])
async def test_six_parts_that_want_more_than_there_is(limit: int) -> None:
    result = await contemplating(Obedient(6, 1500), total_tokens=limit).run("q")
    check(result, limit, result.usage.total_tokens)


@given(
    limit=st.integers(3000, 60_000),
    parts=st.integers(1, 8),
    wanted=st.integers(10, 4000),
    pieces=st.sampled_from([1, 7, 40]),
    streamed=st.booleans(),
)
# The first part, asked before the others were known, took all there was.
@example(limit=15281, parts=7, wanted=199, pieces=7, streamed=True)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whatever_the_limit(backend: str, limit: int, parts: int, wanted: int, pieces: int, streamed: bool) -> None:
    async def main() -> RunResult[str]:
        mind = Contemplator(Obedient(parts, wanted, pieces=pieces), limits=Limits(total_tokens=limit), stream=streamed)
        return await mind.run("q")

    result = anyio.run(main, backend=backend)
    check(result, limit, result.usage.total_tokens)


@given(limit=st.integers(1500, 30_000), parts=st.integers(1, 8), wanted=st.integers(10, 4000), streamed=st.booleans())
@settings(max_examples=30, deadline=None)
def test_whatever_the_limit_on_output(limit: int, parts: int, wanted: int, streamed: bool) -> None:
    mind = Contemplator(Obedient(parts, wanted, pieces=7), limits=Limits(output_tokens=limit), stream=streamed)
    result = mind.run_sync("q")
    check(result, limit, result.usage.output_tokens)


@given(limit=st.integers(5000, 100_000), parts=st.integers(1, 8), wanted=st.integers(10, 4000), streamed=st.booleans())
@settings(max_examples=20, deadline=None)
def test_runs_within_a_run_have_its_limit(limit: int, parts: int, wanted: int, streamed: bool) -> None:
    inner = Contemplator(Obedient(parts, wanted, pieces=7), stream=streamed)
    outer = Obedient(2, wanted, pieces=7)
    result = Contemplator(outer, agent=inner, limits=Limits(total_tokens=limit), stream=streamed).run_sync("q")
    assert result.text.strip()
    assert result.usage.total_tokens <= limit
    assert not (result.complete and any(task.outcome == "capped" for task in result.tasks))
