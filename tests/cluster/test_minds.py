"""Contemplators by name."""

from __future__ import annotations

import pytest

from contemplate import Contemplator
from contemplate.cluster import minds, register
from contemplate.cluster.minds import mind_named
from contemplate.errors import ConfigurationError
from contemplate.testing import ScriptedModel

from . import stage


def test_a_contemplator_is_known_by_its_module_or_as_it_was_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minds, "_registered", {})
    mind = Contemplator(ScriptedModel("yes"))
    register("mine", mind)
    register("mine", mind)
    assert mind_named("mine") is mind
    assert mind_named("tests.cluster.stage:voters") is stage.voters
    with pytest.raises(ConfigurationError, match="there is one of that name"):
        register("mine", Contemplator(ScriptedModel("no")))
    with pytest.raises(ConfigurationError, match="a str"):
        register("other", "mine")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mine", "there is no contemplator 'mine'"),
        ("tests.nowhere:mind", "No module named 'tests.nowhere'"),
        ("tests.cluster.stage:nobody", "has no attribute 'nobody'"),
        ("tests.cluster.stage:STAGE", "is a Stage, not a Contemplator"),
        ("a b:c", "there is no contemplator"),
    ],
)
def test_a_name_that_means_nothing_is_told(name: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        mind_named(name)
