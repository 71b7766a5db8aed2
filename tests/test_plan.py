"""Plans: ids are unique and needs point backwards, so that there is no cycle."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contemplate import ModelSettings, Plan, Task
from contemplate.errors import PlanError
from contemplate.plan import Program, problem_with
from contemplate.run.graph import TaskGraph

NAMES = st.sampled_from("abcd")
TASKS = st.lists(
    st.builds(Task, id=NAMES, prompt=st.just(""), needs=st.lists(NAMES, max_size=2).map(tuple)), max_size=5
)


@given(TASKS)
def test_a_plan_is_what_can_be_run_from_its_beginning_to_its_end(tasks: list[Task]) -> None:
    earlier: set[str] = set()
    fine = True
    for task in tasks:
        fine = fine and task.id not in earlier and set(task.needs) <= earlier
        earlier.add(task.id)
    if fine:
        assert Plan(tasks=tuple(tasks)).tasks == tuple(tasks)
    else:
        with pytest.raises(ValidationError):
            Plan(tasks=tuple(tasks))


@given(TASKS)
def test_the_graph_and_problem_with_agree(tasks: list[Task]) -> None:
    earlier: set[str] = set()
    graph = TaskGraph()
    for task in tasks:
        problem = problem_with(task, earlier)
        if problem is None:
            graph.add(task)
            earlier.add(task.id)
        else:
            with pytest.raises(PlanError) as caught:
                graph.add(task)
            assert caught.value.message == problem
            assert repr(task.id) in problem


def test_a_task_is_called_by_its_title_else_by_its_id() -> None:
    assert Task(id="a", prompt="").label == "a"
    assert Task(id="a", prompt="", title="Costs").label == "Costs"


def test_a_task_needs_an_id() -> None:
    with pytest.raises(ValidationError, match="id"):
        Task(id="", prompt="")


@pytest.mark.parametrize(
    ("field", "least"), [("memory_mib", 1), ("output_kib", 1), ("repairs", 0), ("seconds", math.nextafter(0, 1))]
)
def test_the_least_that_a_program_may_have(field: str, least: float) -> None:
    assert getattr(Program.model_validate({field: least}), field) == least
    with pytest.raises(ValidationError, match=field):
        Program.model_validate({field: least - 1})


def test_a_list_of_needs_will_do() -> None:
    assert Task.model_validate({"id": "b", "prompt": "", "needs": ["a"]}).needs == ("a",)


def test_settings_go_over_others() -> None:
    mine, usual = ModelSettings(temperature=0, stop=("x",)), ModelSettings(temperature=1, seed=5)
    assert mine.over(usual) == ModelSettings(temperature=0, stop=("x",), seed=5)
    assert mine.over(None) is mine
