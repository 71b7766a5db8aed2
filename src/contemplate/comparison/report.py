"""What came of a comparison: how often each way is right, what it costs, and how it differs from another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from pydantic import JsonValue

from ..errors import ConfigurationError
from ..usage import NOTHING, Usage
from .intervals import Interval
from .plot import Cost, svg_of
from .table import aligned, markdown, rows_of
from .way_report import WayReport, difference


class ComparisonReport:
    """What came of a comparison: a mapping of the ways' names to their reports. As a text, it is a table.

    Attributes:
        name: what the comparison is called.
        ways: the report of each way.
        against: the name of the way with which the others are compared.
        spent: what was paid for it: the usage of the calls that were made, and not known from a journal. Of the ways
            each has what it would cost alone.
    """

    def __init__(self, name: str, ways: Mapping[str, WayReport], against: str, spent: Usage = NOTHING) -> None:
        self.name = name
        self.ways = ways
        self.against = against
        self.spent = spent

    def __getitem__(self, way: str) -> WayReport:
        """Return the report of a way.

        Raises:
            ConfigurationError: there is no such way.
        """
        if way not in self.ways:
            raise ConfigurationError(f"there is no way {way!r:.80}", hint=f"ways: {', '.join(map(repr, self.ways))}")
        return self.ways[way]

    def __iter__(self) -> Iterator[str]:
        return iter(self.ways)

    def __len__(self) -> int:
        return len(self.ways)

    def difference(self, way: str, against: str | None = None) -> Interval | None:
        """Return how much more often a way is right than another one, on the questions that both were asked.

        The interval is that of `paired_difference`: Newcombe's for right and wrong, Student's for other scores.

        Args:
            way: the name of the way.
            against: the name of the other one; that of the comparison if None.

        Returns:
            The difference of the means; None if there are no questions that both were asked.

        Raises:
            ConfigurationError: there is no such way.
        """
        return difference(self[way], self[self.against if against is None else against])

    def table(self) -> str:
        """Return all ways that have scores as a table in markdown; calls, tokens, cost and seconds are means."""
        return markdown(rows_of(self.ways, self.against))

    def to_records(self) -> list[dict[str, JsonValue]]:
        """Return a row of plain values for each question in each way, as for `pandas.DataFrame(...)`."""
        return [
            {"comparison": self.name, "way": way.name, **each.to_record()}
            for way in self.ways.values()
            for each in way.outcomes
        ]

    def svg(self, cost: Cost | None = None) -> str:
        """Return a picture in SVG: a point for each way, with its interval, over what it costs per question.

        Args:
            cost: "tokens", "usd", "calls" or "seconds"; if None, USD where all ways have a price, else tokens.

        Raises:
            ConfigurationError: no way has a score, or one has no such cost.
        """
        if cost not in (None, *get_args(Cost)):
            raise ConfigurationError(f"plot({cost=})", hint=f"one of {', '.join(map(repr, get_args(Cost)))}")
        return svg_of(self.ways, self.against, self.name, cost)

    def plot(self, path: str | Path, cost: Cost | None = None) -> None:
        """Write that picture to a file.

        Raises:
            ConfigurationError: there is nothing to draw, or the file is not called *.svg.
            OSError: it cannot be written.
        """
        if Path(path).suffix.lower() != ".svg":
            raise ConfigurationError(f"plot({str(path)!r})", hint="it is written as SVG: name it *.svg")
        Path(path).write_text(self.svg(cost), encoding="utf-8")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was not measured, and why, and what counts as wrong for want of an answer, in a sentence each."""
        return tuple(remark for way in self.ways.values() for remark in way.remarks)

    def __str__(self) -> str:
        return "\n".join((aligned(rows_of(self.ways, self.against)), *(("", *self.remarks) if self.remarks else ())))

    def __repr__(self) -> str:
        return f"ComparisonReport({self.name!r}, {list(self.ways.values())!r})"
