"""Errors: the tree is as it is drawn, and each survives a trip to another process with all that it carries."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Iterator

import anyio
import pytest

from contemplate import Contemplator, aggregators, errors, planners
from contemplate.errors import (
    AggregationError,
    ContemplateError,
    LimitExceeded,
    MissingDependencyError,
    ModelError,
    ModelRateLimitError,
    QuorumNotReached,
    error_info,
    sole,
)
from contemplate.result import ErrorInfo
from contemplate.testing import ScriptedModel

KINDS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
TRANSIENT = {"ModelConnectionError", "ModelTimeoutError", "ModelRateLimitError", "ModelServerError"}


def one(kind: type[ContemplateError]) -> ContemplateError:
    if issubclass(kind, ModelError):
        return kind("it broke", model="openai:m", hint="mend it", status=500, retry_after=2.5)
    if issubclass(kind, LimitExceeded):
        return kind("no room", limit="calls", hint="raise it")
    if issubclass(kind, MissingDependencyError):
        return kind("the server", "server")
    return kind("it broke", hint="mend it")


def drawn() -> dict[str, str]:
    """The tree of the module's docstring: each class and the one it hangs from."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = [(-1, "Exception")]
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([ |+-]*)([A-Z]\w+)(?: {2,}| |$)", line)
        if found is None:
            continue
        depth, name = len(found[1]), found[2]
        while path[-1][0] >= depth:
            path.pop()
        parents[name] = path[-1][1]
        path.append((depth, name))
    return parents


def test_the_tree_is_as_it_is_drawn() -> None:
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_can_be_pickled_and_copied(kind: type[ContemplateError]) -> None:
    error = one(kind)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_says_what_to_do(kind: type[ContemplateError]) -> None:
    error = one(kind)
    assert error.hint is not None
    assert str(error) == f"{error.message} ({error.hint})"
    assert (inspect.getdoc(kind) or "").startswith(("Raised ", "The base "))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, ModelError)])
def test_only_what_may_pass_is_transient(kind: type[ModelError]) -> None:
    assert kind.transient is (kind.__name__ in TRANSIENT)


def test_a_model_error_names_its_model() -> None:
    error = ModelRateLimitError("slow down", model="openai:m", status=429, retry_after=3)
    assert str(error) == "openai:m: slow down"
    assert (error.status, error.retry_after) == (429, 3)


def test_a_failed_run_survives_the_trip_with_what_was_paid_for() -> None:
    answers: Iterator[str | Exception] = iter(["Answer: 1", RuntimeError("down"), "Answer: 1"])
    mind = Contemplator(
        ScriptedModel(lambda _: next(answers)), planner=planners.sample(3), aggregator=aggregators.vote(quorum=3)
    )
    with pytest.raises(QuorumNotReached) as caught:
        mind.run_sync("q")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.partial == caught.value.partial
    assert sum(task.answered for task in again.partial.tasks) == 2


def test_a_group_of_one_is_its_member() -> None:
    inner = AggregationError("why", hint="do")
    assert sole(ExceptionGroup("a", [ExceptionGroup("b", [inner])])) is inner
    two = ExceptionGroup("a", [inner, ValueError("other")])
    assert sole(two) is two
    assert sole(inner) is inner
    assert error_info(ExceptionGroup("a", [inner])) == ErrorInfo(kind="AggregationError", message="why", hint="do")


def test_an_error_without_words_is_described_by_its_class() -> None:
    assert error_info(KeyError()) == ErrorInfo(kind="KeyError", message="KeyError()")


@pytest.mark.anyio
async def test_a_cancellation_is_described_without_the_event_loops_words() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as error:
            described = error_info(error)
            raise
    assert described.message == "it was cancelled"
