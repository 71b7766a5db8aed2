"""What is told of the engine, and what travels."""

from __future__ import annotations

import logging

import pytest

from contemplate import Limits, Message
from contemplate.cluster.engine.connection import JsonSerializer, use_own_log
from contemplate.cluster.submission import Submission, submission_of


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


def test_what_is_asked_travels_as_json_and_comes_back() -> None:
    history = [Message.user("before"), Message.assistant("indeed")]
    options = {"history": history, "seed": 0, "limits": Limits(calls=3), "labels": {"a": [1]}, "instructions": "short"}
    asked = submission_of("app:mind", "Why?", "q-1", options)
    serializer = JsonSerializer()
    there = Submission.model_validate(serializer.deserialize(serializer.serialize(asked.as_json())))
    assert there == asked
    assert there.options("q-1") == {
        "history": tuple(history),
        "instructions": {"subagent": "short"},
        "seed": 0,
        "limits": Limits(calls=3),
        "labels": {"a": [1]},
        "run_id": "q-1",
    }
    assert there.options_to_go_on().keys() == {"instructions", "seed", "limits", "labels"}
