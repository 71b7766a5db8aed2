"""Arguments of a wrong kind: an error that names them, at once, at every public entry."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from contemplate import (
    Agent,
    Contemplator,
    Limits,
    ModelSettings,
    ask,
    ask_sync,
    checked,
    models,
    modes,
    planners,
    tool,
)
from contemplate import aggregators as agg
from contemplate.arguments import checked_arguments
from contemplate.errors import ConfigurationError
from contemplate.events import Event
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio

MODEL = ScriptedModel("x")
W: Any = Contemplator  # Wrong arguments are the point here.
P: Any = planners
G: Any = agg
M: Any = models
A: Any = Agent


def mind(**options: Any) -> Any:
    return W(MODEL, **options)


class Settings:
    """It has no field of the real one."""


OPTIONS: dict[str, list[Any]] = {
    "limits": [{}, {"calls": 1}, 5],
    "tools": [None, 5, [5], "x", {"a": 1}],
    "output_type": ["Foo", 5, None, Settings()],
    "settings": [{}, {"temperature": 1}, Settings()],
    "mode": [5, None, "vot"],
    "planner": [5, "sample"],
    "aggregator": [5, "vote"],
    "agent": [5, "x"],
    "instructions": [5, b"x"],
    "stream": ["yes", 1],
    "images_to": [5, "planner", ["nobody"]],
    "on_event": [5, "x"],
    "journal": [5, Settings()],
    "labels": [5, [1], {"a": object()}],
}

WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: W(5), "model"),
    *[
        (lambda name=name, value=value: mind(**{name: value}), name)
        for name, values in OPTIONS.items()
        for value in values
    ],
    *[(lambda value=value: mind().run_sync(value), "question") for value in (None, b"x", 5, ["x"])],
    (lambda: mind().estimate(None), "question"),
    *[
        (lambda name=name, value=value: mind().run_sync("q", **{name: value}), name)
        for name, value in (
            ("limits", {}),
            ("limits", 5),
            ("run_id", 5),
            ("images", None),
            ("images", "a.png"),
            ("images", [5]),
        )
    ],
    (lambda: mind(journal="memory:").replay_sync(5), "run_id"),
    (lambda: mind(journal="memory:").reaggregate_sync(5), "run_id"),
    (lambda: ask_sync(None, model=MODEL), "question"),  # type: ignore[call-overload]
    (lambda: ask_sync("q", model=5), "model"),  # type: ignore[call-overload]
    (lambda: ask_sync("q", model=MODEL, tools=None), "tools"),  # type: ignore[call-overload]
    *[(lambda value=value: P.sample(value), "n") for value in (2.5, True, "3", None)],
    (lambda: P.sample(3, models=5), "models"),
    (lambda: P.sample(3, strategies=5), "strategies"),
    (lambda: P.model(min_tasks="2"), "min_tasks"),
    (lambda: P.rounds(n=1.5), "n"),
    (lambda: P.direct(settings={}), "settings"),
    (lambda: P.router(5), "decompose"),
    (lambda: G.vote(stop="exakt"), "stop='exakt'): choose from 'exact', 'beta', 'certificate'"),
    (lambda: G.vote(stop=5), "stop"),
    (lambda: G.vote(key=5), "key"),
    (lambda: G.vote(confidence="high"), "confidence"),
    (lambda: G.vote(error="low"), "error"),
    (lambda: G.vote(quorum=2.5), "quorum"),
    (lambda: G.vote(weights=5), "weights"),
    (lambda: G.judge(model=5), "model"),
    (lambda: G.judge(settings={}), "settings"),
    (lambda: G.tournament(system="league"), "system='league'): choose from 'swiss', 'knockout'"),
    (lambda: G.tournament(rounds=2.5), "rounds"),
    (lambda: G.tournament(key=5), "key"),
    (lambda: G.tournament(model=5), "model"),
    (lambda: G.majority_of_bests(5), "score"),
    (lambda: G.majority_of_bests(len, subset=2.5), "subset"),
    (lambda: G.majority_of_bests(len, key=5), "key"),
    (lambda: G.quorum(5, enough=1), "inner"),
    (lambda: G.quorum(agg.first(), enough=1.5), "enough"),
    (lambda: G.check(5), "fn"),
    (lambda: G.by_kind(candidates=5, others=5), "candidates"),
    (lambda: G.by_accuracy({"x": "y"}), "accuracy"),
    (lambda: G.agentic(max_turns=2.5), "max_turns"),
    (lambda: G.synthesize(model=5), "model"),
    (lambda: A(tools=None), "tools"),
    (lambda: A(max_turns=2.5), "max_turns"),
    (lambda: A(context="3"), "context"),
    (lambda: checked(5, len), "agent"),  # type: ignore[arg-type]
    (lambda: checked(Agent(), 5), "check"),  # type: ignore[arg-type]
    (lambda: modes.council(5), "members"),  # type: ignore[arg-type]
    (lambda: M.Retry(5), "inner"),
    (lambda: M.Retry(MODEL, attempts="3"), "attempts"),
    (lambda: M.Hedge(5), "inner"),
    (lambda: M.Limit(MODEL, concurrency="3"), "concurrency"),
    (lambda: M.Fallback([5]), "models"),
    (lambda: G.vote(confidence=0.9), 'confidence=...) is for stop="beta"'),
    (lambda: G.vote(stop="beta", error=0.1), 'error=...) is for stop="certificate"'),
    (lambda: P.verified(lambda: True), "verifier=...) is called with 1 argument, but takes ()"),
    (lambda: P.verified(lambda question, result: True), "takes (question, result)"),
    (lambda: checked(Agent(), lambda: True), "check=...) is called with 1 argument"),  # type: ignore[arg-type, misc]
    (lambda: G.majority_of_bests(lambda: 1), "score=...) is called with 1 argument"),
    (lambda: G.vote(key=lambda a, b: "x"), "key=...) is called with 1 argument, but takes (a, b)"),
    (lambda: mind(planner=planners.sample), "planner=...) is called with 2 arguments, but takes (n)"),
    (lambda: mind(aggregator=agg.vote), "aggregator=...) is called with 3 arguments"),
    (lambda: mind(agent=Agent), "agent=...) is called with 2 arguments"),
    (lambda: mind(on_event=lambda: None), "on_event=...) is called with 1 argument"),
    (lambda: tool(5), "function"),  # type: ignore[call-overload]
    (lambda: tool(name=5)(len), "name"),  # type: ignore[call-overload]
]


def test_a_function_that_takes_more_than_it_is_given_is_called_with_what_there_is() -> None:
    for key in (str, len, lambda text, more=None: text, lambda *texts: texts[0]):
        G.vote(key=key)
    for planner in (planners.sample(2), lambda *given: None):
        mind(planner=planner)


@pytest.mark.parametrize(("call", "name"), WRONG)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_the_wrong_argument_is_named(call: Callable[[], object], name: str, anyio_backend: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert name in str(caught.value)


async def test_it_is_an_error_of_an_awaited_call_too() -> None:
    with pytest.raises(ConfigurationError, match="question"):
        await ask(None, model=MODEL)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="question"):
        async with mind().stream(b"q"):
            pass


def test_a_text_in_the_wrong_place_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        A(max_turns="sk-secret")
    assert "secret" not in str(caught.value)


def test_what_is_right_passes() -> None:
    mind(limits=Limits(calls=1), settings=ModelSettings(), tools=(), labels={"a": [1, None]}, on_event=print)
    for kind in (list[int], int | None, dict[str, float], Limits):
        mind(output_type=kind)
    planners.sample(2, models=[MODEL, "local:qwen2.5-coder-0.5b"])
    agg.vote(stop=None, key=len, weights=agg.by_confidence(temperature=1))
    agg.quorum(agg.vote(), required={"a"})


def test_a_missing_or_unknown_argument_is_pythons_own_error() -> None:
    @checked_arguments
    def f(a: int, *more: int, b: float = 1, **others: int) -> None:
        pass

    f(1, 2, b=2, c=3)
    with pytest.raises(TypeError, match="missing"):
        f()  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="more"):
        f(1, "2")  # type: ignore[arg-type]


async def heard(event: Event) -> None:
    """A listener that would never be awaited."""


class Listener:
    async def __call__(self, event: Event) -> None:
        """Nobody would wait for it either."""


@pytest.mark.parametrize("listener", [heard, Listener()])
def test_an_async_listener_is_refused(listener: Any) -> None:
    with pytest.raises(ConfigurationError, match="on_event is async"):
        mind(on_event=listener)


async def test_one_that_cannot_be_seen_to_be_async_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await mind(mode="instant", on_event=lambda event: heard(event)).run("q")
    assert "events do not wait" in caplog.text
