"""What was decided of a tool call that waits for the world: known, asked for, or waited for."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from pydantic import TypeAdapter
from pydantic_core import from_json

from ..data import readable, to_json_text
from ..decisions import AnyDecision, Approve, Approved, Decision, Denied, PendingCall, Returned
from ..errors import ConfigurationError, error_info
from ..images import checked_image
from ..tools.approval import Need
from ..tools.user_code import call_function
from .activity import Activity

if TYPE_CHECKING:
    from ..journal.recording import Recording

_DECISION: TypeAdapter[Decision] = TypeAdapter(AnyDecision)


def call_id(path: str, use: str, tool: str, arguments: str) -> str:
    """Return the id of a call: the same whenever the run is resumed, whatever ids models and servers give.

    Args:
        path: the path of its run.
        use: the name of the call within it, with the number of equal ones before it.
        tool: the name of the tool.
        arguments: the arguments, as the model wrote them.
    """
    named = json.dumps((path, use, tool, arguments))
    return f"{tool}-{blake2b(named.encode(errors='surrogatepass'), digest_size=5).hexdigest()}"


class Approvals:
    """Decides calls of one run.

    Args:
        recording: records decisions; that of the outermost run, which is resumed. None without a journal.
        approve: is asked; None if nobody is.
        note: receives what the user should know.
        waiting: receives calls that wait for a decision.
    """

    def __init__(
        self,
        recording: Recording | None,
        approve: Approve | None,
        note: Callable[[str], None],
        waiting: Callable[[PendingCall], None],
    ) -> None:
        self._recording = recording
        self._approve = approve
        self._note = note
        self._waiting = waiting

    async def decision(
        self,
        call_id: str,
        activity: Activity,
        need: Callable[[], Awaitable[Need | None]],
        named: Callable[[Need], PendingCall],
    ) -> Decision | None:
        """Return what was decided of a call; None if nothing needs to be.

        It is recorded before it is acted upon. Without one, this waits until the run is suspended.

        Args:
            call_id: the id of the call.
            activity: the call.
            need: returns what the call needs.
            named: makes the pending call.

        Raises:
            ConfigurationError: the call needs a decision, and its run cannot wait.
        """
        held = None if self._recording is None else self._recording.held(call_id)
        if held is not None and held.decision is not None:
            return held.decision
        if held is None:
            needed = await need()
            if needed is None:
                return None
            call = named(needed)
            if self._recording is not None:
                await self._recording.hold(call)
        else:
            call = held.call
        self._waiting(call)
        decision = None if self._approve is None else await self._asked(self._approve, call, activity)
        if decision is None:
            if activity.waiting.suspend is None:
                raise ConfigurationError(
                    f"{call.tool} waits for a decision, but its run blocks the event loop of the run around it",
                    hint="await mind.run(...) there, or give approve= to that run",
                )
            await activity.wait_for(call)
            raise AssertionError("unreachable")
        if self._recording is not None:
            await self._recording.hold(call, decision)
        return decision

    async def _asked(self, approve: Approve, call: PendingCall, activity: Activity) -> Decision | None:
        with activity.asks():
            try:
                given = await call_function(approve, call)
                return None if given is None else checked_decision(given, call)
            except Exception as error:
                # Whoever decides must not decide by a mistake.
                self._note(f"approve= failed, so that {call.tool} waits: {error_info(error).message}")
                return None


def checked_decision(given: object, call: PendingCall) -> Decision:
    """Return what was decided of `call`; True stands for `Approved()`, and False for `Denied()`.

    Raises:
        ConfigurationError: it is no decision, or none on such a call.
    """
    decision = (Approved() if given else Denied()) if isinstance(given, bool) else given
    if not isinstance(decision, Approved | Denied | Returned):
        raise ConfigurationError(
            f"call {call.id!r} of {call.tool}: {given!r:.100} is no decision",
            hint='Approved(), Denied("why"), Returned(value), True or False',
        )
    if isinstance(decision, Approved) and call.kind == "external":
        raise ConfigurationError(
            f"call {call.id!r}: somebody else runs {call.tool}, so that there is nothing to approve",
            hint='give what it returned, Returned(value), or Denied("why")',
        )
    if isinstance(decision, Returned) and not isinstance(decision.value, str):
        decision = replace(decision, value=from_json(to_json_text(decision.value)))
    try:
        plain = _DECISION.dump_python(decision, warnings=False)
        valid = _DECISION.validate_python({name: readable(value) for name, value in plain.items()})
        if isinstance(valid, Returned):
            return replace(valid, images=tuple(map(checked_image, valid.images)))
        return valid
    except ValueError as error:
        raise ConfigurationError(f"call {call.id!r} of {call.tool}: {decision!r:.100}: {error}") from None
