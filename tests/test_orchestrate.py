"""A model that leads: what its tools do, what it may do wrong, and what the aggregator is given."""

from __future__ import annotations

import json
from collections.abc import Callable

import anyio
import pytest

from contemplate import Agent, Contemplator, Limits, Message, aggregators, planners
from contemplate.errors import ConfigurationError, ModelServerError
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.result import RunResult
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

Turn = Message | str | Exception


def use(*calls: tuple[str, dict[str, object]]) -> Message:
    return Message.assistant(
        "",
        tool_calls=tuple(ToolCall(id=f"c{i}", name=name, arguments=json.dumps(a)) for i, (name, a) in enumerate(calls)),
    )


def spawn(prompt: str) -> tuple[str, dict[str, object]]:
    return "spawn", {"title": "t", "prompt": prompt}


def wait(*tasks: str) -> tuple[str, dict[str, object]]:
    return "wait", {"tasks": list(tasks)}


class Team:
    """A leader who says `turns`, and experts who do what their task says."""

    def __init__(self, *turns: Turn, expert: Callable[[str], str | Exception] = lambda task: f"did {task}") -> None:
        self.leader: list[ModelRequest] = []
        self.hanging = anyio.Event()
        self._turns = list(turns)
        self._expert = expert

    async def __call__(self, request: ModelRequest) -> Turn:
        if "You lead a team" in request.messages[0].text:
            self.leader.append(request)
            return self._turns.pop(0)
        if "You write the final answer" in request.messages[0].text:
            return "merged"
        task = request.messages[-1].text.split("Your task:\n")[-1]
        if task == "hang":
            self.hanging.set()
            await anyio.sleep_forever()
        return self._expert(task)

    async def run(self, limits: Limits | None = None, max_tasks: int = 12, max_turns: int = 12) -> RunResult[str]:
        planner = planners.orchestrate(max_tasks, max_turns=max_turns)
        mind = Contemplator(ScriptedModel(self), planner=planner, aggregator=aggregators.synthesize(), limits=limits)
        with anyio.fail_after(PATIENCE):
            return await mind.run("the question")

    def told(self) -> list[str]:
        """What the tools returned, in order."""
        return [message.text for message in self.leader[-1].messages if message.role == "tool"]


async def test_it_spawns_waits_follows_up_and_is_done() -> None:
    team = Team(
        use(spawn("a"), spawn("b")),
        use(wait("task-1", "task-2")),
        use(("follow_up", {"task": "task-1", "prompt": "more"}), wait("task-3")),
        "DONE",
    )
    result = await team.run()
    assert (result.text, result.complete) == ("merged", True)
    assert result.support == ("task-1", "task-2", "task-3")
    assert result.tasks[2].task.needs == ("task-1",)
    assert "did a" in team.told()[2]
    assert "did b" in team.told()[2]
    assert "did more" in team.told()[4]
    assert result.usage.calls == 4 + 3 + 1


async def test_all_of_a_turn_run_at_the_same_time() -> None:
    both = anyio.Event()
    running = 0

    async def reply(request: ModelRequest) -> Turn:
        nonlocal running
        if "Your task:" in request.messages[-1].text:
            running += 1
            if running == 2:
                both.set()
            await both.wait()
            return "done"
        return await team(request)

    team = Team(use(spawn("a"), spawn("b"), wait("task-1", "task-2")), "DONE")
    mind = Contemplator(ScriptedModel(reply), planner=planners.orchestrate(), aggregator=aggregators.synthesize())
    with anyio.fail_after(PATIENCE):
        assert (await mind.run("q")).text == "merged"


async def test_what_hangs_is_interrupted_and_the_rest_is_merged() -> None:
    team = Team(
        use(spawn("a"), spawn("hang"), wait("task-1")),
        use(("interrupt", {"task": "task-2"}), wait("task-2"), ("interrupt", {"task": "task-1"})),
        "DONE",
    )
    result = await team.run()
    assert result.text == "merged"
    assert [each.outcome for each in result.tasks] == ["answered", "cancelled"]
    assert team.told()[3] == "task-2 is stopped."
    assert "missing" in team.told()[4]
    assert team.told()[5] == "task-1 was not running."


async def test_who_needs_an_interrupted_task_runs_without_it() -> None:
    team = Team(
        use(spawn("hang"), ("follow_up", {"task": "task-1", "prompt": "next"}), ("interrupt", {"task": "task-1"})),
        "DONE",
    )
    result = await team.run()
    assert [each.outcome for each in result.tasks] == ["cancelled", "answered"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (wait("task-9"), "no task 'task-9'; there are: task-1"),
        (("follow_up", {"task": "x", "prompt": "y"}), "no task 'x'"),
        (("interrupt", {"task": "x"}), "no task 'x'"),
        (("message", {"task": "x", "text": "y"}), "no task 'x'"),
        (("delegate", {}), "there is no tool 'delegate'"),
        (("spawn", {"prompt": 5}), "wrong arguments for spawn"),
    ],
)
async def test_a_wrong_call_is_told_to_the_leader(call: tuple[str, dict[str, object]], told: str) -> None:
    team = Team(use(spawn("a")), use(call), "DONE")
    assert (await team.run()).text == "merged"
    assert told in team.told()[1]


