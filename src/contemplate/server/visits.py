"""One request from its first byte to its last: who made it, what holds for it, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from starlette.types import Scope

from ..budget import Budget
from ..events import Event, ModelCalled
from ..limits import Limits
from ..usage import Usage
from .request_limits import lowered
from .settings import ClientKey, ServerSettings

_KEY = "contemplate.visit"
Outcome = Literal["answered", "suspended", "failed", "left"]
# Is told of each run that is over after its request, and how many seconds it took.
Count = Callable[["Visit", float], None]


@dataclass(slots=True)
class Visit:
    """What is known of a request, which those learn who handle it.

    Attributes:
        id: the client's own id, if it can be one, or else a new one.
        settings: the server's.
        wanted: the limits that the client asks for, as its header says.
        key: the key with which it came.
        model: the contemplator that it asked.
        run_id: its run.
        usage: of all model calls of its run so far.
        status: of the answer; 0 before it has begun.
        streams: whether the answer is a stream of events.
        outcome: of its run: answered, also with calls of the client's tools; suspended, until somebody decides; failed;
            or left by the client. None without a run.
    """

    id: str = field(default_factory=lambda: f"req_{uuid4().hex}")
    settings: ServerSettings = ServerSettings()  # noqa: RUF009 - it is frozen
    wanted: str = ""
    key: ClientKey | None = None
    model: str | None = None
    run_id: str | None = None
    usage: Usage = Usage()  # noqa: RUF009 - it is frozen
    status: int = 0
    streams: bool = False
    outcome: Outcome | None = None

    @classmethod
    def of(cls, scope: Scope) -> Visit:
        """Return what is known of the request of `scope`."""
        visit: Visit = scope.get(_KEY) or cls()
        visit.enter(scope)
        return visit

    def enter(self, scope: Scope) -> None:
        """Make this what is known of the request of `scope`."""
        scope[_KEY] = self

    def limits(self, own: Limits) -> Limits:
        """Return the limits of its run, with a contemplator whose `own` they are.

        Raises:
            RequestError: the client's header says none.
        """
        return lowered(own, self.settings.limits, self.wanted)

    @property
    def client(self) -> str | None:
        """The name of its key; None without keys."""
        return None if self.key is None else self.key.name

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """What its run draws from."""
        return () if self.key is None else self.key.budgets

    @property
    def owner(self) -> str:
        """Whose what it makes is: the name of its key; "" without one."""
        return "" if self.key is None else self.key.name

    def see(self, event: Event) -> None:
        """Count what `event` says was used; what is recorded was counted when it was."""
        if isinstance(event, ModelCalled) and not event.recorded:
            self.usage += event.usage
