"""Docs: every part that users choose from is told when to use it, and what it costs; and every link leads somewhere."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import anyio
import pytest

from contemplate import Contemplator, RunContext, TaskResult, aggregators, modes, planners, strategies
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

ROOT = Path(__file__).parent.parent
PAGES = {page: page.read_text("utf-8") for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
COLUMNS = ("calls", "depth", "use it for", "not for")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
SOURCE = re.compile(r"\]\(https://|\bNo source\b")


def parts() -> list[str]:
    """What users choose from, as docs write it: `planners.sample(`, `step_by_step`, `vote`."""
    named = [
        f"`{home.__name__.rsplit('.', 1)[-1]}.{name}("
        for home in (planners, aggregators)
        for name in home.__all__
        if name.islower()
    ]
    named += [f"`{name}`" for name in strategies.__all__ if name.islower()]
    return named + [f"`{mode}`" for mode in get_args(modes.Mode)]


def rows(text: str) -> list[dict[str, str]]:
    """The rows of all tables of a page, by column; the first column is also called "name"."""
    found: list[dict[str, str]] = []
    columns: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells(line)
        elif not set(line) <= set("|-: "):
            values = cells(line)
            assert len(values) == len(columns), line
            found.append({"name": values[0], **dict(zip(columns, values, strict=True))})
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def section(text: str, part: str) -> str:
    """What stands under the heading that begins with the name of `part`."""
    name = re.escape(part.strip("`(").rsplit(".", 1)[-1])
    found = re.search(rf"^#+ `{name}`.*?\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return "" if found is None else found[1]


@pytest.mark.parametrize("part", parts())
def test_each_part_is_told_of(part: str) -> None:
    told = [(row, text) for text in PAGES.values() for row in rows(text) if row["name"].startswith(part)]
    told = [(row, text) for row, text in told if "use it for" in row]
    assert told, f"{part} has no row in docs"
    for row, text in told:
        assert all(row.get(column) for column in COLUMNS), f"{part}: {row}"
        assert row.get("source") or SOURCE.search(section(text, part)), f"{part} has no source"


def test_only_what_there_is_is_told_of() -> None:
    named = {row["name"] for text in PAGES.values() for row in rows(text) if "use it for" in row}
    assert named
    assert [name for name in named if not name.startswith(tuple(parts()))] == []


def numbers(cell: str) -> tuple[int, int]:
    found = [int(each) for each in re.findall(r"\d+", cell)]
    return found[0], found[-1]


def plan_of(tasks: int, *, chain: bool) -> str:
    drafts = (f'{{"title": "t", "prompt": "p", "needs": {[i] if i and chain else []}}}' for i in range(tasks))
    return f'{{"tasks": [{", ".join(drafts)}]}}'


class TestCosts:
    """On a clock on which a call takes one second, so that the seconds of a run are its depth."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0)}

    @pytest.mark.anyio
    @pytest.mark.parametrize("agree", [True, False])
    @pytest.mark.parametrize("mode", ["instant", "thinking", "vote", "refine", "council"])
    async def test_they_cost_what_docs_say(self, mode: modes.Mode, agree: bool) -> None:
        async def reply(request: ModelRequest) -> str:
            answer = 1 if agree else len(model.requests)
            await anyio.sleep(1)
            return f"Answer: {answer}"

        model = ScriptedModel(reply)
        (row,) = (row for row in rows(PAGES[ROOT / "docs" / "modes.md"]) if row["name"] == f"`{mode}`")
        result = await Contemplator(model, mode=mode).run("q")
        assert result.usage.calls == numbers(row["calls"])[0 if agree else 1]
        assert result.seconds == pytest.approx(numbers(row["depth"])[0 if agree else 1], abs=0.1)

    @pytest.mark.anyio
    @pytest.mark.parametrize("good", [True, False])
    async def test_with_a_verifier_they_do_too(self, good: bool) -> None:
        """At worst, each solution is rejected by the last verdict that it needs."""
        seen: Counter[str] = Counter()

        async def reply(request: ModelRequest) -> str:
            number = len(model.requests)
            await anyio.sleep(1)
            if request.output_schema is None:
                return f"solution {number}"
            asked = request.messages[-1].text
            seen[asked] += 1
            fault = "none" if good or seen[asked] == 1 else "critical"
            return json.dumps({"steps": [{"step": "s", "why": "w", "fault": fault}]})

        model = ScriptedModel(reply)
        (row,) = (row for row in rows(PAGES[ROOT / "docs" / "modes.md"]) if row["name"] == "`verify`")
        result = await Contemplator(model, mode="verify").run("q")
        assert result.usage.calls == numbers(row["calls"])[0 if good else 1]
        assert result.seconds == pytest.approx(numbers(row["depth"])[0 if good else 1], abs=0.1)

    @pytest.mark.anyio
    @pytest.mark.parametrize("tasks", [1, 2, 6])
    async def test_with_a_plan_they_do_too(self, tasks: int) -> None:
        async def reply(request: ModelRequest) -> str:
            await anyio.sleep(1)
            return "fine" if request.output_schema is None else plan_of(tasks, chain=True)

        result = await Contemplator(ScriptedModel(reply), mode="contemplating").run("q")
        assert result.usage.calls == 2 + tasks
        assert result.seconds == pytest.approx(2 + tasks, abs=0.1)

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("said", "tasks", "calls", "depth"),
        [
            ("fine", 0, 3, 1),
            ("{n}", 0, 9, 2),
            ("```\ncode no. {n} of all the code that there may be\n```", 0, 4, 2),
            ("{n} says this and much more than that", 1, 5, 3),
            ("{n} says this and much more than that", 4, 5 + 4, 3 + 1),
        ],
    )
    async def test_where_the_answers_say_it_they_do_too(self, said: str, tasks: int, calls: int, depth: int) -> None:
        async def reply(request: ModelRequest) -> str:
            text = said.format(n=len(model.requests))
            await anyio.sleep(1)
            return text if request.output_schema is None else plan_of(tasks, chain=False)

        model = ScriptedModel(reply, chunk=10_000)
        result = await Contemplator(model, mode="auto").run("q")
        assert result.usage.calls == calls
        assert result.seconds == pytest.approx(depth, abs=0.1)

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("planner", "answer", "parts", "calls", "depth"),
        [
            (planners.direct(), "fine", "", 1, 1),
            (planners.sample(6), "fine", "", 6, 1),
            (planners.sample(6, wave=2), "fine", "", 6, 3),
            (planners.model(), "fine", plan_of(3, chain=False), 1 + 3, 1 + 1),
            (planners.model(), "fine", plan_of(3, chain=True), 1 + 3, 1 + 3),
            (planners.rounds(4, 2, 3), "fine", "", 4 * 3, 3),
            (planners.as_needed(planners.model()), "fine", "", 1, 1),
            (
                planners.as_needed(planners.model()),
                "UNSOLVED",
                plan_of(3, chain=False),
                2 * (1 + 3) + 1,
                2 * (1 + 1) + 1,
            ),
            (
                planners.as_needed(planners.model()),
                "UNSOLVED",
                plan_of(3, chain=True),
                2 * (1 + 3) + 1,
                2 * (1 + 3) + 1,
            ),
            (planners.router(planners.model()), "fine", "", 3, 1),
            (planners.router(planners.model()), "{n}", "", 9, 2),
            (planners.router(planners.model(), choose=lambda _: planners.Route("refine", "so")), "{n}", "", 4, 2),
            (
                planners.router(planners.model()),
                "{n} says this and much more than that",
                plan_of(3, chain=False),
                4 + 3,
                2 + 1,
            ),
            (planners.router(planners.model()), "{n} says this and much more than that", plan_of(3, chain=True), 5, 3),
        ],
    )
    async def test_of_planners(
        self, planner: planners.Planner, answer: str, parts: str, calls: int, depth: int
    ) -> None:
        async def reply(request: ModelRequest) -> str:
            said = parts if request.output_schema is not None else answer.format(n=len(model.requests))
            await anyio.sleep(1)
            return said

        async def all_of_them(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            return str(len([result async for result in results]))

        model = ScriptedModel(reply, chunk=10_000)
        result = await Contemplator(model, planner=planner, aggregator=all_of_them).run("q")
        assert result.usage.calls == calls
        assert result.seconds == pytest.approx(depth, abs=0.1)

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        ("aggregator", "calls", "depth"),
        [
            (aggregators.first(), 0, 0),
            (aggregators.vote(), 0, 0),
            (aggregators.vote(by_meaning=True, stop=None), 4 * 3 // 2, 4 * 3 // 2),
            (aggregators.check(lambda result: result.id == "sample-4"), 0, 0),
            (aggregators.majority_of_bests(lambda result: 1), 0, 0),
            (aggregators.judge(), 1, 1),
            (aggregators.judge(both_orders=True), 2, 1),
            (aggregators.tournament(), 4 * 3, 3),
            (aggregators.tournament(system="knockout"), 2 * 3, 2),
            (aggregators.synthesize(), 1, 1),
            (aggregators.by_kind(candidates=aggregators.judge(), others=aggregators.first()), 1, 1),
            (aggregators.quorum(aggregators.synthesize(), enough=2), 1, 1),
        ],
    )
    async def test_of_aggregators(self, aggregator: aggregators.Aggregator, calls: int, depth: int) -> None:
        async def reply(request: ModelRequest) -> str:
            said = f"answer {len(model.requests)}"
            if request.output_schema is not None:
                same = "same" in str(request.output_schema.schema)
                said = '{"same": false}' if same else '{"reason": "", "best": "1", "better": "1"}'
            await anyio.sleep(1)
            return said

        model = ScriptedModel(reply)
        result = await Contemplator(model, planner=planners.sample(4), aggregator=aggregator).run("q")
        assert result.usage.calls == 4 + calls
        assert result.seconds == pytest.approx(1 + depth, abs=0.1)


def anchors(text: str) -> set[str]:
    """The names by which a page's headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(PAGES[page]):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(PAGES[target]), link


def test_each_page_is_linked_to() -> None:
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in LINK.findall(PAGES[page])}
    assert [page.name for page in PAGES if page.name != "README.md" and page not in linked] == []
