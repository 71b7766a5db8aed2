"""Old turns of a conversation, condensed: what stays, that each result has its call, and that prompts begin alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from contemplate.messages import ImagePart, Message, TextPart, ToolCall
from contemplate.models import ModelRequest, ToolSpec
from contemplate.models.tokens import request_tokens, text_bytes
from contemplate.prompts.abridged_text import briefly, fenced_places
from contemplate.run.condensed_turns import EXCERPTS, LEFT, _Fold, _folded, _turns, condensed

SYSTEM, QUESTION = Message.system("You look."), Message.user("What is the capital of Atlantis?")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LONG_TEXTS = st.builds(lambda text, times: text * times, TEXTS, st.integers(0, 100))
LOOK = ToolSpec("look", "look at it", {"type": "object"})


@st.composite
def turns(draw: st.DrawFn, texts: st.SearchStrategy[str] = LONG_TEXTS, most: int = 12) -> tuple[Message, ...]:
    """Turns of one call or several, whose results come in any order, with words of the planner between them."""
    messages: list[Message] = []
    for number in range(draw(st.integers(1, most))):
        calls = [ToolCall(id=f"{number}-{n}", name="look", arguments="{}") for n in range(draw(st.integers(1, 3)))]
        messages.append(Message.assistant(draw(TEXTS), tuple(calls)))
        messages += [Message.tool(call.id, draw(texts)) for call in draw(st.permutations(calls))]
        if draw(st.integers(0, 5)) == 0:
            messages.append(Message.user(f"Mind {number}."))
    return tuple(messages)


def asked(*messages: Message) -> ModelRequest:
    return ModelRequest((SYSTEM, QUESTION, *messages), tools=(LOOK,))


def turn(number: int, size: int = 4000) -> tuple[Message, Message]:
    call = ToolCall(id=f"call-{number}", name="look", arguments=f'{{"place": {number}}}')
    return Message.assistant("", (call,)), Message.tool(call.id, f"place {number}: " + "x" * size)


def last_turn(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    start = max(place for place, message in enumerate(messages) if message.role == "assistant")
    return messages[start:]


def is_consistent(messages: tuple[Message, ...]) -> bool:
    """Whether the results of each message's calls follow it, and no other result does."""
    open_calls: set[str | None] = set()
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                return False
            open_calls.remove(message.tool_call_id)
        elif open_calls:
            return False
        open_calls |= {call.id for call in message.tool_calls}
    return not open_calls


@given(turns(), st.integers(0, 8000))
def test_results_have_their_calls_and_what_is_asked_stays(work: tuple[Message, ...], room: int) -> None:
    request = asked(*work)
    sent, count = condensed(request, room)
    assert is_consistent(sent.messages)
    assert sent.messages[0] == SYSTEM
    assert sent.messages[1].text.startswith(QUESTION.text)
    assert last_turn(sent.messages) == last_turn(request.messages)
    for message in work:
        if message.role == "user":
            assert any(message.text in each.text for each in sent.messages if each.role == "user")
    if count == 0:
        assert sent is request
    else:
        assert request_tokens(sent) < request_tokens(request)
        assert [each.role for each in sent.messages[:3]] == ["system", "user", "assistant"]


@given(turns(most=40), st.integers(1500, 8000))
def test_no_prompt_is_too_long(work: tuple[Message, ...], room: int) -> None:
    last = asked(*last_turn(work))
    planner = asked(*[message for message in work if message.role == "user"])
    # The question, what the planner said, and the last turn, beside the least account.
    least = request_tokens(last) + request_tokens(planner) + 300
    sent, _ = condensed(asked(*work), max(room, least))
    assert request_tokens(sent) <= max(room, least)


@given(turns(), st.integers(1500, 8000))
def test_it_does_not_matter_when_it_is_done(work: tuple[Message, ...], room: int) -> None:
    """What was asked in the end depends on the conversation alone: who resumes a run asks the same."""
    assert condensed(asked(*work), room) == condensed(asked(*[each.model_copy() for each in work]), room)


