"""The events of a run that somebody else carries out, as its calls are recorded one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..events import Event
from ..journal import Entry, RunRecord
from .recorded_events import ToldEvents


class FollowedRun:
    """Tells the events of a run as its record grows; each once.

    Args:
        run: its record, as it was when it began.
    """

    def __init__(self, run: RunRecord) -> None:
        self._told = ToldEvents(run)
        self._entries: dict[str, Entry] = {}
        self._number = 0

    def news(self, entries: Sequence[Entry], tool_calls: Mapping[str, str]) -> list[Event]:
        """Return the events of calls that were recorded since the last time.

        Args:
            entries: the calls.
            tool_calls: those of tools as they are recorded, by their slots.
        """
        for entry in entries:
            # What was recorded once more, as at the end of a run that made no use of it, is no news.
            if self._entries.get(entry.slot) != entry:
                self._told.call(entry, tool_calls)
            self._entries[entry.slot] = entry
        return self._new()

    def end(self, run: RunRecord) -> list[Event]:
        """Return the events that are known at the end only: tasks, votes, and how it ended."""
        entries = list(self._entries.values())
        self._told.run = run
        self._told.tasks(entries)
        self._told.end([entry for entry in entries if entry.role == "decision"])
        return self._new()

    def _new(self) -> list[Event]:
        found = self._told.in_order(self._number)
        self._number += len(found)
        return found
