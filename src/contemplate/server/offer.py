"""What is offered to clients, and who carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..cluster.minds import mind_named
from ..contemplator import Contemplator
from ..errors import ConfigurationError
from ..modes import Preset
from .effort import LESS_EFFORT, WELL_KNOWN_ANSWER_TOOLS, Efforts, Served, SmallCalls
from .runner import Runner, RunsHere
from .settings import ServerSettings

# By the names by which clients ask for them: contemplators, or names of contemplators, such as "app:mind".
OfferedMinds = Mapping[str, Contemplator[Any] | str]


def offered(
    minds: OfferedMinds,
    settings: ServerSettings,
    efforts: Efforts = LESS_EFFORT,
    small_calls: SmallCalls | None = SmallCalls(),  # noqa: B008 - it is frozen
    answer_tools: tuple[str, ...] = WELL_KNOWN_ANSWER_TOOLS,
    *,
    workers: str | None = None,
) -> tuple[Served, Runner]:
    """Return what is served, and who carries it out, with the arguments of `create_app`.

    Raises:
        ConfigurationError: there are no minds, or one is not found; an effort or a mode is none; or something cannot
            travel to workers.
        MissingDependencyError: workers need the extra "cluster", and it is not installed.
    """
    runner: Runner = RunsHere()
    if workers is not None:
        minds, efforts, runner = _at_workers(minds, efforts, settings, workers)
    found = {name: mind_named(each) if isinstance(each, str) else each for name, each in minds.items()}
    return Served(found, efforts, small_calls, answer_tools), runner


def _at_workers(
    minds: OfferedMinds, efforts: Efforts, settings: ServerSettings, workers: str
) -> tuple[OfferedMinds, Efforts, Runner]:
    """Return minds and efforts of which workers carry out the runs, and that they do.

    The contemplators are here, too: they say which limits there are, and their journal is that of the workers.
    """
    from ..cluster.travelling import sent_budgets
    from .runs_at_workers import RunsAtWorkers, journal_of_workers

    journal = journal_of_workers(workers)
    own: dict[str, Contemplator[Any]] = {}
    for name, each in minds.items():
        if not isinstance(each, str):
            raise ConfigurationError(
                f"minds[{name!r}] is a {type(each).__name__}, and workers know theirs by name",
                hint=f'{{{name!r}: "app:mind"}}, by the name that workers were given',
            )
        own[each] = mind_named(each)
    here = {each: mind.with_journal(journal) for each, mind in own.items()}
    runner = RunsAtWorkers(workers, journal, {mind: each for each, mind in here.items()})
    for key in settings.keys:
        sent_budgets(key.budgets, journal)

    def answering(effort: str, answers: Any) -> Any:
        known = next((here[each] for each, mind in own.items() if mind is answers), None)
        if known is None and isinstance(answers, Preset | Contemplator):
            raise ConfigurationError(
                f"efforts: what answers {effort!r} cannot travel to workers",
                hint="name a mode, or a contemplator that is among the minds",
            )
        return answers if known is None else known

    at_workers = {effort: answering(effort, answers) for effort, answers in efforts.items()}
    return {name: here[str(each)] for name, each in minds.items()}, at_workers, runner
