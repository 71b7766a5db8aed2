"""Probes of answers that follow a schema, in each form in which that can be asked for."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from ...messages import Message
from ...prompts import render
from ..base import Model, ModelRequest, ModelResponse, OutputSchema
from .bench import Bench, Outcome

SHOWN = 60
FORMS = ("strict", "plain", "json_object", "words", "tool")


CAPITAL = OutputSchema(
    "capital",
    {
        "type": "object",
        "properties": {"capital": {"type": "string"}, "letters": {"type": "integer"}},
        "required": ["capital", "letters"],
        "additionalProperties": False,
    },
)


async def schema(bench: Bench) -> Outcome:
    """Ask for an answer that follows a schema, as the model's profile says."""
    return follows(await bench.ask(_request()))


def schema_in(form: str) -> Callable[[Bench], Awaitable[Outcome]]:
    """Return the probe of one form in which a schema can be asked for."""

    async def probe(bench: Bench) -> Outcome:
        model = _in_form(bench, form)
        if model is None:
            return Outcome("no", "the model has no profile that says how")
        outcome = follows(await bench.ask(_request(), model=model))
        used = getattr(getattr(model, "profile", None), "schema_form", form)
        return outcome if used == form else Outcome("no", f"it is asked for as {used!r} instead")

    return probe


def follows(response: ModelResponse) -> Outcome:
    """Return whether the text of `response` is what was asked for."""
    text = response.message.text.strip()
    try:
        value = json.loads(text)
    except ValueError:
        return Outcome("no", f"not JSON: {text[:SHOWN]!r}")
    fits = isinstance(value, dict) and isinstance(value.get("capital"), str) and isinstance(value.get("letters"), int)
    return Outcome("ok" if fits else "no", text[:SHOWN])


def _request() -> ModelRequest:
    return ModelRequest((Message.user(render("probes/schema")),), output_schema=CAPITAL)


def _in_form(bench: Bench, form: str) -> Model | None:
    """Return the model with a profile that asks for schemas in `form`; None if it has none."""
    profile, with_profile = bench.profile, getattr(bench.model, "with_profile", None)
    if profile is None or with_profile is None or "schema_form" not in type(profile).model_fields:
        return None
    found: Model = with_profile(profile.model_copy(update={"schema_form": form}))
    return found
