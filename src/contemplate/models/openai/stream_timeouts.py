"""Timeouts for the first token of a stream, and between tokens."""

from __future__ import annotations

from math import inf
from types import TracebackType
from typing import Self

import anyio

from ...errors import ModelTimeoutError
from ...settings import ModelSettings


class StreamTimeouts:
    """A context that is cancelled if a stream stays silent for too long.

    It is one cancel scope, whose deadline moves with each piece: a task or a scope for each piece would cost more than
    reading it. Data that is not part of the answer, such as comments, does not count.

    Raises:
        ModelTimeoutError: there was no first token within `first_token_timeout`, or no more within `idle_timeout`.
    """

    def __init__(self, settings: ModelSettings, model: str) -> None:
        self._first = settings.first_token_timeout or inf
        self._idle = settings.idle_timeout or inf
        self._model = model
        self._pieces = 0

    def __enter__(self) -> Self:
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + self._first)
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, traceback)
        if self._scope.cancelled_caught:
            raise self._timeout() from None

    def heard(self, pieces: int) -> None:
        """Note that `pieces` have arrived so far, and move the deadline if that is more than before."""
        if pieces == self._pieces:
            return
        self._pieces = pieces
        if self._idle < inf or self._scope.deadline < inf:
            self._scope.deadline = anyio.current_time() + self._idle

    def end(self) -> None:
        """Remove the timeouts, for a response that is not a stream."""
        self._scope.deadline = inf

    def _timeout(self) -> ModelTimeoutError:
        setting, seconds, what = "first_token_timeout", self._first, "no first token"
        if self._pieces:
            setting, seconds, what = "idle_timeout", self._idle, "the stream broke off: nothing more"
        return ModelTimeoutError(
            f"{what} within {seconds:g} s", model=self._model, hint=f"raise ModelSettings.{setting}"
        )
