"""Results as text for other prompts."""

from __future__ import annotations

from collections.abc import Sequence

from ..result import TaskResult
from . import Prompts, fence_mark, fenced


def show_results(inputs: Sequence[TaskResult], prompts: Prompts) -> str:
    """Return the results that a task needs, fenced; a missing one is marked as missing."""
    texts = [(f"result {number}", result_text(each, prompts)) for number, each in enumerate(inputs, start=1)]
    mark = fence_mark(texts)
    return prompts.render("inputs", mark=mark, inputs=fenced(texts, mark))


def result_text(result: TaskResult, prompts: Prompts) -> str:
    """Return the text of a result, with a note if it is missing or truncated; never empty."""
    if result.answered:
        return result.text if result.text.strip() or not result.images else prompts.render("only_images")
    if result.outcome == "capped" and result.text:
        return prompts.render("incomplete", text=result.text)
    return prompts.render("missing")
