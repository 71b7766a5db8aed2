"""Short versions of the long seeded runs in benchmarks/."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from benchmarks import (
    cancellations,
    certified_votes,
    choices,
    critical_path,
    fuzz,
    layer,
    long_work,
    prefix_cache,
    programs,
    refine,
    tail,
)
from benchmarks.speed import contenders, goals, profile, reporting, rooms, running, scenarios, worker
from benchmarks.speed.peers import contemplated, model_alone, openai_gather
from contemplate.messages import Message, ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel


def test_every_parser_reads_anything() -> None:
    tallies = fuzz.fuzz(inputs=1000, seed=1)
    assert fuzz.show(tallies), [each.examples for each in tallies.values()]
    assert sum(each.inputs for each in tallies.values()) == 1000
    assert all(each.inputs for each in tallies.values())


def test_the_fuzz_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rng: random.Random) -> str:
        raise KeyError(rng.random())

    monkeypatch.setitem(fuzz.KINDS, "plans", broken)
    tallies = fuzz.fuzz(inputs=2 * len(fuzz.KINDS), seed=1)
    assert {name: each.crashes for name, each in tallies.items() if each.crashes} == {"plans": 2}
    assert not fuzz.show(tallies)


def test_nothing_is_left_wherever_a_run_is_cancelled() -> None:
    report = cancellations.measured(100, 10, seed=1)
    assert cancellations.show(report, 0.0), report
    assert report.endings["cancelled"] >= 100


@pytest.mark.parametrize("name", ["clear: 70, 20, 10 %", "nearly tied: 50.5, 49.5 %"])
def test_certified_answers_are_wrong_at_most_as_often_as_stated(name: str) -> None:
    certified, beta = certified_votes.measure(certified_votes.DISTRIBUTIONS[name], 60, 120, 0.05, "test")
    assert certified.votes == beta.votes == 60
    assert certified.wrong <= 3
    assert beta.stopped > certified.stopped or certified.stopped == 60
    assert beta.draws < certified.draws <= 60 * 120


def test_a_judge_and_scores_find_what_a_vote_misses(capsys: pytest.CaptureFixture[str]) -> None:
    name = "mostly wrong: 25, 30, 15, 15, 15 %"
    choices.tournaments(60, 8, {name: choices.QUESTIONS[name]})
    choices.scores(60, 32, {name: choices.QUESTIONS[name]})
    judged, by_score = (line for line in capsys.readouterr().out.splitlines() if line.startswith(f"| {name}"))
    vote, *others = (float(cell) for cell in re.findall(r"([\d.]+) %", judged.removeprefix(f"| {name}")))
    assert max(others) > vote
    vote, *others = (float(cell) for cell in re.findall(r"([\d.]+) %", by_score.removeprefix(f"| {name}")))
    assert others[1] > vote, "scores that err are enough"


@pytest.mark.anyio
async def test_what_is_left_is_seen() -> None:
    run = cancellations.Run(ScriptedModel("Answer: 4"), "all", "vote", watched=True)
    assert await run.go() == "over"
    assert run.left(set()) == ["tasks"], "this test itself"
    (gate,) = cancellations.gates()
    run.counted.out += 1
    gate.pace.window.out += 1
    assert run.left(set()) == ["tasks", "calls", "places in a limiter"]


@pytest.mark.anyio
async def test_long_work_is_finished_by_who_finds_the_way() -> None:
    def find(request: ModelRequest) -> Message | str:
        results = [message.text for message in request.messages if message.role == "tool"]
        door = results[-1].splitlines()[-1] if results else "The next room is 0."
        if "last room" in door:
            return f"The word is {long_work.WORD}."
        room = door.removesuffix(".").split()[-1]
        return Message.assistant("", (ToolCall(id="c", name="look", arguments=f'{{"room": {room}}}'),))

    for model, failures in ((ScriptedModel(find), 0), (ScriptedModel("no way"), 1)):
        rooms = long_work.Rooms(50, 4000)
        work = await long_work.measured(model, rooms, 60, 8000)
        assert len(long_work.show(work, 50, 8000)) == failures
        assert work.rooms == len(rooms.calls) == (0 if failures else 50)
        assert bool(work.condensed) == (not failures)


def test_a_run_takes_as_long_as_its_longest_path() -> None:
    rows = critical_path.measured(8, seed=1)
    assert critical_path.show(rows) == []
    for row in rows:
        assert row.seconds[critical_path.UNLIMITED] == pytest.approx(row.floor)
        assert row.seconds[critical_path.BY_LEVEL] >= row.floor - critical_path.ROUNDING
        assert row.seconds[critical_path.HEDGED] <= row.floor + critical_path.ROUNDING
        for slots in critical_path.SLOTS:
            assert row.least(slots) - critical_path.ROUNDING <= row.seconds[critical_path.limited(slots)]


def test_a_dispatch_that_is_too_slow_is_seen() -> None:
    row = critical_path.measured(1, seed=1)[0]
    slow = {way: 1.1 * max(row.floor, row.bound(1)) for way in row.seconds}
    assert len(critical_path.show([replace(row, seconds=slow)])) == 2 + len(critical_path.SLOTS)


VOTES = Path(os.environ.get("CONTEMPLATE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "votes"


@pytest.mark.skipif(
    not VOTES.is_dir(), reason=f"recorded votes are not in {VOTES}; set CONTEMPLATE_DATA to their parent"
)
def test_early_stops_and_hedges_save_time_and_change_no_answer() -> None:
    rows = tail.measured(tail.together(tail.usable(VOTES)), 10, seed=1, sizes=(16,))
    spent = [row.spent for row in rows]
    for each in spent:
        assert each[tail.EXACT].winner == each[tail.ALL_HEDGED].winner == each[tail.GATHERED].winner
    assert sum(each[tail.EXACT].seconds for each in spent) < 0.7 * sum(each[tail.GATHERED].seconds for each in spent)
    assert sum(each[tail.EXACT].tokens for each in spent) < sum(each[tail.GATHERED].tokens for each in spent)
    assert any(each[tail.ALL_HEDGED].calls > 16 for each in spent)


def test_another_answer_is_seen() -> None:
    votes = {way: tail.Spent(10.0, 100.0, 8, "1") for way in (tail.GATHERED, tail.EXACT, tail.BETA)}
    votes[tail.EXACT] = replace(votes[tail.EXACT], winner="2")
    assert len(tail.show([tail.Row(tail.ALL_SETS, 8, "0", votes)])) == 2


@pytest.mark.parametrize(("cached", "failures"), [([0, *[2900] * 7], 0), ([0, 2600, *[2900] * 6], 1)])
def test_a_context_that_is_read_more_than_once_is_seen(cached: list[int], failures: int) -> None:
    read = [
        prefix_cache.Run(way, 0, 3000, seconds, (3050,) * 8, tuple(found), 256)
        for way, seconds, found in ((prefix_cache.BY_ITSELF, 400.0, [0] * 8), (prefix_cache.ONCE, 100.0, cached))
    ]
    assert len(prefix_cache.show(read)) == failures
    assert read[1].read == 8 * 3050 - sum(cached)


@pytest.mark.anyio
async def test_what_revising_and_asking_again_bring(capsys: pytest.CaptureFixture[str]) -> None:
    def script(request: ModelRequest) -> str:
        text = request.messages[-1].text
        if "final answer" not in request.messages[0].text:
            return "NO CHANGE" if "reply with these two words" in text else f"It is {len(text)}."
        if "begins with ASK" in text:
            return "ASK 1: How many are there?"
        return "248, 258 and 10" if "Task: How many are there?" in text else "248 and 258"

    runs = await refine.measured(ScriptedModel(script), refine.QUESTIONS[:1], 60)
    assert [(each.way, each.right, each.calls) for each in runs] == [
        (refine.PLAIN, 2, 3),
        (refine.REFINED, 2, 5),
        (refine.ASKED, 3, 5),
    ]
    assert [each.asked for each in runs] == [(), (), ("How many are there?",)]
    refine.show(runs)
    assert "| ask_again=1 | 3 of 3 | 1, 0 | 5 |" in capsys.readouterr().out


def test_numbers_are_found_as_wholes() -> None:
    assert refine.right_numbers("2,128 euros, 78.00 more", ["2128", "78", "8"]) == 2


def test_each_round_has_a_context_of_its_own() -> None:
    one, other = (prefix_cache.context(name, 1000) for name in ("a", "b"))
    assert one == prefix_cache.context("a", 1000)
    assert one[:100] != other[:100]
    assert 1000 < len(one) < 8000


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("way", ["fan_out", "stream"])
async def test_the_ways_of_the_speed_benchmark(way: str) -> None:
    with running.server() as url:
        pace = f"{url}/stream-200/v1"
        for opened in (contemplated.opened, openai_gather.opened):
            async with opened(pace) as ways:
                took = await worker.measured(ways, way=way, n=4, at_once=2, warm=1)
            assert took["cpu"] > 0
            assert took["pieces"] == (4 * 200 if way == "stream" else 0)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("feature", contenders.FEATURES, ids=lambda feature: feature.name)
async def test_each_feature_can_be_switched_on(feature: contenders.Contender) -> None:
    log = logging.getLogger("contemplate")
    with running.server() as url:
        pace = f"{url}/0/v1"
        opened = model_alone.opened(pace) if feature is contenders.ALONE else contemplated.opened(pace, feature.on)
        async with opened as ways:
            assert log.isEnabledFor(logging.INFO) == ("logs" in feature.on)
            # From its 51st call on, a hedge knows which are late.
            assert (await worker.measured(ways, way="fan_out", n=60, at_once=1, warm=60))["cpu"] > 0
    assert not log.handlers


def test_features_are_switched_on_in_the_model_and_around_it() -> None:
    model = contemplated.wrapped(ScriptedModel("a"), ("hedge", "limiter", "retry"))
    assert repr(model).startswith("Retry(Limit(Hedge(")
    inner = ScriptedModel("a")
    assert contemplated.wrapped(inner, ()) is inner


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_where_memory_goes() -> None:
    with running.server() as url:
        found = await profile.held(url, contenders.EVERYTHING, 100)
    assert {"contemplate.run", "contemplate.agents", "contemplate.models.openai", "asyncio"} <= found.keys()
    whole = sum(size for size, _ in found.values())
    assert 5_000 < whole < 100_000
    assert f"| all | {whole:,.0f} |" in profile.memory_table(found)


def frame(function: str, file: str) -> dict[str, str]:
    return {"name": function, "file": file}


def test_where_time_goes() -> None:
    seen = {
        "shared": {
            "frames": [
                frame("BaseEventLoop.run_forever", "/usr/lib/python3.11/asyncio/base_events.py"),
                frame("OpenAIModel.request", f"{rooms.HOME}/models/openai/model.py"),
                frame("ClientSession._request", "/venv/lib/python3.11/site-packages/aiohttp/client.py"),
                frame("_find_and_load", "<frozen importlib._bootstrap>"),
                frame("Condition.wait", "/usr/lib/python3.11/threading.py"),
            ]
        },
        "profiles": [{"samples": [[0, 1, 2], [0, 1], [0, 3], [4]], "weights": [3, 1, 50, 50]}],
    }
    table = profile.cpu_tables(seen)
    assert "| aiohttp | 75.0 | 75.0 |" in table
    assert "| contemplate.models.openai | 25.0 | 100.0 |" in table
    assert "| asyncio | 0.0 | 100.0 |" in table
    assert "| `ClientSession._request` of aiohttp | 75.0 | 75.0 |" in table
    assert "stdlib" not in table


@pytest.mark.skipif(not profile.spy(), reason="py-spy is not installed")
def test_a_process_is_watched(tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    try:
        profile.sampled(contenders.EVERYTHING, 16, 2.0, out)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"py-spy may not watch here: {error.stderr}")
    found = {each.name for each in rooms.shares(profile.stacks(json.loads(out.read_text())), lambda one: one.room)}
    assert {"asyncio", "contemplate.run", "contemplate.models.openai"} <= found


@pytest.mark.parametrize(
    ("path", "room"),
    [
        (f"{rooms.HOME}/run/engine.py", "contemplate.run"),
        (f"{rooms.HOME}/samples.py", "contemplate.samples"),
        (f"{rooms.HOME}/aggregators/vote.py", "contemplate.aggregators"),
        ("/a/lib/python3.11/site-packages/pydantic/_internal/_fields.py", "pydantic"),
        ("/a/lib/python3.11/site-packages/typing_extensions.py", "typing_extensions"),
        ("/work/contemplate/venv/lib/python3.11/site-packages/aiohttp/client.py", "aiohttp"),
        ("/a/lib/python3.11/asyncio/tasks.py", "asyncio"),
        ("/a/lib/python3.11/contextlib.py", "contextlib"),
        ("/a/lib/python3.11/threading.py", "stdlib"),
        ("<string>", "stdlib"),
        (contemplated.__file__, "benchmarks"),
    ],
)
def test_whose_a_file_is(path: str, room: str) -> None:
    assert rooms.room_of(path) == room


def test_goals_are_held_against_what_was_measured() -> None:
    rounds = {contenders.BASE: [{"cpu": 0.1, "wall": 1.0}], goals.OURS: [{"cpu": 0.03, "wall": 0.45}], "dspy": []}
    found = goals.reached({"scenarios": {"fan_out": {"256": rounds}}})
    assert [(goal.most, round(value, 2)) for goal, value in found] == [(0.4, 0.3), (2.1, 3.0)]
    yes, no = goals.table(found).splitlines()[-2:]
    assert yes.endswith("| 0.30 x | yes |")
    assert no.endswith("| 3.00 x | **no** |")


def test_all_goals_have_figures_in_a_whole_run() -> None:
    took = {"cpu": 1.0, "wall": 1.0, "base_kib": 0.0, "peak_kib": 1.0}
    measured = {
        each.name: {str(job.n): {one.name: [took] for one in each.contenders} for job in each.jobs}
        for each in scenarios.SCENARIOS
    }
    starts = {"starts": {name: [took] for name in running.commands(contenders.CONTEMPLATE)}}
    assert len(goals.reached({"scenarios": measured | starts})) == len(goals.GOALS)


def test_what_a_feature_adds_is_shown() -> None:
    results = {
        "date": "2026-01-01",
        "machine": running.machine(),
        "versions": {},
        "scenarios": {
            "features": {"64": {"nothing": [{"cpu": 0.033, "wall": 0.2}], "logs": [{"cpu": 0.0396, "wall": 0.2}]}}
        },
    }
    assert "| logs | 600 (+100) | 200 |" in reporting.tables(results)


def test_compiled_files_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OTHER_API_KEY", "k")
    assert not {"PYTHONDONTWRITEBYTECODE", "OTHER_API_KEY"} & contenders.CONTEMPLATE.environ.keys()


def test_a_report_is_written_between_its_markers(tmp_path: Path) -> None:
    slow, fast = {"cpu": 0.066, "wall": 0.4}, {"cpu": 0.033, "wall": 0.2}
    results = {
        "date": "2026-01-01",
        "machine": running.machine(),
        "versions": {contenders.BASE: "1"},
        "scenarios": {"fan_out": {"64": {contenders.BASE: [slow], "contemplate": [fast, fast], "dspy": []}}},
    }
    page = tmp_path / "performance.md"
    page.write_text("Before\n<!-- measured -->\nold\n<!-- /measured -->\nAfter")
    reporting.write(results, page)
    text = page.read_text()
    assert text.startswith("Before")
    assert text.endswith("After")
    assert "old" not in text
    assert "| contemplate | 500 (0.50) | 200 (0.50) |" in text
    assert "<svg" in (tmp_path / "performance" / "fan-out-64-cpu.svg").read_text()
    reporting.write(results, page)
    assert page.read_text() == text
    with pytest.raises(ValueError, match="has no <!-- cpu -->"):
        reporting.put("", page, "cpu")


@pytest.mark.anyio
async def test_the_layer_alone_is_measured_in_all_ways() -> None:
    taken = await layer.measured(4, 1)
    assert list(taken) == list(layer.WAYS)
    assert min(taken.values()) > 0


def test_the_docs_say_how_many_programs_ran_to_their_ends() -> None:
    outcomes = programs.kept(Path(__file__).parent.parent / "benchmarks/results/programs.jsonl")
    assert programs.summary(outcomes) == "14 of 20 completed, 13 at the first try"
    page = (Path(__file__).parent.parent / "docs/programs.md").read_text("utf-8")
    assert "**14 of 20** programs organised the work and ran to their ends, 13 of them at the first try." in page
    calls, read, written = (
        fmean(each[field] for each in outcomes) for field in ("calls", "input_tokens", "output_tokens")
    )
    assert f"{calls:.1f} calls in the mean, {round(read, -1):,.0f} tokens read, {written:.0f} written" in page
