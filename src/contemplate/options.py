"""What a contemplator is made of, and what one run may change of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypedDict

from .agents.agent import Agent
from .agents.self_refine import refined
from .budget import Budget
from .decisions import Approve
from .errors import ConfigurationError
from .events import EVERYONE, Speaker
from .images import ImageSource
from .limits import Limits
from .messages import Message
from .models import Model
from .modes import Mode, Preset, preset
from .prompts import DEFAULTS, Prompts
from .prompts.instructions import Instructions
from .run.listeners import Listener
from .run.output_type import OutputType
from .run.protocols import AgentFunction, Aggregator, Planner
from .run.run import Parts
from .samples import Sampled
from .settings import ModelSettings
from .tools.tool import Tool, as_tool
from .tools.toolset import Toolset

if TYPE_CHECKING:
    from pydantic import JsonValue

    from .journal import Journal

AnyTool = Tool | Callable[..., Any] | Toolset
# The options of one run that change what it is made of.
CHANGES = ("model", "mode", "tools", "instructions", "settings", "seed")


class AskOptions(TypedDict, total=False):
    """The options of `ask` without the output type, for type checkers."""

    model: str | Model | None
    mode: Mode | Preset
    images: Sequence[ImageSource]
    history: Sequence[Message]
    tools: Sequence[AnyTool]
    settings: ModelSettings | None
    limits: Limits | None
    deps: Any
    budget: Budget | None
    approve: Approve | None


class Options(TypedDict, total=False):
    """The options of `Contemplator` without the output type, for type checkers."""

    mode: Mode | Preset
    planner: Planner | None
    aggregator: Aggregator | None
    agent: AgentFunction | None
    tools: Sequence[AnyTool]
    instructions: str | Instructions | None
    prompts: Prompts
    settings: ModelSettings | None
    all_settings: ModelSettings | None
    seed: int | None
    limits: Limits | None
    budget: Budget | None
    stream: bool | None
    images_to: Collection[Speaker]
    on_event: Listener | None
    journal: str | Journal | None
    labels: Mapping[str, JsonValue] | None
    approve: Approve | None


class RunOptions(TypedDict, total=False):
    """The options of one run without the output type: `Contemplator.run` says what they are."""

    images: Sequence[ImageSource]
    history: Sequence[Message]
    model: str | Model | None
    mode: Mode | Preset | None
    tools: Sequence[AnyTool]
    instructions: str | Instructions | None
    settings: ModelSettings | None
    answer_settings: ModelSettings | None
    seed: int | None
    limits: Limits | None
    deps: Any
    budget: Budget | Sequence[Budget] | None
    labels: Mapping[str, JsonValue] | None
    on_event: Listener | None
    approve: Approve | None
    run_id: str | None


class ResumeOptions(TypedDict, total=False):
    """The options of a resumed run without the output type: those of one run, but for what it has recorded."""

    model: str | Model | None
    mode: Mode | Preset | None
    tools: Sequence[AnyTool]
    instructions: str | None
    settings: ModelSettings | None
    answer_settings: ModelSettings | None
    seed: int | None
    limits: Limits | None
    deps: Any
    budget: Budget | Sequence[Budget] | None
    labels: Mapping[str, JsonValue] | None
    on_event: Listener | None
    approve: Approve | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a contemplator's runs are made of, as given by its user."""

    model: Model
    mode: Mode | Preset = "contemplating"
    planner: Planner | None = None
    aggregator: Aggregator | None = None
    agent: AgentFunction | None = None
    tools: tuple[AnyTool, ...] = ()
    output_type: Any = str
    instructions: Mapping[Speaker, str] = field(default_factory=dict)
    prompts: Prompts = DEFAULTS
    settings: ModelSettings | None = None
    all_settings: ModelSettings | None = None
    seed: int | None = None
    stream: bool | None = None
    images_to: Collection[Speaker] = EVERYONE

    def changed(
        self,
        *,
        model: Model | None,
        mode: Mode | Preset | None,
        tools: Sequence[AnyTool],
        output_type: Any,
        instructions: Mapping[Speaker, str],
        settings: ModelSettings | None,
        seed: int | None,
    ) -> Self:
        """Return the setup of one run, which has a say over what was given before; None and () say nothing.

        Tools are added, and replace those of the same name. A mode replaces planner and aggregator, too.
        """
        if seed is None and settings is not None:
            seed = settings.seed
        return replace(
            self,
            model=model or self.model,
            mode=self.mode if mode is None else mode,
            planner=self.planner if mode is None else None,
            aggregator=self.aggregator if mode is None else None,
            tools=_with_tools(self.tools, tools),
            output_type=self.output_type if output_type is None else output_type,
            instructions={**self.instructions, **instructions},
            settings=self.settings if settings is None else settings.over(self.settings),
            seed=self.seed if seed is None else seed,
        )

    def parts(self) -> Parts:
        """Return the parts of a run.

        Raises:
            ConfigurationError: options contradict each other, or the output type has no schema.
        """
        roles = dict(self.instructions)
        own = roles.pop("subagent", None)
        if self.agent is not None and (self.tools or own or self.settings):
            raise ConfigurationError(
                "tools, instructions and settings belong to the default agent, which agent= replaces",
                hint="pass them to your Agent(...)",
            )
        usual = preset(self.mode, self.model, self.prompts)
        settings = self.settings
        if self.planner is None:
            # A preset's settings are those of its planner's tasks.
            settings = settings.over(usual.settings) if settings else usual.settings
        output = None if self.output_type is str else OutputType[Any](self.output_type)
        if output is not None:
            _ = output.json_schema
        agent = self.agent or Agent(tools=self.tools, instructions=own, settings=settings)
        return Parts(
            model=self.model,
            planner=self.planner or usual.planner,
            agent=Sampled(refined(agent, usual.refine) if usual.refine else agent),
            aggregator=self.aggregator or usual.aggregator,
            output=output,
            stream=self.stream,
            images_to=_roles(self.images_to),
            settings=self.all_settings,
            seed=_first_seed(self.seed, settings, self.all_settings),
            prompts=self.prompts,
            instructions=roles,
        )


def _with_tools(own: tuple[AnyTool, ...], more: Sequence[AnyTool]) -> tuple[AnyTool, ...]:
    if not more:
        return own
    added = [each if isinstance(each, Toolset) else as_tool(each) for each in more]
    names = {each.name for each in added if isinstance(each, Tool)}
    kept = [each for each in own if isinstance(each, Toolset) or as_tool(each).name not in names]
    return (*kept, *added)


def _first_seed(given: int | None, *settings: ModelSettings | None) -> int | None:
    seeds = [given, *(each.seed for each in settings if each is not None)]
    return next((each for each in seeds if each is not None), None)


def _roles(images_to: Collection[Speaker]) -> frozenset[Speaker]:
    if isinstance(images_to, str) or not EVERYONE.issuperset(images_to):
        raise ConfigurationError(f"images_to={images_to!r:.100}", hint=f"a list of some of {sorted(EVERYONE)}")
    return frozenset(images_to)
