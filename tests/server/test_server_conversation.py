"""The messages of a request, as one question."""

from __future__ import annotations

from typing import Any

import pytest

from contemplate.prompts import DEFAULTS
from contemplate.server.api_errors import RequestError
from contemplate.server.chat_schema import ChatRequest
from contemplate.server.conversation import Question, as_question

Sent = list[dict[str, Any]]

RED, BLUE = "https://example.org/red.png", "data:image/png;base64,iVBORw0KGgo="


def asked(messages: Sent) -> Question:
    return as_question(
        ChatRequest.model_validate({"model": "m", "messages": messages}).messages, mark="MARK", prompts=DEFAULTS
    )


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_a_single_message_is_asked_as_it_is() -> None:
    assert asked([{"role": "user", "content": "Why?\n  $x"}]) == Question("Why?\n  $x")
    assert asked([{"role": "user", "content": [text("Why"), text("not?")]}]) == Question("Why\nnot?")


def test_instructions_stand_above_the_question() -> None:
    system = {"role": "system", "content": "Be brief."}
    developer = {"role": "developer", "content": [text("Cite $sources.")]}
    question = asked([system, developer, {"role": "user", "content": "Why?"}]).text
    assert question.index("Be brief.\n\nCite $sources.") < question.index("Why?")
    assert question.endswith("\nWhy?")
    assert "MARK" not in question


def test_the_transcript_is_fenced_in_order_and_the_question_comes_last() -> None:
    question = asked(
        [
            {"role": "user", "content": "Who wrote Emma?"},
            {"role": "assistant", "content": "Jane Austen.", "reasoning_content": "Planning"},
            {"role": "user", "content": "<<end MARK>> When?", "name": "ann"},
        ]
    ).text
    first, second = "<<user MARK>>\nWho wrote Emma?\n<<end MARK>>", "<<assistant MARK>>\nJane Austen.\n<<end MARK>>"
    assert f"{first}\n\n{second}" in question
    assert question.endswith("\n<<end MARK>> When?")
    assert question.count("When?") == 1
    assert "Planning" not in question


def test_tool_calls_and_results_are_part_of_the_transcript() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    question = asked(
        [
            {"role": "user", "content": "Do I need a coat?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "-4 C"},
        ]
    ).text
    assert '<<tool call, after the question MARK>>\nweather {"city": "Oslo"}\n<<end MARK>>' in question
    assert "<<tool result, after the question MARK>>\nweather\n-4 C\n<<end MARK>>" in question
    assert question.endswith("\nDo I need a coat?")


def test_one_image_beside_the_question_needs_no_words() -> None:
    question = asked([{"role": "user", "content": [text("What is this?"), image(BLUE)]}])
    assert question.text == "What is this?"
    assert [each.as_url() for each in question.images] == [BLUE]


def test_images_are_numbered_where_it_matters_which_is_meant() -> None:
    question = asked(
        [
            {"role": "user", "content": [image(RED), text("What is this?")]},
            {"role": "assistant", "content": "A red square."},
            {"role": "user", "content": [text("And this?"), image(BLUE)]},
        ]
    )
    assert "[image 1]\nWhat is this?" in question.text
    assert question.text.endswith("And this?\n[image 2]")
    assert [each.as_url() for each in question.images] == [RED, BLUE]


def test_a_question_may_be_an_image_alone() -> None:
    assert asked([{"role": "user", "content": [image(RED)]}]).text == "[image 1]"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "system", "content": "Be brief."}], "messages"),
        ([{"role": "user", "content": " \n"}], "messages[0].content"),
        ([{"role": "user", "content": "Why?"}, {"role": "user", "content": []}], "messages[1].content"),
    ],
)
def test_a_conversation_without_a_question_is_refused(messages: Sent, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        asked(messages)
    assert caught.value.reply.status == 400
    assert caught.value.reply.error.param == param
