"""The receivers of a run's events."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable

from ..events import Event, OutputDelta

Listener = Callable[[Event], None]


class Listeners:
    """Sends each event to every listener. A listener that raises is dropped, so that it cannot fail a paid run.

    Events of a run within another also go to the outer run's listeners. Pieces of its answer do not, as they are not
    pieces of the outer run's answer: they go to `on_output` instead.

    Args:
        listeners: the run's own.
        outer: those of the run around it.
        on_output: receives each piece of the answer, in place of `outer`.

    Attributes:
        listening: whether anybody may listen; if not, events need not be built.
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
        self.listening = self._any_listens()

    def _any_listens(self) -> bool:
        return bool(self._listeners) or (self._outer is not None and self._outer.listening)

    def emit(self, event: Event) -> None:
        """Send `event` to every listener."""
        for listener in tuple(self._listeners):
            try:
                returned: object = listener(event)
                if returned is not None:
                    _refuse_coroutine(returned)
            except Exception as error:
                self._listeners.remove(listener)
                self.listening = self._any_listens()
                _warn_of_dropped(listener, error)
        if self._outer is None:
            return
        if not isinstance(event, OutputDelta):
            self._outer.emit(event)
        elif self._on_output is not None:
            self._on_output(event)


def _refuse_coroutine(returned: object) -> None:
    if isinstance(returned, Coroutine):
        returned.close()
        raise TypeError("it is async, and events do not wait")


def _warn_of_dropped(listener: Listener, error: Exception) -> None:
    import logging

    logging.getLogger("contemplate").warning("listener %r was dropped: it raised %r", listener, error)
