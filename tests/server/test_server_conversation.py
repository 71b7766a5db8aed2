"""The messages of a request: a question, and the conversation before it."""

from __future__ import annotations

from typing import Any

import pytest

from contemplate.messages import Message, ToolCall
from contemplate.prompts import DEFAULTS
from contemplate.server.api_errors import RequestError
from contemplate.server.chat.conversation import as_question
from contemplate.server.chat.schema import ChatRequest
from contemplate.server.neutral_request import Question

Sent = list[dict[str, Any]]

RED, BLUE = "https://example.org/red.png", "data:image/png;base64,iVBORw0KGgo="
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def asked(messages: Sent) -> Question:
    return as_question(ChatRequest.model_validate({"model": "m", "messages": messages}).messages, DEFAULTS)


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_a_single_message_is_asked_as_it_is() -> None:
    assert asked([{"role": "user", "content": "Why?\n  $x"}]) == Question("Why?\n  $x")
    assert asked([{"role": "user", "content": [text("Why"), text("not?")]}]) == Question("Why\nnot?")


def test_instructions_belong_to_the_conversation() -> None:
    system = {"role": "system", "content": "Be brief."}
    developer = {"role": "developer", "content": [text("Cite $sources.")]}
    question = asked([system, developer, {"role": "user", "content": "Why?"}])
    assert question == Question("Why?", (), (Message.system("Be brief."), Message.system("Cite $sources.")))


def test_the_last_user_message_is_the_question() -> None:
    question = asked(
        [
            {"role": "user", "content": "Who wrote Emma?"},
            {"role": "assistant", "content": "Jane Austen.", "reasoning_content": "Planning"},
            {"role": "user", "content": "When?", "name": "ann"},
        ]
    )
    history = (Message.user("Who wrote Emma?"), Message.assistant("Jane Austen."))
    assert question == Question("When?", (), history)


def test_tool_calls_and_results_are_part_of_the_conversation() -> None:
    question = asked(
        [
            {"role": "user", "content": "Do I need a coat?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "-4 C"},
        ]
    )
    call = ToolCall(id="c1", name="weather", arguments='{"city": "Oslo"}')
    assert question.history == (
        Message.user("Do I need a coat?"),
        Message.assistant("", (call,)),
        Message.tool("c1", "-4 C"),
    )
    assert question.text == "Go on with the conversation from where it stands."


def test_images_stay_with_their_messages() -> None:
    question = asked(
        [
            {"role": "user", "content": [image(RED), text("What is this?")]},
            {"role": "assistant", "content": "A red square."},
            {"role": "user", "content": [text("And this?"), image(BLUE)]},
        ]
    )
    assert [each.as_url() for each in question.history[0].images] == [RED]
    assert [each.as_url() for each in question.images] == [BLUE]
    assert question.text == "And this?"


def test_a_question_may_be_an_image_alone() -> None:
    question = asked([{"role": "user", "content": [image(RED)]}])
    assert question.text.strip()
    assert [each.as_url() for each in question.images] == [RED]


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "system", "content": "Be brief."}], "messages"),
        ([{"role": "user", "content": " \n"}], "messages[0].content"),
        ([{"role": "user", "content": "Why?"}, {"role": "user", "content": []}], "messages[1].content"),
        ([{"role": "user", "content": "Why?"}, {"role": "assistant", "tool_calls": [CALL]}], "messages"),
        ([{"role": "tool", "tool_call_id": "c9", "content": "x"}, {"role": "user", "content": "Why?"}], "messages"),
    ],
)
def test_a_conversation_without_a_question_is_refused(messages: Sent, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        asked(messages)
    assert caught.value.failure.status == 400
    assert caught.value.failure.param == param
