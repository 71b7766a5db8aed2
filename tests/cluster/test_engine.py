"""What is told of the engine, and what travels."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from contemplate import Budget, Limits, Message
from contemplate.cluster.engine.connection import JsonSerializer, use_own_log
from contemplate.cluster.submission import Submission, submission_of
from contemplate.errors import OutputError
from contemplate.journal import open_journal
from contemplate.run.output_type import OutputType
from contemplate.tools import Tool, external_tool


def test_what_the_engine_says_is_in_our_log_without_secrets(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    use_own_log()
    use_own_log()
    caplog.set_level(logging.DEBUG, "contemplate")
    log = logging.getLogger("dbos")
    log.warning("lost postgresql://me:secret-word@host/db\n(a hint for others)")
    try:
        raise ValueError("of a run")
    except ValueError:
        log.exception("it failed")
    said = [(each.levelname, each.getMessage()) for each in caplog.records if each.name == "contemplate"]
    assert [level for level, _ in said] == ["INFO", "DEBUG"]
    assert said[0][1].startswith("engine: lost postgresql://")
    assert "secret-word" not in said[0][1]
    assert "hint" not in said[0][1]
    assert capfd.readouterr().err == ""


def test_what_is_asked_travels_as_json_and_comes_back(tmp_path: Path) -> None:
    journal = open_journal(f"sqlite:///{tmp_path}/runs.db")
    history = [Message.user("before"), Message.assistant("indeed")]
    options = {"history": history, "seed": 0, "limits": Limits(calls=3), "labels": {"a": [1]}, "instructions": "short"}
    asked = submission_of("app:mind", "Why?", "q-1", options, journal)
    serializer = JsonSerializer()
    there = Submission.model_validate(serializer.deserialize(serializer.serialize(asked.as_json())))
    assert there == asked
    assert there.options("q-1", journal) == {
        "history": tuple(history),
        "instructions": {"subagent": "short"},
        "seed": 0,
        "limits": Limits(calls=3),
        "labels": {"a": [1]},
        "run_id": "q-1",
    }
    assert there.options_to_go_on(journal).keys() == {"instructions", "seed", "limits", "labels"}
    assert there.output_type is None


def test_tools_budgets_and_types_are_made_again_of_their_data(tmp_path: Path) -> None:
    name = f"sqlite:///{tmp_path}/runs.db"
    journal = open_journal(name)
    tool = external_tool("weather", "Tell it.", {"properties": {"city": {"type": "string"}}}, side_effects=True)
    budget = Budget("ann", cost_usd=5.0, calls=7, per="day", journal=name)
    schema = {"type": "object", "title": "place", "required": ["city"]}
    options = {"tools": [tool], "budget": budget, "output_schema": schema}
    asked = submission_of("app:mind", "Why?", "q-1", options, journal)
    there = Submission.model_validate_json(json.dumps(asked.as_json()))
    assert there == asked
    made = there.options("q-1", journal)
    (again,) = made["tools"]
    assert isinstance(again, Tool)
    assert vars(again).keys() == vars(tool).keys()
    assert [vars(again)[each] for each in ("name", "description", "parameters", "external", "side_effects")] == [
        vars(tool)[each] for each in ("name", "description", "parameters", "external", "side_effects")
    ]
    drawn = made["budget"]
    assert isinstance(drawn, tuple)
    assert (repr(drawn[0]), drawn[0].key) == (repr(budget), budget.key)
    # All runs of a worker draw from one object.
    assert drawn == there.options_to_go_on(journal)["budget"]
    assert OutputType[Any](there.output_type).parse('{"city": 1}') == {"city": 1}
    with pytest.raises(OutputError, match="required"):
        OutputType[Any](there.output_type).parse("{}")
