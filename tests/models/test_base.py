"""The request of a model, as it is sent."""

from __future__ import annotations

from dataclasses import fields

from contemplate import Message, Prompts
from contemplate.events import Again, Queue
from contemplate.models import ModelRequest, OutputSchema, ToolSpec
from contemplate.settings import ModelSettings


def heard(reason: Again, message: str) -> None:
    """Hear of a repetition."""


def queued(behind: Queue | None) -> None:
    """Hear of a queue."""


async def before_sending() -> None:
    """Let it be sent."""


OF_A_CALL = (heard, queued, before_sending)
ASKED = [
    each.name
    for each in fields(ModelRequest)
    if each.name not in ("settings", "on_again", "on_queue", "before_sending")
]


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
    sent = asked.sent_with(settings, heard, queued, before_sending)
    assert (sent.settings, sent.on_again, sent.on_queue, sent.before_sending) == (settings, *OF_A_CALL)
    for name in ASKED:
        assert getattr(sent, name) is getattr(asked, name) != getattr(default, name), name
    kept = sent.unheard()
    assert kept == sent
    for each in fields(ModelRequest):
        expected = sent if each.name in (*ASKED, "settings") else default
        assert getattr(kept, each.name) is getattr(expected, each.name), each.name
