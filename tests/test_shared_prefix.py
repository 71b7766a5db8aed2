"""Prompts begin with what subagents share, byte for byte, so that a prefix cache can hit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import combinations, takewhile

import anyio
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, ImagePart, RunContext, Task, TaskResult, planners, strategies
from contemplate.models import ModelRequest
from contemplate.models.openai.profile import Profile
from contemplate.models.openai.request import request_body
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(lambda text: bool(text.strip()))
PNG = b"\x89PNG\r\n\x1a\n"
IMAGES = st.lists(st.binary(min_size=1, max_size=40).map(lambda raw: ImagePart(data=PNG + raw)), max_size=2)


async def read_to_the_end(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    async for _ in results:
        pass
    return "done"


def asked(
    question: str, planner: Planner, images: Sequence[ImagePart] = (), instructions: str | None = None
) -> list[ModelRequest]:
    """What the subagents of a run are asked."""
    model = ScriptedModel("Answer: 4")
    mind = Contemplator(model, planner=planner, aggregator=read_to_the_end, instructions=instructions)
    anyio.run(lambda: mind.run(question, images=images, run_id="run"))
    return model.requests


def shared(first: ModelRequest, second: ModelRequest) -> str:
    """With what the messages of both begin, as they go over the wire."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(messages(first), messages(second), strict=False))
    return "".join(letter for letter, _ in alike)


def messages(request: ModelRequest) -> str:
    sent = json.loads(request_body(request, model="m", stream=False, profile=Profile()))
    return json.dumps(sent["messages"], ensure_ascii=False)


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def workers(prompts: Sequence[str], needs: tuple[str, ...]) -> Planner:
    """Tasks of the same kind that need the same results, each with a prompt and instructions of its own."""

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for name in needs:
            yield Task(id=name, prompt=name)
        for number, prompt in enumerate(prompts):
            yield Task(id=str(number), prompt=f"worker-{number}: {prompt}", needs=needs, instructions=prompt)

    return plan


@given(
    question=TEXT,
    prompts=st.lists(TEXT, min_size=2, max_size=3),
    images=IMAGES,
    instructions=st.none() | TEXT,
    needs=st.sampled_from([(), ("draft", "facts")]),
)
def test_parts_share_all_but_their_own_task(
    question: str, prompts: list[str], images: list[ImagePart], instructions: str | None, needs: tuple[str, ...]
) -> None:
    told = asked(question, workers(prompts, needs), images, instructions)[len(needs) :]
    assert len(told) == len(prompts)
    for first, second in combinations(told, 2):
        common = shared(first, second)
        assert quoted(question) in common
        assert instructions is None or quoted(instructions) in common
        assert common.count("image_url") >= 2 * len(images)
        assert ("<<result 2" in common) == bool(needs)
        assert common.endswith(quoted("Your task:\nworker-")), "nothing else is shared, and nothing is lost"


@given(
    question=TEXT,
    images=IMAGES,
    instructions=st.none() | TEXT,
    personas=st.lists(TEXT, min_size=2, max_size=3, unique=True),
)
def test_samples_share_all_but_who_they_are_and_how_they_go_about_it(
    question: str, images: list[ImagePart], instructions: str | None, personas: list[str]
) -> None:
    ways = (strategies.analogy, strategies.work_backwards)
    told = asked(question, planners.sample(4, personas=personas, strategies=ways), images, instructions)
    assert len(told) == 4
    for first, second in combinations(told, 2):
        common = shared(first, second)
        assert quoted(question) in common
        assert instructions is None or quoted(instructions) in common
        assert common.count("image_url") >= 2 * len(images)


@given(question=TEXT, images=IMAGES)
def test_the_attempts_of_all_rounds_share_the_question(question: str, images: list[ImagePart]) -> None:
    told = asked(question, planners.rounds(2, 1, 2), images)
    assert len(told) == 4
    for first, second in combinations(told, 2):
        assert quoted(question) in shared(first, second)
        assert shared(first, second).count("image_url") >= 2 * len(images)


def test_a_run_asks_for_the_same_bytes_again() -> None:
    first, second = (asked("why?", workers(["a", "b"], ("draft", "facts"))) for _ in range(2))
    assert list(map(messages, first)) == list(map(messages, second))
