"""What keeps a run that was submitted from being answered, in words, and what to do: said once."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

from .._version import __version__
from .roster import WorkerInfo
from .site import Site

# After how many seconds it is looked again.
AGAIN_SECONDS = 10.0


class Lookout:
    """What a client has said of workers that are missing, or are of another version."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._looked: dict[str, float] = {}
        self._said: set[str] = set()

    def is_due(self, mind: str) -> bool:
        """Return whether it is time to look at the workers of a contemplator; then it is not for some seconds."""
        now = time.monotonic()
        due = now >= self._looked.get(mind, -math.inf) + AGAIN_SECONDS
        if due:
            self._looked[mind] = now
        return due

    def look(self, mind: str, workers: Sequence[WorkerInfo]) -> None:
        """Say what is wrong with the workers of a contemplator, once until it no longer is."""
        wrong = no_worker(mind, workers, self._site) or other_version(mind, workers)
        if wrong is None:
            self._said.discard(mind)
        elif mind not in self._said:
            self._said.add(mind)
            logging.getLogger("contemplate").warning("%s", wrong)


def no_worker(mind: str, workers: Sequence[WorkerInfo], site: Site) -> str | None:
    """Return that nobody takes runs of a contemplator, and what to start; None if somebody does."""
    if _takers(mind, workers):
        return None
    there = "; ".join(str(each) for each in workers if each.alive) or "none at all"
    # Of another form are names that a program has registered.
    return f"no worker takes runs of {mind!r}; those alive are: {there}; {how_to_start(mind, site)}"


def how_to_start(mind: str, site: Site) -> str:
    """Return how a worker is started that takes runs of a contemplator."""
    if ":" not in mind:
        return f"start the program that registers {mind!r} and works for it"
    return f"start one: contemplate worker {mind} --journal {site.name}"


def other_version(mind: str, workers: Sequence[WorkerInfo]) -> str | None:
    """Return that all who take runs of a contemplator have another version than this client; None if one has its."""
    versions = {each.version or "an older one" for each in _takers(mind, workers)}
    if __version__ in versions:
        return None
    return (
        f"workers with {mind!r} have another version of contemplate-ai than this client, {__version__}: "
        f"{', '.join(sorted(versions))}; they may not understand what it asks: "
        f"pip install contemplate-ai=={__version__} where they are, and start them anew"
    )


def _takers(mind: str, workers: Sequence[WorkerInfo]) -> list[WorkerInfo]:
    return [each for each in workers if each.alive and not each.draining and mind in each.minds]
