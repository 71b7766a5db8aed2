"""Results, as those are shown them who go on from there."""

from __future__ import annotations

from collections.abc import Sequence

from ..result import TaskResult
from . import fence_mark, fenced, render


def shown(inputs: Sequence[TaskResult], run_id: str) -> str:
    """What a task needs, fenced; what is missing is said to be missing, never left empty."""
    texts = [(f"result {number}", text_of(each)) for number, each in enumerate(inputs, start=1)]
    mark = fence_mark(run_id, texts)
    return render("inputs", mark=mark, inputs=fenced(texts, mark))


def text_of(result: TaskResult) -> str:
    """What others are shown of a result: a text that is missing or cut off says so, and is never left empty."""
    if result.answered:
        return result.text if result.text.strip() or not result.images else render("only_images")
    if result.outcome == "capped" and result.text:
        return render("incomplete", text=result.text)
    return render("missing")
