"""The scripted model: what users' own tests stand on."""

from __future__ import annotations

import pytest

from contemplate import Contemplator, Message, Usage, planners
from contemplate.messages import ToolCall
from contemplate.models import Delta, Model, ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel

from .support import steps

pytestmark = pytest.mark.anyio
HELLO = ModelRequest((Message.user("hello you"),))


async def test_one_text_for_all() -> None:
    model = ScriptedModel("yes")
    for _ in range(3):
        response = await model.request(HELLO)
        assert (response.message, response.finish, response.model) == (Message.assistant("yes"), "stop", "scripted")
    assert model.requests == [HELLO] * 3


async def test_replies_in_order_and_then_an_error_that_says_so() -> None:
    whole = ModelResponse(message=Message.assistant("c"), finish="length", usage=Usage(calls=1), model="other")
    model = ScriptedModel(["a", Message.assistant("", (ToolCall(id="1", name="t", arguments="{}"),)), whole])
    assert (await model.request(HELLO)).message.text == "a"
    assert (await model.request(HELLO)).finish == "tool_calls"
    assert await model.request(HELLO) is whole
    with pytest.raises(LookupError, match="only 3 replies"):
        await model.request(HELLO)


async def test_an_exception_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await ScriptedModel([ZeroDivisionError()]).request(HELLO)


async def test_a_function_that_may_be_async() -> None:
    async def later(request: ModelRequest) -> str:
        await steps(2)
        return request.messages[-1].text.upper()

    assert (await ScriptedModel(later).request(HELLO)).message.text == "HELLO YOU"
    assert (await ScriptedModel(lambda request: str(len(request.messages))).request(HELLO)).message.text == "1"


@pytest.mark.parametrize(("chunk", "pieces"), [(2, ["he", "ll", "o"]), (99, ["hello"])])
async def test_streaming(chunk: int, pieces: list[str]) -> None:
    heard: list[Delta] = []
    response = await ScriptedModel("hello", chunk=chunk).request(HELLO, heard.append)
    assert [delta.text for delta in heard] == pieces
    assert response.message.text == "hello"


async def test_usage_is_four_characters_a_token() -> None:
    usage = (await ScriptedModel("12345").request(HELLO)).usage
    assert usage == Usage(calls=1, input_tokens=2, output_tokens=2)


def test_it_is_a_model() -> None:
    model: Model = ScriptedModel("x", name="mine")
    assert model.name == "mine"
    result = Contemplator(model, planner=planners.sample(2)).run_sync("q")
    assert result.tasks[0].model == "mine"
