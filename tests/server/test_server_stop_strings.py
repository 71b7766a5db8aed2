"""Answers end where a stop string begins, whoever wrote them."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contemplate import Contemplator
from contemplate.models import Delta
from contemplate.modes import Mode
from contemplate.server.stop_strings import StopStrings
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Serve
from .test_server_clients import QUESTION, StepByStep, content, expert, reasoning


@example(["b", "a", "b"], ["a", "bab"])
@example(["bab"], ["a", "bab"])
@given(st.lists(st.text("abE", max_size=4)), st.lists(st.text("abE", min_size=1, max_size=3), max_size=3))
def test_a_text_in_pieces_is_cut_where_the_whole_one_would_be(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    written = next((whole[:end] for end in range(len(whole) + 1) if whole[:end].endswith(tuple(stops))), None)
    expected = whole if written is None else written.removesuffix(max(filter(written.endswith, stops), key=len))
    cut = StopStrings(stops)
    assert "".join(map(cut.new, pieces)) + cut.rest() == expected


def test_nothing_is_held_back_that_cannot_be_a_stop_string() -> None:
    cut = StopStrings(["END"])
    assert [cut.new(each) for each in ("The E", "nd, ", "or EN", "D here")] == ["The ", "End, ", "or ", ""]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["instant", "contemplating", "vote", "council"])
def test_an_answer_ends_at_a_stop_string_in_every_mode(serve: Serve, mode: Mode, stream: bool) -> None:
    def script(request: Any) -> str:
        said = expert(request)
        return said if said.startswith("{") else "Because of the rivers. END And more.\nAnswer: rivers"

    url = serve({"m": Contemplator(ScriptedModel(script), mode=mode)})
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE) as client:
        made: Any = client.chat.completions.create(
            model="m",
            messages=QUESTION,
            stop=["never", " END"],
            stream=stream,
        )
        said = content(list(made)) if stream else made.choices[0].message.content
    assert said == "Because of the rivers."


def test_what_is_held_back_comes_at_the_end_and_reasoning_is_not_cut(serve: Serve) -> None:
    model = StepByStep([Delta(reasoning="END?"), "Rivers. E"])
    url = serve({"m": Contemplator(model, mode="instant")})
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE) as client:
        chunks = list(client.chat.completions.create(model="m", messages=QUESTION, stop="END", stream=True))
    assert (content(chunks), reasoning(chunks)) == ("Rivers. E", "END?")
