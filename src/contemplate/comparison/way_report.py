"""What came of all questions in one way, and how two ways differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..usage import NOTHING, Usage
from .intervals import Interval, are_shares, mean_interval, paired_difference
from .outcomes import Scored

# Characters of an error in a remark; all of it is in the outcome.
LONGEST = 200


@dataclass(frozen=True, slots=True)
class WayReport:
    """What came of all questions in one way.

    Attributes:
        name: what the way is called.
        outcomes: what came of each question, in their order.
        stopped: why the rest of the questions was not asked; None if all were.
    """

    name: str
    outcomes: tuple[Scored, ...]
    stopped: str | None = None

    @property
    def scores(self) -> Mapping[int, float]:
        """The scores by the places of their questions; those are left out that say nothing of the way."""
        return {each.index: each.score for each in self.outcomes if each.score is not None}

    @property
    def accuracy(self) -> Interval | None:
        """The share of right answers, or the mean score, with its interval; None if there are no scores."""
        scores = list(self.scores.values())
        return mean_interval(scores) if scores else None

    @property
    def usage(self) -> Usage:
        """The usage of all runs that have a score, each as if it were alone."""
        return sum((each.usage for each in self._measured), NOTHING)

    @property
    def seconds(self) -> float | None:
        """How long a run takes, in the mean; None if there is none."""
        seconds = [each.seconds for each in self._measured]
        return fmean(seconds) if seconds else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was not measured, and why, and what counts as wrong for want of an answer, in a sentence each."""
        unmeasured = [each for each in self.outcomes if each.score is None]
        failed = [each for each in self._measured if each.error is not None]
        found = []
        if unmeasured:
            found.append(f"not counted, as they say nothing of it ({_runs(unmeasured)}): {_last(unmeasured)}")
        if failed:
            found.append(f"without an answer, and so wrong ({_runs(failed)}): {_last(failed)}")
        return tuple(f"{self.name}: {each}" for each in (*found, *filter(None, [self.stopped])))

    @property
    def _measured(self) -> list[Scored]:
        return [each for each in self.outcomes if each.score is not None]

    def __repr__(self) -> str:
        return f"WayReport({self.name!r}, {len(self.scores)} questions, accuracy={self.accuracy})"


def are_graded(ways: Iterable[WayReport]) -> bool:
    """Return whether there are scores other than 0 and 1."""
    return not all(are_shares(list(way.scores.values())) for way in ways)


def difference(new: WayReport, old: WayReport) -> Interval | None:
    """Return how much more the scores of a way are than those of another one; None if they have no question in common.

    The interval is that of `paired_difference`.
    """
    scores, others = new.scores, old.scores
    both = [index for index in scores if index in others]
    return paired_difference([scores[each] for each in both], [others[each] for each in both]) if both else None


def _last(outcomes: Sequence[Scored]) -> str:
    """Return the last error, in one line."""
    said = " ".join((outcomes[-1].error or "").split())
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 3]}..."


def _runs(outcomes: Sequence[Scored]) -> str:
    return f"{len(outcomes)} run{'' if len(outcomes) == 1 else 's'}"
