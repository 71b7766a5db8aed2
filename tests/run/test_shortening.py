"""Prompts made shorter: what is left out, and what never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate.errors import ModelContextError
from contemplate.messages import Message, ToolCall
from contemplate.models import Condensed, ModelRequest, ToolSpec
from contemplate.models.tokens import request_tokens, text_bytes
from contemplate.prompts import DEFAULTS, fence_mark, fenced
from contemplate.prompts.abridged_text import fenced_places, without_middle
from contemplate.run.condensed_turns import condensed
from contemplate.run.context_windows import ContextWindows, room_after
from contemplate.run.shortened_prompts import LEAST_BYTES, shortened
from contemplate.settings import ModelSettings
from contemplate.testing import ScriptedModel

QUESTION = "What is the capital of Atlantis?"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LONG_TEXTS = st.builds(lambda text, times: text * times, TEXTS, st.integers(0, 200))


def material(*texts: str) -> str:
    pairs = [(f"result {number}", text) for number, text in enumerate(texts, start=1)]
    return fenced(pairs, fence_mark(pairs))


def turn(number: int, result: str) -> tuple[Message, Message]:
    call = ToolCall(id=f"call-{number}", name="look", arguments="{}")
    return Message.assistant(f"turn {number}", (call,)), Message.tool(call.id, result)


@st.composite
def conversations(draw: st.DrawFn) -> ModelRequest:
    asked = f"{material(*draw(st.lists(LONG_TEXTS, min_size=1, max_size=4)))}\n\n{QUESTION}"
    messages = [Message.system(draw(TEXTS)), Message.user(asked)]
    for number, result in enumerate(draw(st.lists(LONG_TEXTS, max_size=6))):
        messages += turn(number, result)
    return ModelRequest(tuple(messages), tools=(ToolSpec("look", "look at it", {"type": "object"}),))


@given(conversations(), st.integers(1, 20_000))
def test_it_fits_or_nothing_is_left_that_could_be_shortened(request: ModelRequest, room: int) -> None:
    sent = shortened(request, room)
    size = request_tokens(sent.request)
    least = request_tokens(shortened(request, 0).request)
    assert size <= max(room, least)
    if size > room:
        for message in sent.request.messages:
            for start, end in fenced_places(message.text):
                assert text_bytes(message.text[start:end]) <= LEAST_BYTES


@given(conversations(), st.integers(0, 20_000))
def test_what_is_asked_and_who_called_what_stays(request: ModelRequest, room: int) -> None:
    messages = shortened(request, room).request.messages
    assert messages[0] == request.messages[0]
    assert f"\n\n{QUESTION}" in messages[1].text
    briefer, turns = (request, 0) if room >= request_tokens(request) else condensed(request, room)
    assert messages[1].text.endswith(f"\n\n{QUESTION}") == (turns == 0)
    for before, after in zip(briefer.messages, messages, strict=True):
        assert (after.role, after.tool_calls, after.tool_call_id) == (
            before.role,
            before.tool_calls,
            before.tool_call_id,
        )
        if after.role == "assistant":
            assert after == before


@given(conversations(), st.integers(0, 20_000))
def test_what_fits_is_the_same_request(request: ModelRequest, more: int) -> None:
    sent = shortened(request, request_tokens(request) + more)
    assert sent.request is request
    assert (sent.texts, sent.unread) == (0, False)


@given(LONG_TEXTS, st.integers(0, 5000))
def test_a_text_without_its_middle(text: str, length: int) -> None:
    shorter = without_middle(text, length, DEFAULTS)
    assert text_bytes(shorter) <= text_bytes(text)
    if shorter != text:
        assert "left out here" in shorter
        assert text_bytes(shorter) <= max(length, 64)


def test_old_turns_come_first_then_results_that_were_read_then_others() -> None:
    messages = [Message.user(f"{material('input ' * 200)}\n\n{QUESTION}")]
    for number in range(4):
        messages += turn(number, f"result {number} " * 200)
    request = ModelRequest(tuple(messages))
    sent = shortened(request, request_tokens(request) - 800)
    kept = [message.text for message in sent.request.messages if message.role == "tool"]
    assert kept == ["result 2 " * 200, "result 3 " * 200]
    assert sent.request.messages[0].parts[0] == request.messages[0].parts[0]
    assert (sent.texts, sent.unread, sent.is_whole) == (0, False, False)
    assert sent.condensed == Condensed(
        turns=2, tokens_before=request_tokens(request), tokens_after=request_tokens(sent.request)
    )
    tight = shortened(request, 900)
    assert request_tokens(tight.request) <= 900
    assert tight.unread
    # The model has answered to the last result, and is asked to mend its answer.
    mending = (*messages, Message.assistant("blue"), Message.user("Mend it."))
    repair = shortened(ModelRequest(mending), 900)
    assert "left out here" in repair.request.messages[2].text
    assert request_tokens(repair.request) <= 900
    assert not repair.unread


def test_the_longest_are_shortened_and_the_short_ones_stay() -> None:
    request = ModelRequest((Message.user(f"{material('short', 'long ' * 2000, 'longer ' * 3000)}\n\n{QUESTION}"),))
    text = shortened(request, 2000).request.messages[0].text
    one, two, three = (text[start:end] for start, end in fenced_places(text))
    assert one == "short"
    assert abs(text_bytes(two) - text_bytes(three)) < 10
    assert two.startswith("long long")
    assert two.endswith("long")


def test_results_that_nobody_has_answered_to_yet_are_all_new() -> None:
    calls = tuple(ToolCall(id=name, name="look", arguments="{}") for name in ("short", "long"))
    results = Message.tool("short", "s" * 2_000), Message.tool("long", "l" * 20_000)
    request = ModelRequest((Message.user(QUESTION), Message.assistant("", calls), *results))
    sent = shortened(request, request_tokens(request) - 1_000)
    *_, short, long = sent.request.messages
    assert short == results[0]
    assert text_bytes(long.text) < 20_000
    assert (sent.texts, sent.unread) == (1, True)


def test_the_end_of_a_fence_in_a_text_is_not_one() -> None:
    text = material("a <<end 0123456789>>\n<<result 2 0123456789>>\nb")
    assert len(fenced_places(text)) == 1


@pytest.mark.parametrize(
    ("context", "prompt", "max_tokens", "room"),
    [
        # Nothing is known but that it was too much.
        (None, None, None, 500),
        (None, 4000, None, 500),
        # The server counts two tokens where the estimate has one.
        (1000, 2000, 200, 380),
        (1000, 2000, None, 356),
        # What it writes may have half of the context at most.
        (1000, 2000, 4000, 237),
        # Sizes that cannot be: it would have fitted.
        (9000, 100, None, 500),
        (0, 0, None, 500),
    ],
)
def test_the_room_after_a_refusal(context: int | None, prompt: int | None, max_tokens: int | None, room: int) -> None:
    request = ModelRequest((Message.user("a" * (3 * 992)),), ModelSettings(max_tokens=max_tokens))
    assert request_tokens(request) == 1000
    error = ModelContextError("too long", model="m")
    error.context_tokens, error.prompt_tokens = context, prompt
    assert room_after(error, request) == room


def test_what_was_refused_once_is_shortened_and_nothing_shorter_is() -> None:
    model, windows = ScriptedModel(""), ContextWindows()
    call = ToolCall(id="c", name="look", arguments="{}")

    def asked(size: int) -> ModelRequest:
        return ModelRequest((Message.user("q"), Message.assistant("", (call,)), Message.tool("c", "word " * size)))

    refused = request_tokens(asked(2000))
    windows._learn((model.name, None), refused, refused // 2)
    assert windows.fitted(model, asked(1900)).is_whole
    fitted = windows.fitted(model, asked(2000))
    assert not fitted.is_whole
    assert request_tokens(fitted.request) <= refused // 2
