"""The official client over a real model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from contemplate import Contemplator, ModelSettings, aggregators, planners

from ..local_model import SHORT_QUESTION, on_one_thread
from .conftest import Serve

PATIENCE = 300.0
QUESTION: Any = [{"role": "user", "content": SHORT_QUESTION}]
FOLLOW_UP: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "My dog is called Bruno."},
    {"role": "assistant", "content": "A good name."},
    {"role": "user", "content": "What is my dog called?"},
]


@pytest.fixture
def api(serve: Serve) -> Iterator[openai.OpenAI]:
    """A client of contemplators on the small local model."""
    greedy = ModelSettings(temperature=0, max_tokens=60)
    brief = ModelSettings(temperature=0, max_tokens=20)
    model = on_one_thread(greedy)
    contemplating = Contemplator(
        model,
        planner=planners.model(max_tasks=2, settings=ModelSettings(temperature=0, max_tokens=400)),
        aggregator=aggregators.synthesize(settings=brief),
        settings=brief,
    )
    instant = Contemplator(model, mode="instant", settings=greedy)
    url = serve({"contemplate": contemplating, "contemplate-instant": instant})
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE, max_retries=0) as client:
        yield client


def test_a_contemplated_answer_streams(api: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    content, reasoning, finish, usage = "", "", None, None
    pieces = 0
    for chunk in api.chat.completions.create(
        model="contemplate", messages=QUESTION, stream=True, stream_options=options
    ):
        usage = chunk.usage
        for choice in chunk.choices:
            content += choice.delta.content or ""
            pieces += bool(choice.delta.content)
            reasoning += getattr(choice.delta, "reasoning_content", "")
            finish = choice.finish_reason or finish
    assert reasoning.startswith("Planning\n")
    assert ": planned\n" in reasoning
    assert ": started\n" in reasoning
    assert pieces > 5, "the answer came in one piece"
    assert content.strip()
    assert finish in ("stop", "length")
    assert usage is not None
    assert usage.prompt_tokens > 100
    assert usage.completion_tokens >= pieces


def test_a_conversation_is_answered_whole(api: openai.OpenAI) -> None:
    completion = api.chat.completions.create(model="contemplate-instant", messages=FOLLOW_UP)
    assert "Bruno" in (completion.choices[0].message.content or "")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens > 0
