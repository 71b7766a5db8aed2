"""The request of a model, as it is sent."""

from __future__ import annotations

from dataclasses import fields

from contemplate import Message, Prompts
from contemplate.events import Again
from contemplate.models import ModelRequest, OutputSchema, ToolSpec
from contemplate.settings import ModelSettings


def heard(reason: Again, message: str) -> None:
    """Hear of a repetition."""


def test_what_is_sent_has_everything_else_that_was_asked() -> None:
    asked = ModelRequest(
        (Message.user("q"),),
        ModelSettings(temperature=1.0),
        (ToolSpec("look", "looks", {"type": "object"}),),
        "required",
        OutputSchema("n", {"type": "integer"}),
        1,
        Prompts(solver="Solve it."),
    )
    default, settings = ModelRequest(()), ModelSettings(max_tokens=5)
    sent = asked.sent_with(settings, heard)
    assert (sent.settings, sent.on_again) == (settings, heard)
    others = [each.name for each in fields(ModelRequest) if each.name not in ("settings", "on_again")]
    for name in others:
        assert getattr(sent, name) is getattr(asked, name) != getattr(default, name), name
