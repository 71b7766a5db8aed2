"""`ask` and `ask_sync`: one question, one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .contemplator import Contemplator, Image
from .models import Model
from .modes import Mode, Preset
from .result import OutputT, RunResult
from .sync import run_blocking
from .tools import Tool
from .toolsets import Toolset
from .usage import Limits

_TEXT: Any = str


async def ask(
    question: str,
    *,
    model: str | Model | None = None,
    mode: Mode | Preset = "contemplating",
    images: Sequence[Image] = (),
    tools: Sequence[Tool | Callable[..., Any] | Toolset] = (),
    output_type: type[OutputT] = _TEXT,
    limits: Limits | None = None,
) -> RunResult[OutputT]:
    """Contemplate `question` and return the result; `.output` is the answer.

    Takes what `Contemplator` takes; make one of those for more than one question, or for more choices.

    Raises:
        ContemplateError: there is no answer; what was finished until then is in the error's `partial`.
    """
    mind = Contemplator(model, mode=mode, tools=tools, output_type=output_type, limits=limits)
    return await mind.run(question, images=images)


def ask_sync(
    question: str,
    *,
    model: str | Model | None = None,
    mode: Mode | Preset = "contemplating",
    images: Sequence[Image] = (),
    tools: Sequence[Tool | Callable[..., Any] | Toolset] = (),
    output_type: type[OutputT] = _TEXT,
    limits: Limits | None = None,
) -> RunResult[OutputT]:
    """`ask`, for code that is not async. Works where an event loop is running, too, as in a notebook."""
    return run_blocking(
        lambda: ask(
            question, model=model, mode=mode, images=images, tools=tools, output_type=output_type, limits=limits
        )
    )
