"""The messages of Anthropic's Messages: a question, the conversation before it, and what tools returned."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contemplate import Returned
from contemplate.messages import ImagePart, Message, ToolCall
from contemplate.prompts import DEFAULTS
from contemplate.run.history import checked_history
from contemplate.server.api_errors import RequestError
from contemplate.server.messages.conversation import as_question, returned
from contemplate.server.messages.schema import MessagesRequest
from contemplate.server.model_names import named, shown_names
from contemplate.server.neutral_request import Question

Sent = list[dict[str, Any]]

GO_ON = DEFAULTS.render("history_go_on")
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.org/red.png"}}
RED = ImagePart(url="https://example.org/red.png")
CALLING = Message(role="assistant", tool_calls=(ToolCall(id="c1", name="f", arguments="{}"),))


def body(messages: Sent, **more: Any) -> MessagesRequest:
    return MessagesRequest.model_validate({"model": "m", "max_tokens": 9, "messages": messages, **more})


def asked(messages: Sent, **more: Any) -> Question:
    return as_question(body(messages, **more), DEFAULTS)


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [text(each) if isinstance(each, str) else each for each in content]}


def assistant(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def use(id_: str = "c1") -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": {}}


def result(content: Any = "3", id_: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}


def test_the_last_message_is_the_question() -> None:
    assert asked([{"role": "user", "content": "Why?\n  $x"}]) == Question("Why?\n  $x")
    said = [{"role": "user", "content": "Hello"}, assistant("Hi!"), user("Why", "not?", PICTURE)]
    history = (Message.user("Hello"), Message.assistant("Hi!"))
    assert asked(said) == Question("Why\nnot?", (RED,), history)
    assert asked([user(PICTURE)]) == Question(DEFAULTS.render("image_question"), (RED,))


def test_what_one_side_says_without_a_break_is_one_message() -> None:
    said = [user("Hello"), user("you"), assistant("Hi"), assistant("!"), user("Why"), user("not?")]
    history = (Message.user("Hello\nyou"), Message.assistant("Hi\n!"))
    assert asked(said) == Question("Why\nnot?", (), history)


def test_instructions_come_as_a_text_as_blocks_and_between_messages() -> None:
    brief, cite = Message.system("Be brief."), Message.system("Cite.")
    assert asked([user("Why?")], system="Be brief.") == Question("Why?", (), (brief,))
    blocks = [text("x-anthropic-billing-header: cc_version=2;"), text("Be brief.", cache_control={"type": "ephemeral"})]
    later = {"role": "system", "content": "Cite."}
    assert asked([user("Why?"), later], system=blocks) == Question("Why?", (), (brief, cite))


def test_whoever_sends_results_or_the_beginning_of_an_answer_asks_to_go_on() -> None:
    calling = [user("Why?"), assistant(use())]
    seen = (Message.user("Why?"), CALLING, Message.tool("c1", "3"))
    assert asked([*calling, user(result())]) == Question(GO_ON, (), seen)
    assert asked([*calling, user(result()), user("Be quick.")]) == Question(
        GO_ON, (), (*seen, Message.user("Be quick."))
    )
    assert asked([user("Why?"), assistant("Because")]) == Question(
        GO_ON, (), (Message.user("Why?"), Message.assistant("Because"))
    )
    later = [*calling, user(result()), assistant("So."), user("And?")]
    assert asked(later) == Question("And?", (), (*seen, Message.assistant("So.")))


def test_results_of_every_kind() -> None:
    calling = [user("Why?"), assistant(use())]
    for content, shown in (
        ([text("a"), text("b")], "a\nb"),
        ([], ""),
        (None, ""),
        ([{"type": "tool_reference", "tool_name": "g"}], "g"),
    ):
        assert asked([*calling, user(result(content))]).history[-1] == Message.tool("c1", shown)
    picture = asked([*calling, user(result([text("a"), PICTURE]))])
    assert picture.history[-2:] == (Message.tool("c1", "a"), Message(role="user", parts=(RED,)))
    failed = asked([*calling, user(result("no", is_error=True))])
    assert failed.history[-1] == Message.tool("c1", "The tool failed. ToolError: no")


def test_what_another_model_thought_and_what_its_server_did_is_left_out() -> None:
    thought = {"type": "thinking", "thinking": "Hmm", "signature": "x"}
    others = [
        {"type": "redacted_thinking", "data": "x"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    ]
    said = [user("Hello"), assistant(thought, *others, "Hi!"), user("Why?")]
    assert asked(said).history == (Message.user("Hello"), Message.assistant("Hi!"))
    assert asked([user("Hello"), assistant(thought), user("Why?")]).history == (Message.user("Hello"),)


def test_what_returned_is_known_by_its_call() -> None:
    calling = [user("Why?"), assistant(use("c1"), use("c2"))]
    both = user(result("3", "c1"), result("no", "c2", is_error=True))
    assert returned(body([*calling, both])) == {"c1": Returned("3"), "c2": Returned(error="no")}
    assert returned(body([*calling, both, assistant("So."), user("And?")])) == {}
    assert returned(body([user("Why?")])) == {}
    # A result of a run that waits is a text, so that what is said beside it must be in it.
    beside = [{"role": "system", "content": "Hurry."}, user("Be quick.")]
    assert returned(body([*calling, both, *beside]))["c2"] == Returned(error="no\n\nBe quick.\n\nHurry.")
    shown = returned(body([*calling, user(result("3", "c1"), result([text("4"), PICTURE], "c2"), PICTURE)]))
    assert shown == {"c1": Returned("3"), "c2": Returned("4", images=(RED, RED))}


blocks = st.sampled_from([text("a"), text(" "), PICTURE, {"type": "thinking", "thinking": "x", "signature": ""}])
turns = st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.lists(blocks, max_size=3)), min_size=1)


@given(turns)
def test_any_conversation_is_asked_or_refused_in_words(said: list[tuple[str, list[dict[str, Any]]]]) -> None:
    try:
        question = asked([{"role": role, "content": content} for role, content in said])
    except RequestError as error:
        assert error.failure.message.startswith("messages: ")
        return
    assert question.text.strip()
    assert checked_history(question.history) == question.history
    assert all(each.parts for each in question.history)


def test_a_field_that_is_null_is_not_there() -> None:
    fields = ("system", "tools", "tool_choice", "thinking", "metadata", "stop_sequences", "output_config", "stream")
    assert body([user("Why?")], **dict.fromkeys(fields)) == body([user("Why?")])


kinds = st.sampled_from(["text", "image", "tool_use", "tool_result", "thinking", "document", "x"])
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "content"]), inner),
    max_leaves=5,
)
names = st.sampled_from(["text", "source", "id", "name", "input", "tool_use_id", "content"])


@given(st.builds(lambda kind, fields: {**fields, "type": kind}, kinds, st.dictionaries(names, junk)) | junk)
def test_any_block_is_read_or_refused(block: Any) -> None:
    for said in (user(block), assistant(block), user({**result(), "content": block})):
        try:
            body([said])
        except ValidationError as error:
            assert error.errors()


@pytest.mark.parametrize("name", ["claude-*", "*", "a*b*c"])
def test_a_name_with_a_star_stands_for_what_looks_like_it(name: str) -> None:
    mind: Any = object()
    minds = {name: mind, "m": object()}
    for called in (name, name.replace("*", ""), name.replace("*", "x-1[1m]\n")):
        assert named(minds, called) is mind
    assert shown_names(minds) == ("m",)
    assert named(minds, "q" + name.replace("*", "") + "q") is (mind if name == "*" else None)
