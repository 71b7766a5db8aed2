"""What is asked of a worker, as it travels: plain JSON, checked before it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

from pydantic import Field, JsonValue

from ..arguments import checked_as
from ..budget import Budget
from ..contemplator.jobs import EachRun, job_of
from ..data import Data, Text
from ..errors import ConfigurationError
from ..events import Speaker
from ..images import ImageSource
from ..journal import Journal
from ..limits import Limits
from ..messages import ImagePart, Message
from ..modes import Mode
from ..options import AnyTool, ResumeOptions, RunOptions
from ..prompts.instructions import Instructions, by_role
from ..run.given_schema import type_by_schema
from ..settings import ModelSettings
from .travelling import SentBudget, SentTool, sent_budgets

# What a run can be given, and no other machine can.
_STAYS = {
    "output_type": "give it to the worker's contemplator, or send its JSON schema: output_schema=...",
    "deps": "the worker's tools find what they need where they run",
    "approve": "let the run wait, and decide with client.resume(run_id, decisions)",
    "on_event": "iterate over handle.events()",
}
# The name of a schema that has no title.
ANSWER = "answer"
# What a run is given in the form in which it travels.
_AS_THEY_ARE = ("model", "mode", "instructions", "settings", "answer_settings", "seed", "limits", "labels")
_NOTHING_SAID = EachRun(limits=Limits(), budgets=(), listeners=(), labels={}, approve=None)


class SubmitOptions(TypedDict, total=False):
    """The options of a submitted run: those of `Contemplator.run` that JSON can say."""

    images: Sequence[ImageSource]
    history: Sequence[Message]
    model: str | None
    mode: Mode | None
    tools: Sequence[AnyTool]
    output_schema: Mapping[str, JsonValue] | None
    instructions: str | Instructions | None
    settings: ModelSettings | None
    answer_settings: ModelSettings | None
    seed: int | None
    limits: Limits | None
    budget: Budget | Sequence[Budget] | None
    labels: Mapping[str, JsonValue] | None


class Submission(Data):
    """What is asked of a worker. What is None is as its contemplator has it.

    Args:
        mind: the name of the contemplator.
        tools: those that whoever asks runs himself.
        output_schema: the JSON schema of the answer.
        budgets: what the run draws from beside the contemplator's own; in the workers' journal.
        goes_on: whether the run is in the journal, which knows what it was asked, and goes on.
    """

    mind: str
    question: Text = ""
    images: tuple[ImagePart, ...] = ()
    history: tuple[Message, ...] = ()
    model: str | None = None
    mode: Mode | None = None
    tools: tuple[SentTool, ...] = ()
    output_schema: dict[str, JsonValue] | None = None
    instructions: dict[Speaker, str] | None = None
    settings: ModelSettings | None = None
    answer_settings: ModelSettings | None = None
    seed: int | None = None
    limits: Limits | None = None
    budgets: tuple[SentBudget, ...] = ()
    labels: dict[str, JsonValue] = Field(default={})
    goes_on: bool = False

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as JSON data, without what is not said."""
        data: dict[str, JsonValue] = self.model_dump(mode="json", exclude_none=True)
        return data

    @property
    def output_type(self) -> Any:
        """The type of the answer; None if it is as the contemplator has it.

        Raises:
            ConfigurationError: the schema is none.
            MissingDependencyError: no extra is installed that checks JSON schemas.
        """
        return None if self.output_schema is None else type_by_schema(self.output_schema, ANSWER)

    def options(self, run_id: str, journal: Journal) -> RunOptions:
        """Return it as the options of `Contemplator.run`, for the run of this id; its budgets are in `journal`."""
        return cast(
            "RunOptions", self._said(*_AS_THEY_ARE, "images", "history") | self._made(journal) | {"run_id": run_id}
        )

    def options_to_go_on(self, journal: Journal) -> ResumeOptions:
        """Return it as the options of `Contemplator.resume`."""
        return cast("ResumeOptions", self._said(*_AS_THEY_ARE) | self._made(journal))

    def _said(self, *names: str) -> dict[str, Any]:
        return {name: said for name in names if (said := getattr(self, name)) not in (None, (), {})}

    def _made(self, journal: Journal) -> dict[str, Any]:
        made: dict[str, Any] = {
            "tools": tuple(each.made() for each in self.tools),
            "budget": tuple(each.made(journal) for each in self.budgets),
        }
        return {name: each for name, each in made.items() if each}


def submission_of(mind: str, question: str, run_id: str, options: Mapping[str, Any], journal: Journal) -> Submission:
    """Return what is asked of the workers on `journal`, checked as `Contemplator.run` would.

    Raises:
        ConfigurationError: an option is wrong, or cannot travel.
    """
    for name in options:
        if name in _STAYS:
            raise ConfigurationError(f"{name}=... cannot travel to a worker", hint=_STAYS[name])
    return _checked(mind, question, run_id, journal, **options)


@checked_as("Client.submit")
def _checked(
    mind: str,
    question: str,
    run_id: str,
    journal: Journal,
    *,
    images: Sequence[ImageSource] = (),
    history: Any = (),
    model: str | None = None,
    mode: Mode | None = None,
    tools: Sequence[AnyTool] = (),
    output_schema: Mapping[str, JsonValue] | None = None,
    instructions: str | Instructions | None = None,
    settings: ModelSettings | None = None,
    answer_settings: ModelSettings | None = None,
    seed: int | None = None,
    limits: Limits | None = None,
    budget: Budget | Sequence[Budget] | None = None,
    labels: Mapping[str, JsonValue] | None = None,
) -> Submission:
    if output_schema is not None:
        _ = type_by_schema(output_schema, ANSWER)
    job = job_of(_NOTHING_SAID, question, images=images, history=history, labels=labels, run_id=run_id)
    return Submission(
        mind=mind,
        question=job.question,
        images=job.images,
        history=job.history,
        model=model,
        mode=mode,
        tools=tuple(map(SentTool.of, tools)),
        output_schema=None if output_schema is None else dict(output_schema),
        instructions=None if instructions is None else dict(by_role(instructions)),
        settings=settings,
        answer_settings=answer_settings,
        seed=seed,
        limits=limits,
        budgets=sent_budgets(budget, journal),
        labels=dict(job.labels),
    )
