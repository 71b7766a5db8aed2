"""`ask`: one question, one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack, overload

from ..budget import Budget
from ..decisions import Approve
from ..images import ImageSource
from ..limits import Limits
from ..messages import Message
from ..models import Model
from ..modes import Mode, Preset
from ..options import AnyTool, AskOptions
from ..result import OutputT, RunResult
from ..run.sync import run_blocking
from ..settings import ModelSettings
from .contemplator import Contemplator

_TEXT: Any = str


@overload
async def ask(
    question: str, *, output_type: type[OutputT] = ..., **options: Unpack[AskOptions]
) -> RunResult[OutputT]: ...
@overload
async def ask(question: str, *, output_type: Any, **options: Unpack[AskOptions]) -> RunResult[Any]: ...
async def ask(
    question: str,
    *,
    model: str | Model | None = None,
    mode: Mode | Preset = "contemplating",
    images: Sequence[ImageSource] = (),
    history: Sequence[Message] = (),
    tools: Sequence[AnyTool] = (),
    output_type: type[OutputT] = _TEXT,
    settings: ModelSettings | None = None,
    limits: Limits | None = None,
    deps: Any = None,
    budget: Budget | None = None,
    approve: Approve | None = None,
) -> RunResult[OutputT]:
    """Contemplate `question` and return the result; `.output` is the answer.

    The arguments are those of `Contemplator` and its `run`; use that for more than one question, or for more options.

    Raises:
        ContemplateError: there is no answer; the results so far are in the error's `partial`.
    """
    mind: Contemplator[OutputT] = Contemplator(
        model, mode=mode, tools=tools, output_type=output_type, settings=settings, limits=limits, approve=approve
    )
    return await mind.run(question, images=images, history=history, deps=deps, budget=budget)


@overload
def ask_sync(
    question: str, *, output_type: type[OutputT] = ..., **options: Unpack[AskOptions]
) -> RunResult[OutputT]: ...
@overload
def ask_sync(question: str, *, output_type: Any, **options: Unpack[AskOptions]) -> RunResult[Any]: ...
def ask_sync(
    question: str,
    *,
    model: str | Model | None = None,
    mode: Mode | Preset = "contemplating",
    images: Sequence[ImageSource] = (),
    history: Sequence[Message] = (),
    tools: Sequence[AnyTool] = (),
    output_type: type[OutputT] = _TEXT,
    settings: ModelSettings | None = None,
    limits: Limits | None = None,
    deps: Any = None,
    budget: Budget | None = None,
    approve: Approve | None = None,
) -> RunResult[OutputT]:
    """Call `ask` from synchronous code. Works where an event loop is running, too, as in a notebook."""
    return run_blocking(
        lambda: ask(
            question,
            model=model,
            mode=mode,
            images=images,
            history=history,
            tools=tools,
            output_type=output_type,
            settings=settings,
            limits=limits,
            deps=deps,
            budget=budget,
            approve=approve,
        )
    )
