"""The tasks of a run, or of a plan, as an HTML list in the order of their tree."""

from __future__ import annotations

from collections.abc import Mapping

from ...plan import Plan, Task
from ..plan_tree import PlanTree
from ..task_states import Status, TaskState, TaskStates
from .answer import answer_html
from .elements import Markup, element, joined

# Tasks, and characters of the text of each: a thousand tasks in full would be megabytes in a notebook's file.
MOST_TASKS = 100
MOST_TEXT = 1000
# Characters of a line, of the end of what is being written, so that its line does not break, and levels of a tree.
MOST_SAID = 160
MOST_WRITTEN = 90
MOST_DEPTH = 8

_MARKS: Mapping[Status, str] = {
    "waiting": "·",
    "running": "▸",
    "answered": "✓",
    "capped": "◐",
    "failed": "✗",
    "cancelled": "-",
    "suspended": "-",
    "stopped": "-",
    "not started": "·",
}


def states_html(states: TaskStates, *, texts: bool) -> Markup:
    """Return what each task is doing, or what came of it.

    Args:
        states: the tasks, of which those are shown first that are at work, or of which something is missing.
        texts: whether a task that wrote something can be opened, to read it.
    """
    items = [_state(state, states, texts=texts) for state in states.chosen(MOST_TASKS)]
    left = len(states) - len(items)
    more = [_more(f"and {left:,} more; {states.ended:,} of {len(states):,} are done")] if left else []
    return element("ul", *items, *more, class_="tasks")


def plan_html(plan: Plan) -> Markup:
    """Return the tasks of a plan; each can be opened, to read what it asks."""
    tree, tasks = PlanTree(), {task.id: task for task in plan.tasks}
    for task in plan.tasks:
        tree.add(task)
    items = [
        element(
            "li",
            *_opened(joined(*_label(tasks[each], tree.depth(each)), _needs(tasks[each], tasks)), tasks[each].prompt),
        )
        for each in tree.order[:MOST_TASKS]
    ]
    left = len(tasks) - len(items)
    more = [_more(f"and {left:,} more")] if left else []
    return element("ul", *items, *more, class_="tasks")


def _state(state: TaskState, states: TaskStates, *, texts: bool) -> Markup:
    within = states.within(state.task.id) if state.status == "running" else ""
    said = " · ".join(filter(None, (within, state.said)))
    # Of what is being written, the end is the news.
    said = end_of(said) if state.status == "running" else beginning_of(said)
    line = joined(
        element("span", _MARKS[state.status], class_=f"mark {state.status.replace(' ', '-')}"),
        " ",
        *_label(state.task, states.depth(state.task.id)),
        element("span", said, class_="dim"),
    )
    text = state.result.text if texts and state.result is not None else ""
    return element("li", *_opened(line, text))


def _label(task: Task, depth: int) -> tuple[str, ...]:
    depth = min(depth, MOST_DEPTH)
    branch = "\u2003" * (depth - 1) + "└ " if depth else ""
    return branch, element("b", beginning_of(task.label)), " "


def _needs(task: Task, tasks: Mapping[str, Task]) -> Markup:
    needs = ", ".join(tasks[need].label for need in task.needs)
    return element("span", beginning_of(f"after {needs}"), class_="dim") if needs else Markup()


def _opened(line: Markup, text: str) -> tuple[Markup, ...]:
    """Return a line that can be opened to read a text, if there is one."""
    if not text.strip():
        return (line,)
    return (element("details", element("summary", line), answer_html(text, MOST_TEXT)),)


def end_of(text: str) -> str:
    """Return the end of a text that is being written, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_WRITTEN else f"…{line[-MOST_WRITTEN:]}"


def beginning_of(text: str, most: int = MOST_SAID) -> str:
    """Return the beginning of a text, at most so many characters, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"


def _more(text: str) -> Markup:
    return element("li", text, class_="dim")
