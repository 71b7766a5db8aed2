"""Reading a plan while it is written: how the text is cut changes nothing, and no text is an error."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contemplate.planners.plan_parser import MAX_OBJECT_CHARACTERS, Draft, DraftReader, plan_schema

GARBAGE = st.text(alphabet='{}[]"\\:,aé1 \n', max_size=200)
TASKS = st.lists(
    st.fixed_dictionaries(
        {"title": st.text(max_size=8), "prompt": st.text(min_size=1, max_size=12), "needs": st.lists(st.integers(0, 9))}
    ),
    max_size=4,
)


def read(*pieces: str) -> list[Draft | str]:
    reader = DraftReader()
    return [draft for piece in pieces for draft in reader.feed(piece)]


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A plan in which some characters were lost, doubled or replaced."""
    text = list(json.dumps({"tasks": draw(TASKS)}, ensure_ascii=draw(st.booleans())))
    for place in draw(st.lists(st.integers(0, 10**6), max_size=6)):
        if text:
            text[place % len(text)] = draw(st.sampled_from(["", "{", "}", "[", "]", '"', "\\", "x", "{{", "]]"]))
    return "".join(text)


@settings(max_examples=200, deadline=None)
@example('{"tasks": [{]{"prompt": "a"}', [20])
@example('[{"prompt": "a", ]{"prompt": "b"}]', [14, 17])
@given(GARBAGE | damaged(), st.lists(st.integers(0, 10**6), max_size=8))
def test_any_text_cut_anywhere(text: str, cuts: list[int]) -> None:
    whole = read(text)
    assert read(*text) == whole
    assert read(*pieces_of(text, cuts)) == whole


@settings(max_examples=200, deadline=None)
@given(
    TASKS,
    st.sampled_from(["{}", '{{"tasks": {}}}', '{{"a": [1, {{"b": 2}}], "tasks": {}}}', "```json\n{}\n```", "So: {}."]),
    st.booleans(),
)
def test_every_task_of_a_good_plan_is_found(tasks: list[dict[str, object]], around: str, ascii_only: bool) -> None:
    found = read(around.format(json.dumps(tasks, ensure_ascii=ascii_only)))
    drafts = [each.model_dump(include={"title", "prompt", "needs"}) for each in found if isinstance(each, Draft)]
    assert drafts == tasks
    # An object in another array is looked at as well, and found to be no task.
    assert len(found) - len(drafts) == ('"b"' in around)


@given(TASKS.filter(bool), st.integers(0, 10**6))
def test_a_task_is_there_with_its_last_brace(tasks: list[dict[str, object]], which: int) -> None:
    text = json.dumps({"tasks": tasks})
    before = which % len(tasks)
    end = len(json.dumps({"tasks": tasks[: before + 1]})) - len("]}")
    assert len(read(text[: end - 1])) == before
    assert len(read(text[:end])) == before + 1


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{}", "prompt: Field required"),
        ('{"prompt": ""}', "prompt: String should have at least 1 character"),
        ('{"prompt": 5}', "prompt: Input should be a valid string"),
        ('{"prompt": "a", "needs": ["b"]}', "needs.0: "),
        ('{"prompt": "a" "b"}', "Invalid JSON"),
        ('{"prompt": "a\\q"}', "Invalid JSON"),
    ],
)
def test_what_is_no_task_says_why(written: str, problem: str) -> None:
    (found,) = read('{"tasks": [' + written + "]}")
    assert isinstance(found, str)
    assert problem in found


@pytest.mark.parametrize("pieces", [1, 7, 5000])
def test_an_object_without_an_end_is_not_kept(pieces: int) -> None:
    reader = DraftReader()
    assert reader.feed('{"tasks": [{"prompt": "') == []
    for _ in range(100):
        assert reader.feed("x" * pieces) == []
    assert sum(map(len, reader._object)) <= MAX_OBJECT_CHARACTERS
    (problem,) = reader.feed('"}') if pieces == 5000 else [""]
    assert isinstance(problem, str)
    if pieces == 5000:
        assert "characters long" in problem


@pytest.mark.parametrize(("least", "most"), [(1, 1), (2, 6), (3, 100)])
def test_every_string_and_array_of_the_schema_is_bounded(least: int, most: int) -> None:
    def check(schema: object) -> None:
        if isinstance(schema, list):
            for each in schema:
                check(each)
        if not isinstance(schema, dict):
            return
        if schema.get("type") == "string":
            assert "maxLength" in schema
        if schema.get("type") == "array":
            assert "maxItems" in schema
        if schema.get("type") == "object":
            assert schema["required"] == list(schema["properties"])
            assert schema["additionalProperties"] is False
        for each in schema.values():
            check(each)

    schema = plan_schema(least, most)
    check(schema)
    tasks = schema["properties"]["tasks"]  # type: ignore[index, call-overload]
    assert (tasks["minItems"], tasks["maxItems"]) == (least, most)  # type: ignore[index, call-overload]


@pytest.mark.parametrize(("field", "most"), [("title", 400), ("prompt", 8000), ("role", 400)])
def test_a_text_without_end_is_no_draft(field: str, most: int) -> None:
    assert Draft.model_validate({"prompt": "?", field: "x" * most})
    with pytest.raises(ValidationError):
        Draft.model_validate({"prompt": "?", field: "x" * (most + 1)})
