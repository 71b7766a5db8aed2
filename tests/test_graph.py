"""The graph of a run: a task is ready when, and only when, all that it needs is done."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Task
from contemplate.errors import PlanError
from contemplate.run.graph import TaskGraph


def task(number: int, needs: list[int]) -> Task:
    return Task(id=str(number), prompt="", needs=tuple(map(str, needs)))


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    """The needs of each task: only earlier ones, perhaps one of them twice."""
    size = draw(st.integers(1, 25))
    return [draw(st.lists(st.integers(0, i - 1), max_size=4)) if i else [] for i in range(size)]


@given(graphs(), st.integers())
def test_any_graph_in_any_order(needs: list[list[int]], seed: int) -> None:
    """Tasks are added while others finish, in a random order; each becomes ready once, and never too soon."""
    chance = random.Random(seed)
    graph = TaskGraph()
    ready: list[int] = []
    done: set[int] = set()
    to_add = list(range(len(needs)))
    seen: list[int] = []
    while to_add or ready:
        if to_add and (not ready or chance.random() < 0.5):
            number = to_add.pop(0)
            if graph.add(task(number, needs[number])):
                ready.append(number)
                seen.append(number)
        else:
            number = ready.pop(chance.randrange(len(ready)))
            done.add(number)
            for each in graph.finish(str(number)):
                ready.append(int(each.id))
                seen.append(int(each.id))
        assert all(set(needs[number]) <= done for number in seen)
        assert {int(each.id) for each in graph.waiting} == set(range(len(needs))) - set(to_add) - set(seen)
    assert sorted(seen) == list(range(len(needs)))
    assert graph.waiting == []


def test_the_order_in_which_dependents_become_ready_is_that_of_the_plan() -> None:
    graph = TaskGraph()
    graph.add(task(0, []))
    for number in range(1, 10):
        assert not graph.add(task(number, [0]))
    assert [each.id for each in graph.finish("0")] == [str(number) for number in range(1, 10)]


@pytest.mark.parametrize(
    ("second", "problem"),
    [(task(0, []), "'0' was planned twice"), (task(1, [1]), "'1' needs itself"), (task(1, [7]), "needs '7'")],
)
def test_what_cannot_follow_is_refused_and_changes_nothing(second: Task, problem: str) -> None:
    graph = TaskGraph()
    graph.add(task(0, []))
    with pytest.raises(PlanError, match=problem):
        graph.add(second)
    assert graph.add(task(1, [0])) is False
    assert [each.id for each in graph.finish("0")] == ["1"]
