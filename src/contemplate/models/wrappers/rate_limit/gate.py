"""What a call of a rate-limited account passes: a gate, which lets it wait for its turn."""

from __future__ import annotations

from typing import Protocol

from ....usage import Usage
from ...base import ModelRequest, ModelResponse, RunMark
from ...tokens import request_tokens
from .account_state import Pass

USUAL_OUTPUT_TOKENS = 512.0
SMOOTHING = 0.1


class Gate(Protocol):
    """The limits of one account. A call enters, and leaves in exactly one of the ways `answered`, `refused`, `ended`.

    These may be called in any thread, and do not wait.
    """

    async def enter(self, run: RunMark | None, request: ModelRequest) -> Pass:
        """Wait for a turn, and return the permit.

        Raises:
            JournalError: the account is shared, and nothing is to be had from its journal.
        """
        ...

    def heard(self, permit: Pass) -> None:
        """Note that the answer has begun."""
        ...

    def answered(self, permit: Pass, response: ModelResponse) -> None:
        """Note that the call was answered."""
        ...

    def refused(self, permit: Pass, retry_after: float | None) -> bool:
        """Note that the provider refused the call for its rate limit; return whether it was one too many."""
        ...

    def ended(self, permit: Pass) -> None:
        """Note that the call failed otherwise, or was cancelled."""
        ...


class UsualOutput:
    """How long an answer is expected to be: as long as earlier ones, unless the request says how long it may be."""

    def __init__(self) -> None:
        self._tokens = USUAL_OUTPUT_TOKENS

    def estimate(self, request: ModelRequest) -> float:
        """Return the tokens of a call, its answer included."""
        return request_tokens(request) + (request.settings.max_tokens or self._tokens)

    def learn(self, usage: Usage) -> None:
        """Note what an answer took."""
        self._tokens += SMOOTHING * (usage.output_tokens - self._tokens)
