"""The tests that recipes show, run by pytest in a folder of their own, as somebody who copies them would."""

from __future__ import annotations

import shutil

import pytest
import structlog

from .pages import RECIPES

pytest_plugins = "pytester"


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> object:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(("of", "passed"), [("house_style", 1), ("triage", 2)])
def test_they_pass(of: str, passed: int, pytester: pytest.Pytester) -> None:
    for name in (of, f"test_{of}"):
        shutil.copy(RECIPES / f"{name}.py", pytester.path)
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=passed)
