"""Who is told of a run's events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..events import Event

Listener = Callable[[Event], None]


@dataclass(slots=True)
class Events:
    """Hands each event to every listener. One that raises is dropped: it must not cost a run what was paid for."""

    listeners: list[Listener] = field(default_factory=list)

    @property
    def listening(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.listeners)

    def emit(self, event: Event) -> None:
        """Tell everyone."""
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception as error:
                self.listeners.remove(listener)
                _complain(listener, error)


def _complain(listener: Listener, error: Exception) -> None:
    import logging

    logging.getLogger("contemplate").warning("listener %r was dropped: it raised %r", listener, error)
