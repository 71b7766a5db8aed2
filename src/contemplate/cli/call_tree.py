"""The calls of a run as a tree: those of each task, and below them the runs within it, each under its path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from ..journal import Entry, Journal
from ..journal.entries import message_of
from ..redaction import redact
from ..result import TaskResult
from ..views.summary import failure_reason, usage_text

INDENT = "    "
# A use of a tool, as the path of a run within it names it, and a run that is not the first at its place.
_USE = re.compile(r"[A-Za-z0-9_-]{1,64}:[0-9a-f]{6}(#\d+)?")
_AGAIN = re.compile(r"#\d+$")


def call_tree(
    entries: Sequence[Entry], results: Mapping[str, TaskResult], requests: Journal | None, path: str = ""
) -> Iterator[str]:
    """Yield the lines of a run.

    Args:
        entries: its calls, and those of the runs within it.
        results: the results of its tasks, by their ids.
        requests: where to find what was asked, if that is to be shown.
        path: the path of the run.
    """
    own = [entry for entry in entries if entry.path == path]
    tasks = dict.fromkeys([*results, *(entry.task for entry in own if entry.task is not None)])
    within: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        if entry.path != path:
            owner, name = _place(entry.path[len(path) :].removeprefix("/"), tasks)
            runs = within.setdefault(owner, {})
            runs.setdefault(f"{path}/{name}" if path else name, []).append(entry)
    for owner in dict.fromkeys(("planner", *tasks, *(each for each in within if each != "aggregator"), "aggregator")):
        if owner in _ROLES and owner not in tasks:
            calls = [entry for entry in own if entry.role == owner]
            head = owner
        else:
            calls = [entry for entry in own if entry.task == owner]
            head = _task_line(owner, results.get(owner))
        if calls or owner in tasks or owner in within:
            # What a tool does that belongs to no task has no line of its own above it.
            yield from [head] if owner else []
            yield from call_lines(calls, requests)
            for inner, inner_calls in within.get(owner, {}).items():
                yield f"{INDENT}run within {inner}"
                yield from (f"{INDENT * 2}{line}" for line in call_tree(inner_calls, {}, requests, inner))


_ROLES = ("planner", "aggregator")


def lane_of(entry: Entry, results: Collection[str]) -> str:
    """Return within what the call was made: the id of a task of the outermost run, or a role."""
    if entry.path:
        return _place(entry.path, results)[0] or entry.path
    return entry.task or entry.role


def _place(path: str, tasks: Collection[str]) -> tuple[str, str]:
    """Return whose the run is at a path, or around it, and the path of that run.

    It is a task's, or a role's; "" stands for a tool that is used outside of tasks.
    """
    known = max((task for task in tasks if f"{path}/".startswith((f"{task}/", f"{task}#"))), key=len, default="")
    start = path.find("/", len(known)) if known else path.find("/")
    first, rest = (path, "") if start < 0 else (path[:start], path[start + 1 :])
    if not known and _USE.fullmatch(first):
        return "", first
    used = rest.partition("/")[0]
    return known or _AGAIN.sub("", first), f"{first}/{used}" if _USE.fullmatch(used) else first


def _task_line(task: str, result: TaskResult | None) -> str:
    if result is None:
        return f"task {task}"
    needs = f" (after {', '.join(result.task.needs)})" if result.task.needs else ""
    label = f": {result.task.title}" if result.task.title else ""
    return f"task {task}{label}{needs} · {result.outcome}{failure_reason(result)} · {result.seconds:.1f} s"


def call_lines(entries: Sequence[Entry], requests: Journal | None) -> Iterator[str]:
    """Yield the lines of calls: how each ended, what it took, and its text."""
    for entry in entries:
        cost = "" if entry.role == "tool" else f" · {usage_text(entry.usage)}"
        # What an event loop says of a cancellation helps nobody.
        error = "" if entry.error is None or entry.outcome == "cancelled" else f": {redact(entry.error.message)}"
        yield f"{INDENT}{entry.name} · {entry.outcome}{error} · {entry.seconds:.1f} s{cost}"
        if requests is not None and entry.role != "tool":
            for part in requests.parts(entry.parts)[1:]:
                message = message_of(part)
                yield from indented(f"[{message.role}] {message.text}", INDENT * 2)
        text = entry.text if entry.response is None else entry.response.message.text
        yield from indented(text, INDENT * 2)


def indented(text: str, margin: str) -> Iterator[str]:
    """Yield the lines of `text` behind a margin."""
    return (f"{margin}{line}" for line in text.strip().splitlines())
