"""The official client over a real model, which plans, answers in parallel, and merges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from contemplate import Contemplator, Limits, ModelSettings, aggregators, planners
from contemplate.events import Event, PlanReady, RunFinished, TaskFinished, TaskStarted

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
def told() -> list[Event]:
    """The events of the runs."""
    return []


@pytest.fixture
def api(serve: Serve, told: list[Event]) -> Iterator[openai.OpenAI]:
    """A client of contemplators on the small local model."""
    greedy = ModelSettings(temperature=0, max_tokens=60)
    brief = ModelSettings(temperature=0, max_tokens=20)
    model = on_one_thread(greedy)
    contemplating = Contemplator(
        model,
        # Room for the longest plan that the schema allows.
        planner=planners.model(2, settings=ModelSettings(temperature=0, max_tokens=1000)),
        aggregator=aggregators.synthesize(settings=brief),
        settings=brief,
        limits=Limits(calls=8),
        on_event=told.append,
    )
    instant = Contemplator(model, mode="instant", settings=greedy)
    url = serve({"contemplate": contemplating, "contemplate-instant": instant})
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE, max_retries=0) as client:
        yield client


def test_a_contemplated_answer_streams(api: openai.OpenAI, told: list[Event]) -> None:
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
    _is_whole(told)


def _is_whole(told: list[Event]) -> None:
    """Assert that parts of the plan were worked on while it was written, and merged."""
    order = [each.kind for each in told if isinstance(each, PlanReady | TaskStarted)]
    assert order.index("task_started") < order.index("plan_ready"), "work begins while the plan is being written"
    (plan,) = [each.plan for each in told if isinstance(each, PlanReady)]
    assert len(plan.tasks) >= 2
    outcomes = [each.result.outcome for each in told if isinstance(each, TaskFinished)]
    assert sum(outcome in ("answered", "capped") for outcome in outcomes) >= 2
    (finished,) = [each for each in told if isinstance(each, RunFinished)]
    assert finished.text.strip()
    assert finished.usage.calls >= 4
    assert finished.usage.output_tokens > 50


def test_a_conversation_is_answered_whole(api: openai.OpenAI) -> None:
    completion = api.chat.completions.create(model="contemplate-instant", messages=FOLLOW_UP)
    assert "Bruno" in (completion.choices[0].message.content or "")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens > 0
