"""The router at work: each way from end to end, what limits and failures leave of it, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from contemplate import Contemplator, Limits, Task, TaskResult, aggregators, answers, modes, planners, tool
from contemplate.errors import AggregationError, ConfigurationError, ModelServerError, PlanError
from contemplate.events import Noted
from contemplate.journal import Journal
from contemplate.models import Brevity, ModelRequest
from contemplate.planners import Route, Situation
from contemplate.planners.routed_tasks import breadth
from contemplate.result import RunResult
from contemplate.run.protocols import subagent_settings
from contemplate.strategies import code
from contemplate.testing import ScriptedModel
from contemplate.tools.external import external_tool

from .patience import PATIENCE
from .still_clock import on_a_still_clock, outlast
from .support import steps

pytestmark = pytest.mark.anyio

LONG = [f"Answer: {word} is what matters most to the people who live there" for word in ("peace", "bread", "work")]
SUM = "What is 2 + 2 * 2?"
Reply = str | Exception


def plan_of(*needs: list[int]) -> str:
    return json.dumps({"tasks": [{"title": f"t{i}", "prompt": f"do {i}", "needs": n} for i, n in enumerate(needs)]})


class Mind(ScriptedModel):
    """Samples answer `replies`, in the order of their seeds; the others say what they are.

    Args:
        replies: what samples say.
        plan: what is planned.
        calculated: what a program prints, or the error of its call.
        part: what parts say.
        merged, refined: what those say who merge and refine.
        hangs_at: at which call, from 1 on, it hangs.
    """

    def __init__(
        self,
        replies: Iterable[Reply] = (),
        *,
        plan: Reply = "none",
        calculated: Reply = "6",
        part: Reply = "a part",
        merged: Reply = "merged",
        refined: Reply = "refined",
        hangs_at: int = 0,
    ) -> None:
        super().__init__(self._reply)
        self.replies = list(replies)
        self.by_role = {"plan": plan, "program": calculated, "part": part, "merge": merged, "refine": refined}
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.hangs_at = hangs_at
        self.hangs = anyio.Event()

    async def _reply(self, request: ModelRequest) -> Reply:
        name = self.name_of(request)
        self.asked.append(name)
        if len(self.asked) == self.hangs_at:
            self.hangs.set()
            await anyio.sleep_forever()
        said = self.by_role[name] if name in self.by_role else self.replies[int(name.split()[1])]
        if name == "program" and isinstance(said, str):
            said = f"```python\nprint({said})\n```"
        self.answered.append(name)
        return said

    def name_of(self, request: ModelRequest) -> str:
        first, last = request.messages[0].text, request.messages[-1].text
        if request.output_schema is not None and request.output_schema.name == "plan":
            return "plan"
        if "You write the final answer" in first:
            return "merge"
        if "attempts at this very question" in last or "earlier solution to this very question" in last:
            return "refine"
        if "```" in last:
            return "program"
        return f"sample {request.settings.seed}" if request.settings.seed is not None else "part"


def mind(model: ScriptedModel, *, limits: Limits | None = None, output_type: Any = str, **more: Any) -> Any:
    """A contemplator with a router that has no plan of one task."""
    options = {name: more.pop(name) for name in ("journal", "tools", "on_event", "aggregator") if name in more}
    chosen = aggregators.by_kind(candidates=aggregators.vote(stop=None), others=aggregators.synthesize())
    return Contemplator(
        model,
        planner=planners.router(planners.model(), **more),
        output_type=output_type,
        limits=limits,
        **{"aggregator": chosen, **options},
    )


async def run(model: ScriptedModel, question: str = "q", **more: Any) -> RunResult[Any]:
    with anyio.fail_after(PATIENCE):
        result: RunResult[Any] = await mind(model, **more).run(question)
    return result


class TestInstant:
    async def test_the_first_sample_is_the_plain_call(self) -> None:
        once, probed = ScriptedModel("Answer: 4"), ScriptedModel("Answer: 4")
        await Contemplator(once, mode="instant").run("q")
        await Contemplator(probed, mode="auto").run("q")
        assert probed.requests[0].messages == once.requests[0].messages
        assert len(probed.requests) == 3
        assert all("Answer: ..." in each.messages[-1].text for each in probed.requests[1:])

    async def test_a_unanimous_probe_is_the_answer(self) -> None:
        result = await run(Mind(["Answer: 4", "So, Answer: 4.0", "Answer: four? no.\nAnswer: 4"]))
        assert (result.output, result.usage.calls, result.complete) == ("Answer: 4", 3, True)
        assert result.support == ("sample-1", "sample-2", "sample-3")
        assert result.notes == ("instant: the 3 probes agree, and nothing more is asked",)

    @pytest.mark.parametrize(
        ("plain", "others"),
        [
            ("The capital is **Canberra**, not Sydney.\nIt was founded in 1913.", "Answer: Canberra"),
            ("He has 3 apples.\n\nSo he pays **$1,234.50** in all.", "Answer: $1,234.50"),
            ("4", "Answer: 4"),
        ],
    )
    async def test_the_plain_answer_says_it_in_words_of_its_own(self, plain: str, others: str) -> None:
        result = await run(Mind([plain, others, others]))
        assert (result.output, result.usage.calls) == (plain, 3)

    @pytest.mark.parametrize("plain", ["It is Sydney.\nCanberra is near.\nSo it is.", "The sum of 4 and 5 is 9.", ""])
    async def test_the_plain_answer_does_not_say_it(self, plain: str) -> None:
        others = "Answer: 4" if "4" in plain else "Answer: Canberra"
        first: Reply = plain or ModelServerError("down", model="m")
        result = await run(Mind([first, *[others] * 8]))
        assert (result.output, len(result.tasks)) == (others, 9)

    @pytest.mark.parametrize("limits", [Limits(calls=2), Limits(calls=3), Limits(tasks=2), Limits(calls=1)], ids=str)
    async def test_without_room_for_a_probe_one_plain_call_is_made(self, limits: Limits) -> None:
        result = await run(Mind(["It is a long answer that nobody will ever want to count."]), limits=limits)
        assert result.usage.calls == 1
        assert result.output.startswith("It is a long")
        assert result.complete
        assert "the best answer so far is given" in result.notes[0]

    async def test_when_calls_are_short_the_probe_is_all_there_is(self) -> None:
        result = await run(Mind(["Answer: 5", "Answer: 4", "Answer: 4"]), limits=Limits(calls=4))
        assert (result.output, result.usage.calls, result.complete) == ("Answer: 4", 3, True)
        assert "the limits leave no more calls" in result.notes[0]

    async def test_where_nobody_answers_nothing_more_is_asked(self) -> None:
        model = Mind([ModelServerError("down", model="m")] * 3)
        with pytest.raises(AggregationError, match="none of the 3 tasks was answered; 'sample-1'.*down"):
            await run(model)
        assert len(model.asked) == 3

    async def test_of_a_tie_the_first_is_the_answer(self) -> None:
        result = await run(Mind(["It is 4, I think.", "Answer: 5", "Answer: 6"]), limits=Limits(calls=4))
        assert (result.output, result.support) == ("It is 4, I think.", ("sample-1",))


class TestVote:
    async def test_short_answers_that_differ_are_voted_on(self) -> None:
        result = await run(Mind(["Answer: 4", "Answer: 5", "Answer: 6"] + ["Answer: 5"] * 6))
        assert (result.output, result.usage.calls) == ("Answer: 5", 9)
        assert len(result.support) == 7
        assert result.notes == ("vote: the 3 probes differ (numbers): a vote of up to 9",)

    async def test_the_limits_say_how_many(self) -> None:
        result = await run(Mind(["Answer: a", "Answer: b", "Answer: c"] + ["Answer: b"] * 6), limits=Limits(calls=6))
        assert (result.output, result.usage.calls, result.complete) == ("Answer: b", 5, True)
        assert result.notes == ("vote: the 3 probes differ (choices): a vote of up to 5",)

    async def test_failed_samples_agree_with_nobody(self) -> None:
        result = await run(Mind([ModelServerError("down", model="m"), *["Answer: 4"] * 8]))
        assert (result.output, len(result.tasks)) == ("Answer: 4", 9)

    async def test_typed_answers_are_compared_by_value(self) -> None:
        class Place(BaseModel):
            name: str

        same = Mind(['{"name": "Rome"}', '{ "name":"Rome" }', '{"name": "Rome"}'])
        result = await run(same, output_type=Place)
        assert (result.output, len(same.requests)) == (Place(name="Rome"), 3)
        assert len({each.messages for each in same.requests[1:]}) == 1
        others = Mind([f'{{"name": "{name}"}}' for name in ("Rome", "Athens", "Troy", *["Athens"] * 6)])
        result = await run(others, output_type=Place)
        assert (result.output, result.usage.calls) == (Place(name="Athens"), 9)
        assert result.notes == ("vote: the 3 probes differ (values of the output type): a vote of up to 9",)

    @on_a_still_clock
    async def test_a_deadline_in_its_midst(self) -> None:
        async def script(request: ModelRequest) -> str:
            seed = request.settings.seed or 0
            if seed > 4:
                await outlast()
            return f"Answer: {min(seed, 2)}"

        result = await run(ScriptedModel(script), limits=Limits(seconds=60))
        assert (result.output, result.complete, result.stopped_by) == ("Answer: 2", False, "seconds")


class TestProgram:
    """Numbers differ, and the question has something to calculate."""

    @pytest.mark.parametrize(
        ("said", "calculated", "output", "votes"),
        [
            (["8", "6", "7"], "2 + 2 * 2", "Answer: 6", {"6": 2}),
            (["8", "8", "6"], "2 + 2 * 2", "Answer: 6", {"6": 2}),
            (["8", "8", "7"], "2 + 2 * 2", "Answer: 8", {"8": 2, "7": 1, "6": 1}),
        ],
    )
    async def test_it_counts_as_one_more_and_decides_a_tie(
        self, said: list[str], calculated: str, output: str, votes: dict[str, int]
    ) -> None:
        model = Mind([f"Answer: {each}" for each in said], calculated=calculated)
        result = await run(model, SUM, program=code)
        assert (result.output, result.votes, result.complete) == (output, votes, True)
        assert model.asked[-1] == "program"
        assert result.usage.calls == 4
        assert result.notes[0].startswith("program: the 3 probes differ (numbers): a program calculates")
        assert result.program is None

    async def test_it_alone_may_be_right(self) -> None:
        result = await run(Mind(["Answer: 8", "Answer: 9", "Answer: 7"]), SUM, program=code)
        assert result.answer == "6"
        assert result.support == ("calculation",)

    async def test_it_has_no_tools_as_it_cannot_wait_for_them(self) -> None:
        asks = external_tool("ask", "Ask somebody.", {"type": "object", "properties": {}})
        model = Mind(["Answer: 8", "Answer: 9", "Answer: 6"])
        result = await run(model, SUM, program=code, tools=[asks])
        assert (result.output, result.complete) == ("Answer: 6", True)
        assert [bool(each.tools) for each in model.requests] == [True, True, True, False]

    async def test_one_that_fails_leaves_the_probe(self) -> None:
        down = ModelServerError("down", model="m")
        result = await run(Mind(["Answer: 8", "Answer: 7", "Answer: 7"], calculated=down), SUM, program=code)
        assert (result.output, result.complete) == ("Answer: 7", False)
        assert result.notes[-1] == "nothing came of the way 'program': the best answer so far is given"

    async def test_what_gives_no_numbers_is_voted_on(self) -> None:
        result = await run(Mind(["Answer: 8", "Answer: 7", *["Answer: 7"] * 7]), "When was it?", program=code)
        assert result.usage.calls == 9


class TestDecompose:
    async def test_long_answers_are_decomposed_where_the_plan_is_broad(self) -> None:
        result = await run(Mind(LONG, plan=plan_of([], [], [1])))
        assert result.output == "merged"
        assert result.support == ("1", "2", "3")
        assert result.usage.calls == 3 + 1 + 3 + 1
        assert result.notes == ("decompose: the 3 probes differ (prose): a plan says whether there are parts",)

    async def test_parts_that_all_fail_leave_the_probe(self) -> None:
        model = Mind(LONG, plan=plan_of([], []), part=ModelServerError("down", model="m"))
        result = await run(model)
        assert (result.output, result.complete) == (LONG[0], False)
        assert "merge" not in model.asked
        assert "nothing came of the way 'decompose'" in result.notes[-1]

    async def test_so_does_a_merge_that_fails(self) -> None:
        model = Mind(LONG, plan=plan_of([], []), merged=ModelServerError("down", model="m"))
        result = await run(model)
        assert result.output == LONG[0]
        assert not result.complete

    async def test_a_limit_on_tasks_in_its_midst(self) -> None:
        result = await run(Mind(LONG, plan=plan_of([], [], [], [])), limits=Limits(tasks=5))
        assert (result.output, result.support, result.complete) == ("merged", ("1", "2"), False)
        assert result.notes[-1] == "the limits leave room for 2 of the 4 parts"

    @on_a_still_clock
    async def test_a_deadline_in_its_midst_leaves_the_instant_answer(self) -> None:
        class Slow(Mind):
            async def _reply(self, request: ModelRequest) -> Reply:
                if self.name_of(request) == "part":
                    await outlast()
                return await super()._reply(request)

        result = await run(Slow(LONG, plan=plan_of([], [])), limits=Limits(seconds=60))
        assert (result.output, result.complete, result.stopped_by) == (LONG[0], False, "seconds")


class TestRefine:
    @pytest.mark.parametrize("plan", [plan_of([], [1], [1, 2]), "no plan at all", ModelServerError("down", model="m")])
    async def test_where_it_is_a_chain_or_none_the_probe_is_refined(self, plan: Reply) -> None:
        result = await run(Mind(LONG, plan=plan))
        assert (result.output, result.support) == ("refined", ("answer",))
        assert result.complete
        assert any(note.startswith("refine: the plan has no parts that are independent") for note in result.notes)

    async def test_code_is_refined_without_a_plan(self) -> None:
        programs = [f"Here it is:\n```python\nprint({i}) # it is one of many programs\n```" for i in range(3)]
        model = Mind(programs)
        result = await run(model)
        assert (result.output, result.usage.calls) == ("refined", 4)
        assert result.notes == ("refine: the 3 probes differ (code): one more call makes the best of them",)

    async def test_where_a_plan_and_parts_cannot_be_paid(self) -> None:
        model = Mind(LONG)
        result = await run(model, limits=Limits(calls=6))
        assert (result.output, model.asked[3:]) == ("refined", ["refine"])

    async def test_what_fails_leaves_the_probe(self) -> None:
        result = await run(Mind(LONG, refined=ModelServerError("down", model="m")), limits=Limits(calls=6))
        assert (result.output, result.complete) == (LONG[0], False)

    @on_a_still_clock
    async def test_a_deadline_in_its_midst(self) -> None:
        class Slow(Mind):
            async def _reply(self, request: ModelRequest) -> Reply:
                if self.name_of(request) == "refine":
                    await outlast()
                return await super()._reply(request)

        result = await run(Slow(LONG), limits=Limits(seconds=60))
        assert (result.output, result.complete, result.stopped_by) == (LONG[0], False, "seconds")


def is_good(result: TaskResult) -> bool | str:
    return "good" in result.text or "it is not good"


class TestVerify:
    """With a check, by the mode itself."""

    async def test_one_call_suffices_where_the_first_passes(self) -> None:
        model = ScriptedModel("good")
        result = await Contemplator(model, mode=modes.auto(check=is_good)).run("q")
        assert (result.output, result.usage.calls, result.complete) == ("good", 1, True)
        assert [each.text for each in model.requests[0].messages] == ["q"]
        assert result.notes == ("verify: there is a checker: an answer is mended until it passes",)

    async def test_what_does_not_pass_is_mended_and_others_are_tried(self) -> None:
        model = ScriptedModel(lambda request: "good" if "it is not good" in request.messages[-1].text else "bad")
        result = await Contemplator(model, mode=modes.auto(check=is_good)).run("q")
        assert (result.output, result.complete) == ("good", True)
        mending = [each for each in model.requests if "it is not good" in each.messages[-1].text]
        # The three lines go on at the same time, and the first that is good ends the others.
        assert 1 <= len(mending) <= 3
        assert result.usage.calls <= 6

    async def test_where_none_passes_it_says_so(self) -> None:
        model = ScriptedModel("bad")
        result = await Contemplator(model, mode=modes.auto(check=is_good, samples=6)).run("q")
        assert (result.output, result.complete, result.usage.calls) == ("bad", False, 6)
        assert "no solution was accepted" in result.notes[-1]

    async def test_a_checker_that_raises_leaves_the_instant_answer(self) -> None:
        def check(result: TaskResult) -> bool:
            raise ValueError("no idea")

        model = ScriptedModel("an answer")
        result = await Contemplator(model, mode=modes.auto(check=check)).run("q")
        assert (result.output, result.complete, result.usage.calls) == ("an answer", False, 1)
        assert "the verifier raised ValueError" in result.notes[-1]

    async def test_a_limit_in_its_midst(self) -> None:
        model = ScriptedModel("bad")
        mode = modes.auto(check=is_good)
        result = await Contemplator(model, mode=mode, limits=Limits(calls=4)).run("q")
        assert (result.output, result.complete) == ("bad", False)
        assert len(model.requests) <= 4

    async def test_a_first_answer_that_fails_is_made_up_for(self) -> None:
        replies = iter([ModelServerError("down", model="m")])
        model = ScriptedModel(lambda _: next(replies, "good"))
        result = await Contemplator(model, mode=modes.auto(check=is_good)).run("q")
        assert result.output == "good"

    async def test_typed(self) -> None:
        replies = iter(['{"value": 3}'])
        model = ScriptedModel(lambda _: next(replies, '{"value": 4}'))

        def even(result: TaskResult) -> bool:
            return bool(result.output % 2 == 0)

        result = await Contemplator(model, mode=modes.auto(check=even), output_type=int).run("q")
        assert result.output == 4

    async def test_a_model_checks(self) -> None:
        good = json.dumps({"steps": [{"step": "s", "why": "w", "fault": "none"}]})
        model = ScriptedModel(lambda request: "proof" if request.output_schema is None else good)
        result = await Contemplator(model, mode=modes.auto(check=model)).run("q")
        assert (result.output, result.usage.calls) == ("proof", 3)

    async def test_a_checker_that_nobody_can_pay_is_named(self) -> None:
        model = ScriptedModel("proof")
        result = await Contemplator(model, mode=modes.auto(check=model), limits=Limits(calls=2)).run("q")
        assert (result.output, result.usage.calls) == ("proof", 1)
        assert "there is a checker, but the limits leave 1 more call" in result.notes[0]

    @on_a_still_clock
    async def test_a_deadline_in_its_midst(self) -> None:
        async def script(request: ModelRequest) -> str:
            if len(request.messages) > 1:
                await outlast()
            return "bad"

        mode = modes.auto(check=is_good)
        result = await Contemplator(ScriptedModel(script), mode=mode, limits=Limits(seconds=60)).run("q")
        assert (result.output, result.complete, result.stopped_by) == ("bad", False, "seconds")


class TestSideEffects:
    """A tool that must not be called for several attempts."""

    @tool(side_effects=True)
    @staticmethod
    def send(text: str) -> str:
        """Send a letter."""
        return "sent"

    async def test_no_probe_is_drawn_and_a_plan_decides(self) -> None:
        model = Mind(plan=plan_of([], []))
        result = await run(model, tools=[self.send])
        assert model.asked == ["plan", "part", "part", "merge"]
        assert result.output == "merged"
        assert result.notes[0].startswith("decompose: a tool with side effects")

    async def test_without_room_it_is_asked_directly(self) -> None:
        model = ScriptedModel("done")
        result = await run(model, tools=[self.send], limits=Limits(calls=3))
        assert (result.output, result.usage.calls, result.complete) == ("done", 1, True)

    @pytest.mark.parametrize("said", ["good", "bad"])
    async def test_a_check_looks_at_the_one_answer(self, said: str) -> None:
        model = ScriptedModel(said)
        result = await Contemplator(model, mode=modes.auto(check=is_good), tools=[self.send]).run("q")
        assert (result.output, result.usage.calls, result.complete) == (said, 1, said == "good")

    async def test_where_that_fails_there_is_no_second_attempt(self) -> None:
        model = ScriptedModel(lambda _: ModelServerError("down", model="m"))
        with pytest.raises(AggregationError, match="down"):
            await Contemplator(model, mode=modes.auto(check=is_good), tools=[self.send]).run("q")
        assert len(model.requests) == 1


class TestChoose:
    async def test_a_route_of_ones_own(self) -> None:
        seen: list[Situation] = []

        def choose(situation: Situation) -> Route:
            seen.append(situation)
            return Route("refine", "as I like it")

        result = await run(Mind(["Answer: 4"] * 2), choose=choose, probe=2, key=answers.math)
        assert (result.output, result.notes) == ("refined", ("refine: as I like it",))
        (known,) = seen
        assert (known.keys, known.kind, known.unanimous) == (("4", "4"), "number", True)
        assert known.best_route().way == "instant"
        assert known.left == planners.Expense()
        assert (known.checker, known.tools, known.side_effects, known.programs) == (False, False, False, False)
        assert known.sample.tokens > 0

    async def test_a_vote_of_as_many_as_there_may_be(self) -> None:
        result = await run(Mind(["Answer: 4"] * 9), choose=lambda _: Route("vote", "to be sure"))
        assert result.usage.calls == 9

    @pytest.mark.parametrize(
        ("chosen", "message"),
        [
            ("vote", "returned 'vote'"),
            (Route("verify", ""), "'verify', and there is no check"),
            (Route("program", ""), "'program', and there is no program"),
        ],
    )
    async def test_one_that_cannot_be_taken(self, chosen: Any, message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            await run(Mind(["Answer: 4"] * 9), choose=lambda _: chosen)

    async def test_one_that_raises(self) -> None:
        def choose(situation: Situation) -> Route:
            raise KeyError("x")

        with pytest.raises(PlanError, match="KeyError"):
            await run(Mind(["Answer: 4"] * 9), choose=choose)


WAYS: dict[str, tuple[Callable[[int], Mind], dict[str, Any]]] = {
    "instant": (lambda at: Mind(["Answer: 4"] * 3, hangs_at=at), {}),
    "vote": (lambda at: Mind([f"Answer: {i % 2}" for i in range(9)], hangs_at=at), {}),
    "program": (lambda at: Mind(["Answer: 8", "Answer: 9", "Answer: 7"], hangs_at=at), {"program": code}),
    "decompose": (lambda at: Mind(LONG, plan=plan_of([], [], [1]), hangs_at=at), {}),
    "refine": (lambda at: Mind(LONG, plan=plan_of([]), hangs_at=at), {}),
    "verify": (
        lambda at: Mind([f"sample {i}" for i in range(99)], refined="good", hangs_at=at),
        {"check": is_good, "samples": 3, "aggregator": aggregators.first()},
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [1, 3, 4, 5])
async def test_killed_in_mid_route_it_goes_on_and_asks_nothing_twice(way: str, at: int) -> None:
    make, how = WAYS[way]
    whole = make(0)
    expected = await run(whole, SUM, **how)
    at = min(at, len(whole.asked))
    journal, killed, left = Journal(), make(at), make(0)
    begun = mind(killed, journal=journal, **how)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: begun.run(SUM, run_id="r"))
            await killed.hangs.wait()
            await steps(100)
            group.cancel_scope.cancel()
        kept = [each for each in journal.entries("r") if each.outcome == "answered" and each.role != "tool"]
        result = await mind(left, journal=journal, **how).run(SUM, run_id="r")
    assert result.output == expected.output
    assert result.notes == expected.notes
    assert len(kept) == len(killed.answered)
    # What was not asked before it was killed is asked now, and nothing else.
    assert sorted(killed.answered + left.asked) == sorted(whole.asked)


async def test_what_was_released_is_told_by_the_plan_so_that_it_can_be_concluded_again(tmp_path: Path) -> None:
    again = mind(ScriptedModel("Answer: 4"), journal=f"sqlite:///{tmp_path}/runs.db")
    first = await again.run("q")
    assert [task.held for task in first.plan.tasks] == [False] * 3
    other = await again.reaggregate(first.run_id)
    assert (other.output, other.support) == ("Answer: 4", first.support)
    replayed = await again.replay(first.run_id)
    assert (replayed.output, replayed.usage.calls, replayed.notes) == ("Answer: 4", 3, first.notes)


async def test_the_way_is_taken_again_that_was_taken(tmp_path: Path) -> None:
    ways = iter([Route("vote", "at first", 2), Route("instant", "there is less time now")])
    answers_in_turn = iter(f"Answer: {i % 3}" for i in range(99))
    model = ScriptedModel(lambda request: next(answers_in_turn))
    again = mind(model, journal=f"sqlite:///{tmp_path}/runs.db", choose=lambda situation: next(ways))
    first = await again.run("q")
    assert (first.usage.calls, first.notes) == (5, ("vote: at first",))
    replayed = await again.replay(first.run_id)
    assert (replayed.output, replayed.notes) == (first.output, first.notes)
    assert len(list(ways)) == 1


async def test_listeners_are_told_which_way_is_taken() -> None:
    events: list[Any] = []
    await run(Mind(["Answer: 4"] * 3), on_event=events.append)
    noted = [event.message for event in events if isinstance(event, Noted)]
    assert noted == ["instant: the 3 probes agree, and nothing more is asked"]


@pytest.mark.parametrize(
    ("needs", "expected"),
    [((), 0.0), (((),), 1.0), (((), ("0",), ("1",)), 1.0), (((), (), ()), 3.0), (((), (), ("0", "1")), 1.5)],
)
def test_breadth_is_tasks_over_the_longest_chain(needs: tuple[tuple[str, ...], ...], expected: float) -> None:
    assert breadth([Task(id=str(i), prompt="", needs=each) for i, each in enumerate(needs)]) == expected


@pytest.mark.parametrize(("probe_size", "samples"), [(1, 9), (4, 3)])
def test_numbers_that_make_no_sense(probe_size: int, samples: int) -> None:
    with pytest.raises(ConfigurationError, match=f"probe={probe_size}, samples={samples}"):
        planners.router(planners.model(), probe=probe_size, samples=samples)


async def test_by_kind_keeps_a_share_if_one_of_the_two_needs_it() -> None:
    vote, merge = aggregators.vote(), aggregators.synthesize()
    assert aggregators.by_kind(candidates=vote, others=vote).model_calls == 0
    assert aggregators.by_kind(candidates=vote, others=merge).model_calls == 1


def test_by_kind_asks_for_what_either_of_the_two_needs() -> None:
    weighed, plain = aggregators.vote(weights=aggregators.by_logprobs(top=7)), aggregators.first()
    for candidates, others in ((weighed, plain), (plain, weighed), (weighed, weighed)):
        needed = subagent_settings(aggregators.by_kind(candidates=candidates, others=others))
        assert needed is not None
        assert needed.logprobs == 7
    assert subagent_settings(aggregators.by_kind(candidates=plain, others=plain)) is None


async def test_who_chooses_is_told_what_one_sample_took() -> None:
    seen: list[Situation] = []

    def choose(situation: Situation) -> Route:
        seen.append(situation)
        return situation.best_route()

    model = Mind(["Answer: 4"] * 2)
    result = await run(model, probe=2, choose=choose)
    sample = seen[0].sample
    assert (sample.calls, sample.tasks) == (1, 1)
    assert sample.tokens == result.usage.total_tokens / 2


async def test_a_nested_run_is_replayed(tmp_path: Path) -> None:
    model = ScriptedModel("Answer: 4")
    inner = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote(stop=None))
    outer = Contemplator(
        model,
        planner=planners.rounds(2, 1, 2),
        aggregator=aggregators.vote(stop=None),
        agent=inner,
        journal=f"sqlite:///{tmp_path}/runs.db",
    )
    first = await outer.run("q")
    replayed = await outer.replay(first.run_id)
    assert len(model.requests) == 8
    assert replayed.output == first.output
    assert [each.usage.calls for each in replayed.tasks] == [2] * 4


class Brief(ScriptedModel):
    brevity = Brevity(tasks=2, max_tokens=77)


class TestMode:
    async def test_a_key_of_ones_own_never_leaves_it_without_an_answer(self) -> None:
        model = ScriptedModel("It is a long answer without a number that anybody could count.")
        mode = modes.auto(key=answers.math)
        result = await Contemplator(model, mode=mode, limits=Limits(calls=2)).run("q")
        assert result.output.startswith("It is a long answer")

    async def test_a_plan_of_one_task_leaves_the_question_whole(self) -> None:
        model = Mind(LONG, plan=plan_of([]))
        result = await Contemplator(model, mode="auto").run("q")
        assert (result.output, result.usage.calls) == ("refined", 5)

    async def test_numbers_are_calculated(self) -> None:
        model = Mind(["Answer: 8", "Answer: 9", "Answer: 7"], calculated="2 + 2 * 2")
        result = await Contemplator(model, mode="auto").run(SUM)
        assert (result.answer, result.usage.calls) == ("6", 4)

    async def test_without_the_sandbox_they_are_voted_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("contemplate.tools.program_steps.find_spec", lambda name: None)
        model = Mind([f"Answer: {i % 2}" for i in range(9)])
        result = await Contemplator(model, mode="auto").run(SUM)
        assert result.notes[0].startswith("vote:")

    async def test_a_choice_and_a_check_together(self) -> None:
        votes: Callable[[Situation], Route] = lambda _: Route("vote", "so")  # noqa: E731
        result = await Contemplator(ScriptedModel("Answer: 4"), mode=modes.auto(check=is_good, choose=votes)).run("q")
        assert (result.output, result.notes) == ("Answer: 4", ("vote: so",))

    @pytest.mark.parametrize("how", [{"check": is_good}, {"choose": Situation.best_route, "check": is_good}])
    async def test_a_slow_model_is_brief_and_checked(self, how: dict[str, Any]) -> None:
        model = Brief("good")
        result = await Contemplator(model, mode=modes.auto(**how)).run("q")
        assert result.usage.calls == 1
        assert model.requests[0].settings.max_tokens == 77

    def test_an_estimate(self) -> None:
        free = Contemplator(ScriptedModel("x"), mode="auto").estimate("q")
        assert (free.calls.low, free.likely_calls.low, free.likely_calls.high) == (1, 3, 11)
        checked = Contemplator(ScriptedModel("x"), mode=modes.auto(check=is_good)).estimate("q")
        assert (checked.calls.low, checked.likely_calls.low, checked.likely_calls.high) == (1, 1, 9)

    def test_too_few_samples(self) -> None:
        with pytest.raises(ConfigurationError, match="samples=2"):
            modes.auto(samples=2)
