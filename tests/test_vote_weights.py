"""Votes that do not all weigh the same, and answers that say the same in other words."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from contemplate import (
    Agent,
    Answer,
    Contemplator,
    Limits,
    Message,
    ModelSettings,
    RunResult,
    Task,
    TaskContext,
    TaskResult,
    aggregators,
    answers,
    planners,
)
from contemplate.aggregators import Weights
from contemplate.aggregators.weights import stated_confidence
from contemplate.errors import AggregationError, ConfigurationError, ModelServerError, QuorumNotReached
from contemplate.journal import Journal
from contemplate.messages import TokenLogprob
from contemplate.models import ModelRequest, ModelResponse
from contemplate.run.protocols import AgentFunction, most_model_calls
from contemplate.testing import ScriptedModel
from contemplate.testing.scripted import Script
from contemplate.usage import Usage

from .test_aggregators import by_seed

pytestmark = pytest.mark.anyio


def said(answer: str, confidence: object) -> str:
    return f"Answer: {answer}\nConfidence: {confidence}"


async def weighed(*replies: str | Exception, weights: Weights, **how: object) -> RunResult[str]:
    aggregator = aggregators.vote(weights=weights, **how)  # type: ignore[arg-type]
    return await Contemplator(by_seed(*replies), planner=planners.sample(len(replies)), aggregator=aggregator).run("q")


# By confidence


async def test_confident_answers_weigh_more() -> None:
    replies = said("1", 10), said("1", 10), said("2", 95)
    assert (await weighed(*replies, weights=aggregators.by_confidence(temperature=0.2), stop=None)).support == (
        "sample-3",
    )
    mild = await weighed(*replies, weights=aggregators.by_confidence(temperature=5), stop=None)
    assert mild.support == ("sample-1", "sample-2")
    assert [(each.answer, each.tasks) for each in mild.dissent] == [("2", ("sample-3",))]


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("Answer: 7\nConfidence: 85", 0.85),
        ("Confidence: 0.85", 0.85),
        ("**Confidence:** 85 %", 0.85),
        ("my confidence is 8/10.", 0.8),
        ("Confidence: 1", 0.01),
        ("Confidence: 1.0", 1.0),
        ("Confidence: 100", 1.0),
        ("Confidence: 0", 0.0),
        ({"confidence": 1}, 0.01),
        ({"confidence": 1.0}, 1.0),
        ("Confidence: 1 %", 0.01),
        ("Confidence: 20\nNo: Confidence: 30", 0.3),
        ("Confidence: 850", None),
        ("Confidence: 12/10", None),
        ("Confidence: high", None),
        ("no word of it", None),
        ({"confidence": 0.5}, 0.5),
        ({"confidence": 50}, 0.5),
        ({"confidence": True}, None),
        ({"confidence": math.nan}, None),
        ({}, None),
        ("Confidence: 0,9", 0.9),
        ("Confidence: 87,5 %", 0.875),
        ("Confidence: 9 out of 10", 0.9),
        ("Confidence: 9 (out of 10)", 0.9),
        ("Confidence: 1000", None),
        ("Confidence: 0.12345678", 0.12345678),
        ("Confidence: 1.000.000", None),
    ],
)
def test_stated_confidence(text: object, confidence: float | None) -> None:
    found = stated_confidence(text)
    assert found == (None if confidence is None else pytest.approx(confidence))


async def test_without_a_confidence_a_vote_weighs_least() -> None:
    result = await weighed("Answer: 1", said("2", 60), weights=aggregators.by_confidence(), stop=None)
    assert result.support == ("sample-2",)


class Claim(BaseModel):
    holds: bool
    confidence: float


async def test_the_confidence_of_a_value() -> None:
    model = by_seed('{"holds": true, "confidence": 0.1}', '{"holds": false, "confidence": 0.9}')
    aggregator = aggregators.vote(key=answers.field("holds"), weights=aggregators.by_confidence(), stop=None)
    mind = Contemplator(model, planner=planners.sample(2), aggregator=aggregator, output_type=Claim)
    assert (await mind.run("q")).output == Claim(holds=False, confidence=0.9)


async def test_a_score_that_is_out_of_range() -> None:
    with pytest.raises(AggregationError, match="task 'sample-1' cannot be weighed: ValueError: a score of 7"):
        await weighed("Answer: 1", weights=aggregators.by_confidence(lambda text: 7.0))


async def test_a_score_function_that_raises() -> None:
    with pytest.raises(AggregationError, match="task 'sample-1' cannot be weighed: ZeroDivisionError"):
        await weighed("Answer: 1", weights=aggregators.by_confidence(lambda text: 1 / 0))


# By accuracy


def council(**replies: str) -> tuple[list[ScriptedModel], ScriptedModel]:
    models = [ScriptedModel(reply, name=name) for name, reply in replies.items()]
    return models, models[0]


async def test_a_model_that_is_right_more_often_weighs_more() -> None:
    models, usual = council(strong="Answer: 1", weak="Answer: 2", poor="Answer: 2")
    weights = aggregators.by_accuracy({"strong": 0.9, "weak": 0.6, "poor": 0.4})
    mind = Contemplator(
        usual, planner=planners.sample(3, models=models), aggregator=aggregators.vote(weights=weights, stop=None)
    )
    result = await mind.run("q")
    assert result.support == ("sample-1",)
    assert [each.tasks for each in result.dissent] == [("sample-2",)]


async def test_the_heaviest_decide_early() -> None:
    """Two strong ones agree, and the weak one, which never answers, could not change that."""

    async def never(request: ModelRequest) -> str:
        await anyio.sleep_forever()
        raise AssertionError

    strong = ScriptedModel("Answer: 1", name="strong")
    models = [strong, strong, ScriptedModel(never, name="weak")]
    weights = aggregators.by_accuracy({"strong": 0.9, "weak": 0.6})
    mind = Contemplator(strong, planner=planners.sample(3, models=models), aggregator=aggregators.vote(weights=weights))
    result = await mind.run("q")
    assert [task.outcome for task in result.tasks] == ["answered", "answered", "cancelled"]


async def test_nobody_has_a_vote() -> None:
    with pytest.raises(QuorumNotReached, match="with a positive weight"):
        await weighed("Answer: 1", weights=aggregators.by_accuracy({"other": 0.9}))


class Drawn:
    """Weights by what an answer says: a number after a slash."""

    def weigh(self, answer: object, result: TaskResult) -> float:
        return float(str(answer).partition("/")[2])

    def heaviest(self, model: str | None) -> float:
        return 4.0


def key_of(text: str) -> str:
    return text.partition("/")[0]


def winner_of(votes: Sequence[tuple[str, float]]) -> str | None:
    """The plain rule over all votes in the order of launch, as nobody would write it who had to be fast."""
    weights: dict[str, Fraction] = defaultdict(Fraction)
    for key, weight in votes:
        if weight:
            weights[key] += Fraction(weight)
    most = max(weights.values(), default=None)
    return next((key for key, weight in votes if weight and weights[key] == most), None)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0, 3.9, 4.0])), min_size=1, max_size=6
    ),
    st.randoms(use_true_random=False),
)
def test_the_exact_stop_of_a_weighted_vote(votes: list[tuple[str, float]], rng: object) -> None:
    """Whatever the weights and the order of arrival, the answer is that of the full vote."""
    order = list(range(len(votes)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    expected = winner_of(votes)

    async def run() -> RunResult[str]:
        came = [anyio.Event() for _ in order]

        async def script(request: ModelRequest) -> str:
            number = request.settings.seed or 0
            place = order.index(number)
            if place:
                await came[place - 1].wait()
            came[place].set()
            key, weight = votes[number]
            return f"{key}/{weight}"

        aggregator = aggregators.vote(key=key_of, weights=Drawn())
        return await Contemplator(
            ScriptedModel(script), planner=planners.sample(len(votes)), aggregator=aggregator
        ).run("q")

    if expected is None:
        with pytest.raises(QuorumNotReached):
            anyio.run(run)
    else:
        assert key_of(anyio.run(run).output) == expected


# By meaning

ALIKE = [{"paris", "paris france", "french capital"}, {"lyon", "lugdunum"}]


def compared(request: ModelRequest) -> tuple[str, str] | None:
    """The two answers that a judge is shown; None if it is no judge who is asked."""
    shown = re.findall(r"<<answer \d (\w+)>>\n(.*?)\n<<end \1>>", request.messages[-1].text, re.DOTALL)
    return (shown[0][1], shown[1][1]) if len(shown) == 2 else None


def meaning(*replies: str | Exception, verdict: str | Exception | None = None) -> ScriptedModel:
    def script(request: ModelRequest) -> str | Exception:
        pair = compared(request)
        if pair is None:
            return replies[request.settings.seed or 0]
        if verdict is not None:
            return verdict
        same = any(set(map(str.casefold, pair)) <= group for group in ALIKE)
        return '{"same": true}' if same else '{"same": false}'

    return ScriptedModel(script)


async def by_meaning(asked: ScriptedModel, n: int, **how: object) -> RunResult[str]:
    how = {"stop": None, **how}
    limits: Any = how.pop("limits", None)
    aggregator = aggregators.vote(by_meaning=True, **how)  # type: ignore[arg-type]
    mind = Contemplator(asked, planner=planners.sample(n), aggregator=aggregator, limits=limits)
    return await mind.run("Where?")


def pairs(model: ScriptedModel) -> list[tuple[str, str]]:
    return [pair for pair in map(compared, model.requests) if pair is not None]


async def test_other_words_are_one_answer() -> None:
    model = meaning("Lyon", "Paris", "French capital", "Lugdunum", "Paris France")
    result = await by_meaning(model, 5)
    assert result.output == "Paris"
    assert result.support == ("sample-2", "sample-3", "sample-5")
    assert [(each.answer, each.tasks) for each in result.dissent] == [("lyon", ("sample-1", "sample-4"))]
    assert pairs(model) == [
        ("Lyon", "Paris"),
        ("Lyon", "French capital"),
        ("Paris", "French capital"),
        ("Lyon", "Lugdunum"),
        ("Lyon", "Paris France"),
        ("Paris", "Paris France"),
    ]


async def test_the_same_key_is_never_asked_about() -> None:
    model = meaning("the Paris", "Paris.", "paris", "Lyon", "LYON")
    await by_meaning(model, 5)
    assert pairs(model) == [("the Paris", "Lyon")]


async def test_the_marked_answer_is_compared() -> None:
    model = meaning("I think hard.\nAnswer: Paris", "I do not.\nAnswer: French capital")
    result = await by_meaning(model, 2)
    assert pairs(model) == [("Paris", "French capital")]
    assert len(result.support) == 2


@pytest.mark.parametrize("verdict", [ModelServerError("down", model="m"), "well, perhaps"])
async def test_a_judge_that_fails_says_different(verdict: str | Exception) -> None:
    result = await by_meaning(meaning("Lyon", "Paris", "Paris", verdict=verdict), 3)
    assert result.support == ("sample-2", "sample-3")
    assert len(result.notes) == 1
    assert "count as different" in result.notes[0]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(4)))
def test_the_groups_do_not_depend_on_who_was_faster(order: list[int]) -> None:
    replies = ["Lyon", "Paris", "Lugdunum", "French capital"]

    async def run() -> tuple[RunResult[str], list[tuple[str, str]]]:
        came = [anyio.Event() for _ in order]
        judge = meaning()

        async def script(request: ModelRequest) -> str:
            number = request.settings.seed or 0
            if place := order.index(number):
                await came[place - 1].wait()
            came[place].set()
            return replies[number]

        mind = Contemplator(
            ScriptedModel(script),
            planner=planners.sample(4),
            aggregator=aggregators.vote(by_meaning=True, model=judge, stop=None),
        )
        return await mind.run("q"), pairs(judge)

    result, asked = anyio.run(run)
    assert result.support == ("sample-1", "sample-3")
    assert asked[0] == ("Lyon", "Paris")
    assert len(asked) == 4


async def test_it_stops_as_soon_as_it_is_decided() -> None:
    async def script(request: ModelRequest) -> str:
        if compared(request) is not None:
            return '{"same": true}'
        if request.settings.seed == 3:
            await anyio.sleep_forever()
        return ["Paris", "French capital", "Paris France"][request.settings.seed or 0]

    result = await by_meaning(ScriptedModel(script), 4, stop="exact")
    assert result.tasks[3].outcome == "cancelled"
    assert result.complete


async def test_no_room_for_asking() -> None:
    """What was not asked about counts by its key."""
    all_asked = anyio.Event()
    replies = meaning("Lyon", "Paris", "paris", "Lugdunum")

    async def script(request: ModelRequest) -> str:
        if compared(request) is None:
            if request.settings.seed == 3:
                all_asked.set()
            await all_asked.wait()
        return (await replies.request(request)).message.text

    result = await by_meaning(ScriptedModel(script), 4, limits=Limits(calls=5))
    assert result.support == ("sample-2", "sample-3")
    assert [each.tasks for each in result.dissent] == [("sample-1",), ("sample-4",)]
    assert (result.stopped_by, result.complete) == ("calls", False)


def test_what_limits_need_to_know() -> None:
    assert aggregators.vote().model_calls == 0
    assert [most_model_calls(aggregators.vote(by_meaning=True), n) for n in (0, 1, 2, 5)] == [0, 0, 1, 10]


@pytest.mark.parametrize(
    "make",
    [
        lambda: aggregators.vote(weights=aggregators.by_confidence(), stop="beta"),
        lambda: aggregators.vote(model="openai:x"),
        lambda: aggregators.vote(settings=ModelSettings(temperature=0)),
        lambda: aggregators.by_confidence(temperature=0),
        lambda: aggregators.by_confidence(highest=0),
        lambda: aggregators.by_confidence(temperature=1e-4),
        lambda: aggregators.by_accuracy({}),
        lambda: aggregators.by_accuracy({"m": 0.5}),
        lambda: aggregators.by_accuracy({"m": 1.0}),
    ],
)
def test_settings_that_make_no_sense(make: object) -> None:
    with pytest.raises(ConfigurationError):
        make()  # type: ignore[operator]


class ByLogprobs:
    """Weights by what only the whole result has: log-probabilities, and what the agent has noted."""

    def weigh(self, answer: object, result: TaskResult) -> float:
        assert result.logprobs is not None
        assert result.metadata == {"seen": answer}
        return math.exp(sum(each.logprob for each in result.logprobs))

    def heaviest(self, model: str | None) -> float:
        return 1.0


@pytest.mark.parametrize("nested", [False, True])
async def test_weights_by_log_probabilities_and_metadata(nested: bool) -> None:
    """They see the whole result; it comes out of journals, replays and runs within runs as it went in."""
    asked: list[bool] = []
    sure = {"Answer: 1": -2.0, "Answer: 2": -0.1}

    def script(request: ModelRequest) -> ModelResponse:
        text = "Answer: 2" if not any(asked) else "Answer: 1"
        asked.append(True)
        tokens = (TokenLogprob(token=text, logprob=sure[text], top={text: sure[text]}),)
        usage = Usage(calls=1, input_tokens=1, output_tokens=1)
        return ModelResponse(message=Message.assistant(text), finish="stop", usage=usage, model="m", logprobs=tokens)

    async def noting(task: Task, ctx: TaskContext) -> Answer:
        return replace(answered := await Agent()(task, ctx), metadata={"seen": answered.text})

    journal = Journal()
    agent: AgentFunction = noting
    if nested:
        agent = Contemplator(ScriptedModel(script), mode="instant", agent=noting)

    def mind(script: Script | list[ModelResponse]) -> Contemplator[str]:
        vote = aggregators.vote(weights=ByLogprobs(), stop=None)
        return Contemplator(
            ScriptedModel(script), planner=planners.sample(3, seed=0), agent=agent, aggregator=vote, journal=journal
        )

    runs = (lambda: mind(script).run("q", run_id="r"), lambda: mind([]).replay("r"), lambda: mind([]).reaggregate("r"))
    for again in runs:
        result = await again()  # type: ignore[no-untyped-call]
        assert result.text == "Answer: 2", "one that is sure weighs more than two that are not"
        assert all(each.logprobs and each.metadata == {"seen": each.text} for each in result.tasks)
    stored = await mind([]).run("q", run_id="r")
    assert [each.logprobs for each in stored.tasks] == [each.logprobs for each in result.tasks]


async def test_metadata_that_is_not_json_is_the_agents_error() -> None:
    with pytest.raises(TypeError, match=r"Answer\(metadata=...\) is not JSON"):
        Answer("a", metadata={"a": object()})  # type: ignore[dict-item]


@pytest.mark.parametrize("option", [{"model": ScriptedModel("")}, {"settings": ModelSettings()}])
def test_what_compares_meanings_is_refused_without_that(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="requires by_meaning=True") as caught:
        aggregators.vote(**option)
    assert caught.value.hint == "pass by_meaning=True"
