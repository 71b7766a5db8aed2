"""Results as text for other prompts."""

from __future__ import annotations

from collections.abc import Sequence

from ..result import TaskResult
from . import fence_mark, fenced, render


def show_results(inputs: Sequence[TaskResult]) -> str:
    """Return the results that a task needs, fenced; a missing one is marked as missing."""
    texts = [(f"result {number}", result_text(each)) for number, each in enumerate(inputs, start=1)]
    mark = fence_mark(texts)
    return render("inputs", mark=mark, inputs=fenced(texts, mark))


def result_text(result: TaskResult) -> str:
    """Return the text of a result, with a note if it is missing or truncated; never empty."""
    if result.answered:
        return result.text if result.text.strip() or not result.images else render("only_images")
    if result.outcome == "capped" and result.text:
        return render("incomplete", text=result.text)
    return render("missing")
