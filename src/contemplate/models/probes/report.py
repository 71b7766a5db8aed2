"""What `check` finds out about a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import JsonValue

from ...data import Data, Text
from ...usage import NOTHING, Usage

# "learnt": it works, after the server refused how it was asked for first; "no": it does not, or is ignored; "error":
# it failed in another way.
Verdict = Literal["ok", "learnt", "no", "error"]


class Finding(Data):
    """What came of one thing that was tried.

    Args:
        name: what was tried.
        verdict: whether it works.
        detail: what was seen, or the server's words.
        seconds: how long it took.
        calls: how many calls it took.
    """

    name: str
    verdict: Verdict
    detail: Text = ""
    seconds: float = 0.0
    calls: int = 0


class Report(Data):
    """What a model can do, and how it wants to be asked.

    Args:
        model: its name.
        findings: what was tried, in order.
        profile: where its profile differs from the usual one; empty if it has none.
        profile_code: the same as Python code, or "".
        usage: what the check cost.
        seconds: how long it took.
        whole: whether all was tried that was to be.
    """

    model: str
    findings: tuple[Finding, ...] = ()
    profile: Mapping[str, JsonValue] = {}
    profile_code: str = ""
    usage: Usage = NOTHING
    seconds: float = 0.0
    whole: bool = True

    @property
    def answers(self) -> bool:
        """Whether the model answers at all."""
        return any(each.name == "answer" and each.verdict in ("ok", "learnt") for each in self.findings)
