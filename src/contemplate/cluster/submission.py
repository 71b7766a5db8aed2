"""What is asked of a worker, as it travels: plain JSON, checked before it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

from pydantic import Field, JsonValue

from ..arguments import checked_as
from ..contemplator.jobs import EachRun, job_of
from ..data import Data, Text
from ..errors import ConfigurationError
from ..events import Speaker
from ..images import ImageSource
from ..limits import Limits
from ..messages import ImagePart, Message
from ..modes import Mode
from ..options import ResumeOptions, RunOptions
from ..prompts.instructions import Instructions, by_role
from ..settings import ModelSettings

# What a run can be given, and no other machine can.
_STAYS = {
    "tools": "give them to the worker's contemplator",
    "output_type": "give it to the worker's contemplator",
    "deps": "the worker's tools find what they need where they run",
    "budget": "give one with a journal to the worker's contemplator",
    "approve": "let the run wait, and decide with client.resume(run_id, decisions)",
    "on_event": "iterate over handle.events()",
}
_NOTHING_SAID = EachRun(limits=Limits(), budgets=(), listeners=(), labels={}, approve=None)


class SubmitOptions(TypedDict, total=False):
    """The options of a submitted run: those of `Contemplator.run` that JSON can say."""

    images: Sequence[ImageSource]
    history: Sequence[Message]
    model: str | None
    mode: Mode | None
    instructions: str | Instructions | None
    settings: ModelSettings | None
    answer_settings: ModelSettings | None
    seed: int | None
    limits: Limits | None
    labels: Mapping[str, JsonValue] | None


class Submission(Data):
    """What is asked of a worker. What is None is as its contemplator has it.

    Args:
        mind: the name of the contemplator.
        goes_on: whether the run is in the journal, which knows what it was asked, and goes on.
    """

    mind: str
    question: Text = ""
    images: tuple[ImagePart, ...] = ()
    history: tuple[Message, ...] = ()
    model: str | None = None
    mode: Mode | None = None
    instructions: dict[Speaker, str] | None = None
    settings: ModelSettings | None = None
    answer_settings: ModelSettings | None = None
    seed: int | None = None
    limits: Limits | None = None
    labels: dict[str, JsonValue] = Field(default={})
    goes_on: bool = False

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as JSON data, without what is not said."""
        data: dict[str, JsonValue] = self.model_dump(mode="json", exclude_none=True)
        return data

    def options(self, run_id: str) -> RunOptions:
        """Return it as the options of `Contemplator.run`, for the run of this id."""
        return cast("RunOptions", self._said(*SubmitOptions.__annotations__) | {"run_id": run_id})

    def options_to_go_on(self) -> ResumeOptions:
        """Return it as the options of `Contemplator.resume`."""
        return cast("ResumeOptions", self._said(*(SubmitOptions.__annotations__.keys() - {"images", "history"})))

    def _said(self, *names: str) -> dict[str, Any]:
        return {name: said for name in names if (said := getattr(self, name)) not in (None, (), {})}


def submission_of(mind: str, question: str, run_id: str, options: Mapping[str, Any]) -> Submission:
    """Return what is asked, checked as `Contemplator.run` would.

    Raises:
        ConfigurationError: an option is wrong, or cannot travel.
    """
    for name in options:
        if name in _STAYS:
            raise ConfigurationError(f"{name}=... cannot travel to a worker", hint=_STAYS[name])
    return _checked(mind, question, run_id, **options)


@checked_as("Client.submit")
def _checked(
    mind: str,
    question: str,
    run_id: str,
    *,
    images: Sequence[ImageSource] = (),
    history: Any = (),
    model: str | None = None,
    mode: Mode | None = None,
    instructions: str | Instructions | None = None,
    settings: ModelSettings | None = None,
    answer_settings: ModelSettings | None = None,
    seed: int | None = None,
    limits: Limits | None = None,
    labels: Mapping[str, JsonValue] | None = None,
) -> Submission:
    job = job_of(_NOTHING_SAID, question, images=images, history=history, labels=labels, run_id=run_id)
    return Submission(
        mind=mind,
        question=job.question,
        images=job.images,
        history=job.history,
        model=model,
        mode=mode,
        instructions=None if instructions is None else dict(by_role(instructions)),
        settings=settings,
        answer_settings=answer_settings,
        seed=seed,
        limits=limits,
        labels=dict(job.labels),
    )