async def test_no_more_tasks_than_allowed() -> None:
    team = Team(use(spawn("a"), spawn("b"), spawn("c")), "DONE")
    result = await team.run(max_tasks=2)
    assert len(result.tasks) == 2
    assert "all 2 tasks are handed out" in team.told()[2]


async def test_no_more_turns_than_allowed() -> None:
    team = Team(*(use(spawn(str(i))) for i in range(5)))
    result = await team.run(max_turns=3)
    assert len(result.tasks) == 3
    assert any("max_turns=3" in note for note in result.notes)


async def test_a_leader_who_hands_out_nothing_leaves_the_question_as_it_is() -> None:
    result = await Team("DONE", expert=lambda task: f"did {task}").run()
    assert (result.text, result.usage.calls) == ("did the question", 2)


async def test_a_leader_who_fails_at_once_ends_the_run_and_later_does_not() -> None:
    with pytest.raises(ModelServerError, match="down"):
        await Team(ModelServerError("down", model="m")).run()
    result = await Team(use(spawn("a")), ModelServerError("down", model="m")).run()
    assert result.text == "merged"
    assert result.notes == ("no further tasks were planned: m: down",)


async def test_a_limit_on_calls_ends_the_handing_out() -> None:
    result = await Team(use(spawn("a"), wait("task-1")), use(spawn("b")), use(spawn("c"))).run(Limits(calls=4))
    assert result.text == "merged"
    assert result.usage.calls <= 4


def test_numbers_that_make_no_sense() -> None:
    with pytest.raises(ConfigurationError, match="max_tasks=0"):
        planners.orchestrate(0)


def says(text: str, task: str = "task-1") -> tuple[str, dict[str, object]]:
    return "message", {"task": task, "text": text}


async def test_a_subagent_at_work_hears_what_the_leader_says() -> None:
    told = anyio.Event()
    asked: list[ModelRequest] = []

    async def reply(request: ModelRequest) -> Turn:
        if "Your task:" not in request.messages[1].text:
            if any("before its next turn" in message.text for message in request.messages):
                told.set()
            return await team(request)
        asked.append(request)
        if len(asked) == 1:
            await told.wait()
            return "3 feet"
        return "1 metre"

    team = Team(use(spawn("measure")), use(says("in metres")), use(wait("task-1")), use(says("and now?")), "DONE")
    mind = Contemplator(ScriptedModel(reply), planner=planners.orchestrate(), aggregator=aggregators.synthesize())
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q")
    assert result.tasks[0].text == "1 metre"
    assert len(asked) == 2
    assert [message.role for message in asked[1].messages[-2:]] == ["assistant", "user"]
    assert "in metres" in asked[1].messages[-1].text
    assert "hand out a follow-up" in team.told()[-1]


async def test_one_that_has_no_turn_left_answers_all_the_same() -> None:
    told = anyio.Event()

    async def reply(request: ModelRequest) -> Turn:
        if "Your task:" in request.messages[1].text:
            await told.wait()
            return "3 feet"
        if any("before its next turn" in message.text for message in request.messages):
            told.set()
        return await team(request)

    team = Team(use(spawn("measure")), use(says("in metres")), "DONE")
    mind = Contemplator(
        ScriptedModel(reply),
        planner=planners.orchestrate(),
        agent=Agent(max_turns=1),
        aggregator=aggregators.synthesize(),
    )
    with anyio.fail_after(PATIENCE):
        assert (await mind.run("q")).tasks[0].text == "3 feet"


async def test_what_nobody_heard_is_told_with_the_result() -> None:
    told = anyio.Event()

    async def reply(request: ModelRequest) -> Turn:
        if "Your task:" in request.messages[1].text:
            await told.wait()
            return "3 feet"
        if any("if there is one" in message.text for message in request.messages):
            told.set()
        return await team(request)

    team = Team(use(spawn("measure")), use(says("in metres")), use(wait("task-1")), "DONE")
    agent = Agent(max_turns=1)
    mind = Contemplator(
        ScriptedModel(reply), planner=planners.orchestrate(), agent=agent, aggregator=aggregators.synthesize()
    )
    with anyio.fail_after(PATIENCE):
        await mind.run("q")
    assert "3 feet\n\n(It was done without having heard: in metres)" in team.told()[-1]
