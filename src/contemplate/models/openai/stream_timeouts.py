"""How long a stream may keep silent: before its first token, and between tokens."""

from __future__ import annotations

from math import inf
from types import TracebackType
from typing import Self

import anyio

from ...errors import ModelTimeoutError
from ...settings import ModelSettings


class StreamTimeouts:
    """Gives up what runs inside if nothing is heard for too long.

    One cancel scope, whose deadline moves on with each piece: a task or a scope for each would cost more than reading
    it. Signs of life that are not part of the answer, such as comments, do not count.

    Raises:
        ModelTimeoutError: nothing was heard within `first_token_timeout`, or nothing more within `idle_timeout`.
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
        """So many pieces were heard until now."""
        if pieces == self._pieces:
            return
        self._pieces = pieces
        if self._idle < inf or self._scope.deadline < inf:
            self._scope.deadline = anyio.current_time() + self._idle

    def end(self) -> None:
        """What comes is not a stream: it cannot be heard piece by piece."""
        self._scope.deadline = inf

    def _timeout(self) -> ModelTimeoutError:
        setting, seconds, what = "first_token_timeout", self._first, "no first token"
        if self._pieces:
            setting, seconds, what = "idle_timeout", self._idle, "the stream broke off: nothing more"
        return ModelTimeoutError(
            f"{what} within {seconds:g} s", model=self._model, hint=f"raise ModelSettings.{setting}"
        )
