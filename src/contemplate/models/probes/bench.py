"""The model under test: its calls are counted, and its profile is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from ...data import Data
from ...messages import Message
from ...usage import NOTHING, Usage
from ..base import DeltaSink, Model, ModelRequest, ModelResponse, price_of
from ..wrappers.retry import Retry
from .report import Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a probe."""

    verdict: Verdict
    detail: str = ""


class Bench:
    """A model with what its calls cost so far, and what earlier probes found out.

    Args:
        model: the model; its retries are left out, so that an error is seen at once.

    Attributes:
        notes: what the library had to say about the calls.
        plain: the response to the first, plain question, once there is one.
        tool_turn: the request and the response with which a tool was called, once there is one.
    """

    def __init__(self, model: Model) -> None:
        while isinstance(model, Retry):
            model = model.inner
        self.model = model
        self._usages: list[Usage] = []
        self.notes: list[str] = []
        self.plain: ModelResponse | None = None
        self.tool_turn: tuple[ModelRequest, ModelResponse] | None = None

    async def ask(
        self, request: ModelRequest | str, on_delta: DeltaSink | None = None, *, model: Model | None = None
    ) -> ModelResponse:
        """Return the response to `request`; a text is a user's message.

        Raises:
            ModelError: the call failed.
        """
        if isinstance(request, str):
            request = ModelRequest((Message.user(request),))
        response = await (model or self.model).request(request, on_delta)
        self._usages.append(response.usage)
        self.notes += response.notes
        return response

    @property
    def calls(self) -> int:
        """How many calls were answered."""
        return len(self._usages)

    def usage(self) -> Usage:
        """Return what all calls cost. The price is looked up here, as that takes a moment."""
        price = price_of(self.model) if self._usages else None
        return sum((each if price is None else price.priced(each) for each in self._usages), NOTHING)

    @property
    def profile(self) -> Data | None:
        """The profile of the model, or of the one within its wrappers; None if it has none."""
        model: Any = self.model
        while model is not None:
            profile = getattr(model, "profile", None)
            if isinstance(profile, Data):
                return profile
            model = getattr(model, "inner", None)
        return None

    def unusual(self) -> dict[str, Any]:
        """Return the fields of the profile that differ from its defaults."""
        profile = self.profile
        if profile is None:
            return {}
        fields = type(profile).model_fields
        return {name: value for name, value in profile if value != fields[name].get_default(call_default_factory=True)}

    def profile_json(self) -> Mapping[str, JsonValue]:
        """Return `unusual` as JSON data."""
        profile = self.profile
        return {} if profile is None else profile.model_dump(mode="json", include=set(self.unusual()))

    def profile_code(self) -> str:
        """Return the profile as Python code; "" if there is none."""
        profile = self.profile
        if profile is None:
            return ""
        given = ", ".join(f"{name}={_code(value)}" for name, value in self.unusual().items())
        return f"{type(profile).__name__}({given})"


def _code(value: object) -> str:
    # In an order that does not change from one process to the next.
    return f"frozenset({sorted(value)!r})" if isinstance(value, frozenset) else repr(value)
