"""How much a served contemplator thinks about a request: what its effort says, and whether it is a small call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal, get_args

from ..contemplator import Contemplator
from ..errors import ConfigurationError
from ..modes import Mode, Preset, preset
from .model_names import Minds, matching, named, shown_names
from .neutral_request import Asked
from .waiting_runs import names

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
# What answers a request of an effort: a mode of the contemplator that is asked, or another contemplator.
Efforts = Mapping[Effort, Mode | Preset | Contemplator[Any]]

LESS_EFFORT: Efforts = {"none": "instant", "minimal": "instant", "low": "thinking"}

# How the small calls of chat programs begin: titles, tags, follow-ups and queries of Open WebUI, titles of opencode,
# LibreChat and Claude Code.
WELL_KNOWN = (
    r"### Task:\s+Generate a concise, 3-5 word title",
    r"### Task:\s+Generate 1-3 broad tags",
    r"### Task:\s+Suggest 3-5 relevant follow-up",
    r"### Task:\s+Analyze the chat history to determine the necessity of generating search queries",
    r"### Task:\s+Generate a detailed prompt for am? image generation",
    r"### Task:\s+You are an autocompletion system",
    r"You are a title generator\. You output ONLY",
    r"(Provide|Please generate) a concise, 5-word-or-less title for the conversation",
    r"Analyze this conversation and provide:\s+1\. The detected language",
    r"Analyze if this message indicates a new conversation topic",
    r"Generate a concise, sentence-case title \(3-7 words\)",
)

# Tools by which programs take the answer: of Claude Code, of pydantic-ai, of agents that end with a call.
WELL_KNOWN_ANSWER_TOOLS = ("StructuredOutput", "final_result", "final_result_*", "final_answer")


@dataclass(frozen=True)
class SmallCalls:
    """Which requests are answered by one call, in the mode "instant", whatever the contemplator does otherwise.

    A request that brings tools of its own is never a small one; one for a single token, which only asks whether the
    server answers, is.

    Args:
        patterns: regular expressions, for the beginning of the question or of a system message.
        suffix: what makes a name that stands for a served one without it, and for one call.
    """

    patterns: tuple[str, ...] = WELL_KNOWN
    suffix: str = "-instant"

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        try:
            return re.compile("|".join(f"(?:{each})" for each in self.patterns))
        except re.error as error:
            raise ConfigurationError(f"SmallCalls(patterns=...): {error}") from None

    def __post_init__(self) -> None:
        """Check the patterns.

        Raises:
            ConfigurationError: one is no regular expression.
        """
        _ = self._pattern

    def holds(self, asked: Asked) -> bool:
        """Return whether `asked` is a small call."""
        if asked.tools:
            return False
        if asked.settings is not None and asked.settings.max_tokens == 1:
            return True
        if not self.patterns:
            return False
        question = asked.question
        said = (question.text, *(each.text for each in question.history if each.role == "system"))
        return any(self._pattern.match(text.lstrip()) for text in said)


@dataclass(frozen=True)
class Served:
    """What is served.

    Args:
        minds: contemplators by name.
        efforts: what answers a request of an effort; the contemplator as it is for those that are not named.
        small_calls: which requests are answered by one call; none if None.
        answer_tools: the names of clients' tools that take the answer; a `*` in them stands for anything.

    Raises:
        ConfigurationError: there are no minds, an effort or a mode is none, or the names of tools are one text.
    """

    minds: Minds
    efforts: Efforts
    small_calls: SmallCalls | None
    answer_tools: tuple[str, ...] = WELL_KNOWN_ANSWER_TOOLS

    def __post_init__(self) -> None:
        """Check them."""
        if not self.minds:
            raise ConfigurationError("there is nothing to serve", hint='create_app({"contemplate": Contemplator()})')
        given: object = self.answer_tools
        if isinstance(given, str):
            raise ConfigurationError(f"answer_tools={self.answer_tools!r}", hint="a tuple of names of tools")
        for effort, answers in self.efforts.items():
            if effort not in get_args(Effort):
                raise ConfigurationError(f"efforts: {effort!r}", hint=f"efforts: {', '.join(get_args(Effort))}")
            if not isinstance(answers, Contemplator):
                preset(answers)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that clients are shown."""
        return shown_names(self.minds)

    @property
    def contemplators(self) -> tuple[Contemplator[Any], ...]:
        """All that answer, each once."""
        by_effort = (each for each in self.efforts.values() if isinstance(each, Contemplator))
        return tuple(dict.fromkeys((*self.minds.values(), *by_effort)))

    def mind(self, name: str) -> Contemplator[Any] | None:
        """Return the contemplator that is asked for by `name`; None if there is none."""
        found = named(self.minds, name)
        if found is None and self.small_calls is not None and name.endswith(self.small_calls.suffix):
            return self.minds.get(name.removesuffix(self.small_calls.suffix))
        return found

    def label(self, name: str) -> str:
        """Return what stands for a model in metrics: of many names that match one pattern, the pattern."""
        return matching(self.minds, name) or name

    def with_effort(self, asked: Asked, effort: str | None = None) -> Asked:
        """Return what is asked, of whoever answers it with that effort; None leaves it to the contemplator.

        A small call takes none, and neither does a model that is there for one call. What is asked of whoever has
        given the answer to a tool that takes it is answered by one call, too: the rest is a formality.
        """
        asked, given = self._with_answer_tools(asked)
        if given:
            return replace(asked, mode="instant")
        small = self.small_calls
        if small is not None and (small.holds(asked) or named(self.minds, asked.model) is None):
            return replace(asked, mode="instant")
        answers = self.efforts.get(effort)  # type: ignore[call-overload]
        if answers is None or (small is not None and asked.model.endswith(small.suffix)):
            return asked
        return replace(asked, mind=answers) if isinstance(answers, Contemplator) else replace(asked, mode=answers)

    def _with_answer_tools(self, asked: Asked) -> tuple[Asked, bool]:
        """Return what is asked, with those of its tools that take the answer, and whether one of them has it."""
        taking = frozenset(filter(self._takes_answer, names(asked)))
        calls = (call for message in asked.question.history for call in message.tool_calls)
        if any(call.id in asked.returned and call.name in taking for call in calls):
            return asked, True
        return replace(asked, answer_tools=taking) if taking else asked, False

    def _takes_answer(self, tool: str) -> bool:
        return any(fnmatchcase(tool, each) for each in self.answer_tools)
