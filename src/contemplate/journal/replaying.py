"""Replay a recorded run offline."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio

from ..errors import ModelContextError, ReplayError, revived
from ..result import RunResult
from ..usage import NOTHING, Price, Usage
from .entries import AskedCall, Entry, RunRecord
from .journal import Journal
from .recording import Recording, _sum

LONGEST_WAIT = 1.0
LINES_SHOWN = 40


class Replaying(Recording):
    """A recording that returns every call's result in the recorded order, makes no call, and records nothing.

    Attributes:
        divergence: the error for the first call that is not in the recording.
    """

    def __init__(self, journal: Journal, run: RunRecord, entries: Sequence[Entry]) -> None:
        # What was decided is in the results of the calls.
        entries = [entry for entry in entries if entry.role != "decision"]
        super().__init__(journal, run, entries)
        self.divergence: ReplayError | None = None
        self._order = [entry.slot for entry in entries]
        self._places = {place: number for number, place in enumerate(self._order)}
        self._next = 0
        self._turns: dict[int, anyio.Event] = {}

    @contextmanager
    def elsewhere(self, path: str) -> Iterator[Recording]:
        """Lend a replay of the calls at `path`: no other can end meanwhile, so that it waits for no other."""
        with super().elsewhere(path) as other:
            try:
                yield other
            finally:
                assert isinstance(other, Replaying)  # noqa: S101
                self.divergence = self.divergence or other.divergence
                ended = {self._places[slot] for slot in other._places}
                while self._next in ended:
                    self._next += 1

    def _twin(self, path: str) -> Recording:
        within = [each for each in self._entries.values() if f"{each.path}/".startswith(path)]
        return Replaying(self._journal, self.run, within)

    def find(self, asked: AskedCall) -> Entry:
        """Return the recorded call.

        Raises:
            ReplayError: the call is not in the recording.
        """
        self._claimed.add(asked.slot)
        entry = self._entries.get(asked.slot)
        if entry is None:
            message = f"run {self.run.run_id!r}: {asked.label}: no such call was made when it was recorded"
            error = ReplayError(message + self._difference(asked))
            self.divergence = self.divergence or error
            raise error
        return entry

    def spent_before(self, price: Price | None) -> Usage:
        """Return no usage: a call costs again what it cost when it is used, as what is left may decide what follows."""
        return NOTHING

    def spent_now(self, entry: Entry) -> Usage:
        """Return the recorded usage of `entry`."""
        return entry.usage

    def booked_ahead(self) -> Usage:
        """Return no usage: nothing is booked before it is used."""
        return NOTHING

    def unclaimed(self) -> Usage:
        """Return the usage of recorded calls that the replay did not use: those of earlier attempts at the run."""
        return _sum((entry for entry in self._entries.values() if entry.slot not in self._claimed), None)

    async def turn(self, entry: Entry) -> None:
        """Wait until all calls that ended earlier have ended again; then raise the recorded error, if any."""
        place = self._places[entry.slot]
        while place > self._next:
            event = self._turns[place] = anyio.Event()
            try:
                with anyio.move_on_after(LONGEST_WAIT) as patience:
                    await event.wait()
                if patience.cancelled_caught and place == min(self._turns):
                    # The call that should come first was not made: its caller was cancelled earlier than when recorded.
                    self._next = place
            finally:
                # Also if the caller is cancelled: others would never be the first.
                del self._turns[place]
        self._next = max(self._next, place + 1)
        if self._next in self._turns:
            self._turns[self._next].set()
        if entry.outcome == "cancelled":
            await self._cut_off(entry)
        if entry.error is not None and entry.outcome == "failed" and entry.role != "tool":
            error = revived(entry.error)
            if isinstance(error, ModelContextError) and entry.sizes is not None:
                error.context_tokens, error.prompt_tokens = entry.sizes
            raise error

    async def _cut_off(self, entry: Entry) -> None:
        """Wait to be cancelled, by an aggregator that stops early or by the recorded deadline."""
        result = self.run.result
        if result is not None and result.stopped_by == "seconds":
            self._time_is_up()
        await anyio.sleep(LONGEST_WAIT)
        self.divergence = ReplayError(
            f"run {self.run.run_id!r}: {entry.label} was cut off when it was recorded, but not in the replay"
        )
        raise self.divergence

    def compare(self, result: RunResult[Any]) -> None:
        """Compare the replayed run with the recorded one.

        Raises:
            ReplayError: a call or the answer differs.
        """
        if self.divergence is not None:
            raise self.divergence
        before = self.run.result
        if before is not None and before.text != result.text:
            raise ReplayError(
                f"run {self.run.run_id!r} ends with a different answer than the recorded one"
                + _diff([before.text], [result.text]),
                hint="what has changed since then?",
            )

    def _difference(self, asked: AskedCall) -> str:
        """Return how the call differs from the recorded one in its place, as a diff."""
        alike = [entry for entry in self._entries.values() if entry.label == asked.label]
        if not alike:
            return ""
        before = self._journal.parts(alike[0].parts)
        return _diff(_readable(before), _readable([text for _, text in asked.pieces]))


def _readable(pieces: Sequence[str]) -> list[str]:
    return [json.dumps(json.loads(piece), indent=1, ensure_ascii=False, sort_keys=True) for piece in pieces]


def _diff(before: Sequence[str], now: Sequence[str]) -> str:
    old, new = ("\n".join(texts).splitlines() for texts in (before, now))
    lines = list(difflib.unified_diff(old, new, "recorded", "now", lineterm="", n=1))
    more = [f"... and {len(lines) - LINES_SHOWN} more lines"] if len(lines) > LINES_SHOWN else []
    return "".join(f"\n{line}" for line in (*lines[:LINES_SHOWN], *more))