def test_prompts_begin_alike_but_when_turns_are_folded() -> None:
    room, work, prompts, counts = 8000, list[Message](), [], [0]
    for number in range(50):
        work += turn(number)
        sent, count = condensed(asked(*work), room)
        assert request_tokens(sent) <= room
        assert count >= counts[-1]
        if count > counts[-1]:
            assert request_tokens(sent) <= room * LEFT + 100
        counts.append(count)
        prompts.append(sent.messages)
    folded = sum(before < after for before, after in pairwise(counts))
    assert folded <= 50 // 3
    for before, after in pairwise(prompts):
        assert after[: len(before)] == before or after[1].parts[0] == before[1].parts[0] == QUESTION.parts[0]
    alike = sum(after[: len(before)] == before for before, after in pairwise(prompts))
    assert alike == 49 - folded


def test_the_account_tells_of_each_step() -> None:
    work = [message for number in range(50) for message in turn(number)]
    work[6] = work[6].model_copy(update={"parts": Message.assistant("I note:\n\nthe key is red.").parts})
    sent, count = condensed(asked(*work), 8000)
    account = sent.messages[1].text
    ((start, end),) = fenced_places(account)
    assert account[start:end].count("look({") == count > 45
    assert '\n[4] I note: the key is red.\nlook({"place": 3}): place 3: xxx' in account
    short, _ = condensed(asked(*work), 2500)
    ((start, end),) = fenced_places(short.messages[1].text)
    left_out, *steps = short.messages[1].text[start:end].splitlines()
    assert left_out.startswith("[")
    assert "steps before these are left out]" in left_out
    assert int(left_out.split()[0][1:]) + sum(step.startswith("[") for step in steps) == 49
    assert steps[-1].startswith('look({"place": 48}): place 48')


def test_a_history_with_tools_keeps_its_questions_and_answers() -> None:
    first, second = turn(0), turn(1)
    history = (*first, Message.assistant("blue"), Message.user("And its river?"))
    sent, count = condensed(asked(*history, *second, *turn(2)), 2400)
    assert count == 2
    assert [each.role for each in sent.messages] == ["system", "user", "assistant", "user", "assistant", "tool"]
    assert sent.messages[1] == QUESTION
    assert sent.messages[3].text.startswith("And its river?\n\nThe conversation became too long")
    sent, count = condensed(asked(*history, *turn(2)), 2400)
    assert count == 1
    assert sent.messages[1].text.startswith(f"{QUESTION.text}\n\nThe conversation became too long")
    assert sent.messages[2:4] == history[2:]


def test_where_nobody_asked_the_account_is_a_message() -> None:
    work = [message for number in range(9) for message in turn(number)]
    request = replace(asked(), messages=(SYSTEM, *work))
    sent, count = condensed(request, 5000)
    assert count
    assert [each.role for each in sent.messages[:3]] == ["system", "user", "assistant"]
    assert sent.messages[1].text.startswith("The conversation became too long")


def test_images_stay() -> None:
    image = ImagePart(url="https://example.com/map.png")
    work = [message for number in range(9) for message in turn(number)]
    request = replace(asked(), messages=(Message.user("What?", (image,)), *work))
    sent, _ = condensed(request, 6000)
    assert sent.messages[0].parts[:2] == request.messages[0].parts
    assert request_tokens(sent) <= 6000


def test_without_turns_nothing_is_condensed() -> None:
    request = asked(Message.assistant("long " * 5000), Message.user("Mend it."))
    assert condensed(request, 100) == (request, 0)


@given(LONG_TEXTS, st.sampled_from(EXCERPTS))
def test_an_excerpt_is_one_short_line(text: str, length: int) -> None:
    brief = briefly(text, length)
    assert text_bytes(brief) <= length
    assert len(brief.splitlines()) <= 1


def test_there_is_no_account_of_the_conversation_before_the_question() -> None:
    before = (Message.user("before"), *turn(0))
    request = ModelRequest((SYSTEM, *before, QUESTION, *turn(1), Message.user("and"), *turn(2)), earlier=len(before))
    assert list(_turns(request)) == [range(5, 8), range(8, 10)]


def test_what_a_user_said_between_old_turns_stays_where_no_question_comes_before_them() -> None:
    request = ModelRequest((SYSTEM, *turn(0), Message.user("Mind 1."), Message.user("Mind 2."), *turn(1)))
    _, said, *rest = _folded(request, list(_turns(request)), _Fold(1, 800))
    first, second, account = (part.text for part in said.parts if isinstance(part, TextPart))
    assert (said.role, first, second) == ("user", "Mind 1.", "\n\nMind 2.")
    assert "place 0" in account
    assert tuple(rest) == turn(1)
