"""Who is told of a run's events."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..events import Event, OutputDelta

Listener = Callable[[Event], None]


class Listeners:
    """Hands each event to every listener. One that raises is dropped: it must not cost a run what was paid for.

    A run within another tells the outer run's listeners as well. A piece of its answer is no piece of theirs: it goes
    to `on_output` instead, which knows what the inner run answers.

    Args:
        listeners: who is told.
        outer: those of the run within which this one goes on.
        on_output: is handed each piece of the answer in place of `outer`.
    """

    def __init__(
        self,
        listeners: Iterable[Listener] = (),
        outer: Listeners | None = None,
        on_output: Callable[[OutputDelta], None] | None = None,
    ) -> None:
        self._listeners = list(listeners)
        self._outer = outer
        self._on_output = on_output

    @property
    def listening(self) -> bool:
        """Whether there is anybody to tell: if not, an event need not even be built."""
        return bool(self._listeners) or (self._outer is not None and self._outer.listening)

    def emit(self, event: Event) -> None:
        """Tell everyone."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as error:
                self._listeners.remove(listener)
                _complain(listener, error)
        if self._outer is None:
            return
        if not isinstance(event, OutputDelta):
            self._outer.emit(event)
        elif self._on_output is not None:
            self._on_output(event)


def _complain(listener: Listener, error: Exception) -> None:
    import logging

    logging.getLogger("contemplate").warning("listener %r was dropped: it raised %r", listener, error)
