"""Votes by the log-probabilities of tokens: measures, filters, and samples that are cut off while they are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, Message, ModelSettings, RunResult, aggregators, planners
from contemplate.aggregators.token_confidence import Groups, confidence, threshold, token_confidence
from contemplate.errors import ConfigurationError
from contemplate.events import TaskDelta
from contemplate.journal import Journal
from contemplate.messages import TokenLogprob
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse, OpenAIModel
from contemplate.testing import ScriptedModel, providers
from contemplate.testing.providers import Provider, ProviderDialect
from contemplate.usage import Usage

from .patience import PATIENCE
from .support import Watched

pytestmark = pytest.mark.anyio

CONFIDENCES = st.lists(st.floats(0.5, 20), min_size=1, max_size=60)


def token(text: str, sure: float) -> TokenLogprob:
    """A token at which the confidence is `sure`."""
    return TokenLogprob(token=text, logprob=-0.25, top={text: -0.25, "other": 0.25 - 2 * sure})


def said(answer: str, *sure: float) -> ModelResponse:
    """An answer with a word for each confidence; the answer itself has the last one."""
    tokens = (*(token("word ", each) for each in sure[:-1]), token(f"\nAnswer: {answer}", sure[-1]))
    text = "".join(each.token for each in tokens)
    usage = Usage(calls=1, input_tokens=4, output_tokens=len(tokens))
    return ModelResponse(message=Message.assistant(text), finish="stop", usage=usage, model="m", logprobs=tokens)


def without(answer: str) -> ModelResponse:
    return said(answer, 1.0).model_copy(update={"logprobs": None})


def by_seed(*replies: ModelResponse) -> ScriptedModel:
    """Each sample has its own reply, in whatever order they are asked for."""
    return ScriptedModel(lambda request: replies[request.settings.seed or 0])


async def voted(model: Any, samples: int, *, stream: bool | None = None, stop: Any = None, **how: Any) -> Any:
    weights = aggregators.by_logprobs(**how)
    aggregator = aggregators.vote(weights=weights, stop=stop)
    mind = Contemplator(model, planner=planners.sample(samples), aggregator=aggregator, stream=stream)
    with anyio.fail_after(PATIENCE):
        return await mind.run("q")


# Measures


def test_confidence_at_a_token_is_the_mean_of_the_likeliest() -> None:
    """The sampled token may stand beside the likeliest ones."""
    found = TokenLogprob(token="d", logprob=-9.0, top={"a": -0.5, "b": -1.5, "c": -4.0, "d": -9.0})
    assert token_confidence(found, 2) == 1.0
    assert token_confidence(found, 3) == 2.0
    assert token_confidence(found, 20) == 15 / 4
    forbidden = TokenLogprob(token="a", logprob=0.0, top={"a": 0.0, "b": -math.inf, "c": -1e9})
    assert token_confidence(forbidden, 3) == pytest.approx(100 / 3)
    for top in ({}, {"a": -0.1}):
        assert token_confidence(TokenLogprob(token="a", logprob=-0.1, top=top), 5) is None


def test_measures() -> None:
    tokens = [token("x", each) for each in (8, 8, 2, 4, 8, 6)]

    def of(measure: Any, window: int = 2) -> float | None:
        return confidence(tokens, measure, window=window, top=5)

    assert of("lowest group") == 3
    assert of("tail") == 7
    assert of("mean") == 6
    assert of("lowest tenth") == 3
    assert of("lowest group", 1) == 2
    assert of("lowest group", 100) == of("lowest tenth", 100) == of("tail", 100) == 6, "it is one group"
    assert confidence([], "mean", window=2, top=5) is None
    assert confidence([TokenLogprob(token="x", logprob=0.0)], "tail", window=2, top=5) is None


def test_the_lowest_tenth_of_many_groups() -> None:
    tokens = [token("x", each) for each in range(1, 21)]
    assert confidence(tokens, "lowest tenth", window=1, top=5) == 1.5


@given(sure=CONFIDENCES, window=st.integers(1, 20), cut=st.integers(0, 60))
def test_the_lowest_group_only_falls_as_a_text_is_written(sure: list[float], window: int, cut: int) -> None:
    tokens = [token("x", each) for each in sure]
    groups = Groups(window, 5)
    groups.add(tokens[:cut])
    before = groups.lowest
    groups.add(tokens[cut:])
    assert groups.lowest <= before
    if len(tokens) >= window:
        assert confidence(tokens, "lowest group", window=window, top=5) == groups.lowest
        naive = min(sum(sure[i : i + window]) / window for i in range(len(sure) - window + 1))
        assert groups.lowest == pytest.approx(naive)


@given(CONFIDENCES, st.sampled_from([0.1, 0.25, 0.5, 0.9, 1.0]))
def test_the_threshold_keeps_the_share(confidences: list[float], keep: float) -> None:
    least = threshold(confidences, keep)
    assert least in confidences
    kept = sum(each >= least for each in confidences)
    above = sum(each > least for each in confidences)
    assert above < max(1.0, keep * len(confidences) + 1e-6) <= kept + 1


def test_the_threshold_of_ten() -> None:
    ten = [float(each) for each in range(10)]
    assert (threshold(ten, 0.9), threshold(ten, 0.1), threshold(ten, 0.11)) == (1.0, 9.0, 8.0)
    assert threshold([], 0.5) is None


# Weights


async def test_sure_answers_weigh_more_and_are_asked_for_their_log_probabilities() -> None:
    model = by_seed(said("1", 2), said("1", 2), said("2", 9))
    result = await voted(model, 3)
    assert (result.answer, result.votes) == ("2", {"2": 1, "1": 2})
    assert {each.settings.logprobs for each in model.requests} == {5}


@pytest.mark.parametrize("option", ["settings", "all_settings"])
async def test_what_a_user_says_of_log_probabilities_holds(option: str) -> None:
    model = by_seed(said("1", 2))
    aggregator = aggregators.vote(weights=aggregators.by_logprobs(top=3))
    given: Any = {option: ModelSettings(logprobs=20)}
    await Contemplator(model, planner=planners.sample(1), aggregator=aggregator, **given).run("q")
    assert model.requests[0].settings.logprobs == 20


@pytest.mark.parametrize(
    "wrap",
    [
        lambda vote: aggregators.by_kind(candidates=vote, others=aggregators.first()),
        lambda vote: aggregators.quorum(vote, enough=1),
    ],
)
async def test_around_a_vote_they_are_asked_for_as_well(wrap: Callable[[Any], Any]) -> None:
    model = by_seed(said("1", 2))
    aggregator = wrap(aggregators.vote(weights=aggregators.by_logprobs()))
    await Contemplator(model, planner=planners.sample(1), aggregator=aggregator).run("q")
    assert model.requests[0].settings.logprobs == 5


async def test_only_subagents_are_asked_for_them() -> None:
    def reply(request: ModelRequest) -> Any:
        return '{"same": true}' if request.output_schema else said(f"{request.settings.seed}", 2)

    model = ScriptedModel(reply)
    aggregator = aggregators.vote(weights=aggregators.by_logprobs(), by_meaning=True, stop=None)
    await Contemplator(model, planner=planners.sample(2), aggregator=aggregator).run("q")
    assert [each.settings.logprobs for each in model.requests] == [5, 5, None]


async def test_the_exact_stop_is_sound() -> None:
    """Five of weight 18 cannot be overtaken by four of at most 20."""
    replies = [*(said("1", 18) for _ in range(5)), *(said("2", 20) for _ in range(4))]
    result = await voted(by_seed(*replies), 9, stop="exact")
    assert (result.answer, result.complete) == ("1", True)
    close = await voted(by_seed(*[*(said("1", 10) for _ in range(5)), *(said("2", 20) for _ in range(4))]), 9)
    assert close.answer == "2"


async def test_no_vote_weighs_more_than_the_highest() -> None:
    replies = said("1", 40), said("2", 11), said("2", 11)
    assert (await voted(by_seed(*replies), 3)).answer == "2"
    assert (await voted(by_seed(*replies), 3, highest=50.0)).answer == "1"


async def test_without_log_probabilities_answers_weigh_little_and_that_is_told_once() -> None:
    result = await voted(by_seed(without("1"), without("1"), said("2", 2.5)), 3)
    assert result.answer == "2"
    (note,) = result.notes
    assert note.startswith("scripted gave no log-probabilities")
    alone = await voted(by_seed(without("1"), without("2"), without("2")), 3, keep=0.5, stop="exact")
    assert (alone.answer, alone.complete, len(alone.notes)) == ("2", True, 1)


@pytest.mark.parametrize("dialect", [providers.LLAMA_CPP, providers.GROQ], ids=lambda dialect: dialect.name)
async def test_over_the_wire_servers_that_give_none_are_told_of_once(dialect: ProviderDialect) -> None:
    """One imitation gives no alternatives, the other refuses to be asked."""
    with Provider(dialect, "Answer: 1") as server:
        model = OpenAIModel(server.model, base_url=server.url, api_key="k")
        result = await voted(model, 3)
    assert (result.answer, result.votes) == ("1", {"1": 3})
    (note,) = [each for each in result.notes if "no log-probabilities" in each]
    assert server.model in note


# Filters


async def test_only_the_surest_share_counts() -> None:
    replies = said("1", 4), said("1", 4), said("1", 4), said("2", 9)
    assert (await voted(by_seed(*replies), 4, stop="exact")).answer == "1"
    result = await voted(by_seed(*replies), 4, keep=0.25, stop="exact")
    assert (result.answer, result.votes, result.complete) == ("2", {"2": 1}, True)
    assert result.notes == (
        "answers that do not count, as their confidence is below 9.00: sample-1, sample-2, sample-3",
    )


@given(sure=st.lists(st.integers(2, 9), min_size=1, max_size=8), keep=st.sampled_from([0.1, 0.5, 0.9]))
def test_who_counts_does_not_depend_on_a_warmup_of_all(sure: list[int], keep: float) -> None:
    model = by_seed(*(said(str(each), each) for each in sure))
    least = threshold(map(float, sure), keep)
    assert least is not None
    for more in ({}, {"warmup": max(2, len(sure))}):
        aggregator = aggregators.vote(weights=aggregators.by_logprobs(keep=keep, **more), stop=None)  # type: ignore[arg-type]
        result = Contemplator(model, planner=planners.sample(len(sure)), aggregator=aggregator).run_sync("q")
        assert sum(result.votes.values()) == sum(each >= least for each in sure)


# Cut off in mid-stream


class Slow:
    """Samples up to `early` are answered at once; later ones wait for `go` after their first words, and write on."""

    name = "slow"

    def __init__(self, replies: Sequence[ModelResponse], early: int, last: Sequence[int] = ()) -> None:
        self._replies = replies
        self._early = early
        self._last = last
        self.written: dict[int, int] = {}

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        number = request.settings.seed or 0
        response = self._replies[number]
        assert on_delta is not None
        for place, each in enumerate(response.logprobs or ()):
            self.written[number] = place + 1
            on_delta(Delta(each.token))
            on_delta(Delta(logprobs=(each,)))
            for _ in range(1 if number < self._early else 40):
                await anyio.lowlevel.checkpoint()
        return response


@pytest.mark.parametrize("stream", [True, False])
async def test_who_falls_below_the_first_ones_is_cut_off_while_writing(stream: bool) -> None:
    early = [said("1", *[8.0] * 30), said("1", *[7.0] * 30)]
    later = [said("2", 9, 9, 9, *[1.0] * 60), said("1", *[7.5] * 30), said("2", 9, 9, *[2.0] * 60)]
    model = Slow([*early, *later], early=2)
    watched = Watched()
    weights = aggregators.by_logprobs(keep=0.9, warmup=2, window=4)
    aggregator = aggregators.vote(weights=weights, stop=None)
    mind = Contemplator(model, planner=planners.sample(5), aggregator=aggregator, on_event=watched, stream=stream)
    with anyio.fail_after(PATIENCE):
        result: RunResult[str] = await mind.run("q")
    assert (result.answer, result.votes, result.complete, result.missing) == ("1", {"1": 3}, True, ())
    outcomes = {each.id: each for each in result.tasks}
    assert [outcomes[f"sample-{n}"].outcome for n in (3, 4, 5)] == ["cancelled", "answered", "cancelled"]
    assert model.written[2] < 10, "not much after the first whole group below"
    assert model.written[4] < 10
    cut = outcomes["sample-3"]
    assert cut.text.startswith("word word")
    assert cut.usage.calls == 1
    assert 0 < cut.usage.output_tokens < 20, "what it had written is booked"
    assert result.usage.calls == 5
    assert sorted(result.notes) == [
        "'sample-3' was cut off: its confidence fell below 7.00",
        "'sample-5' was cut off: its confidence fell below 7.00",
    ]
    assert any(isinstance(event, TaskDelta) for event in watched.events) == stream
    watched.check()


async def test_who_was_unsure_before_that_was_known_is_cut_off_then() -> None:
    """The later sample has written its low group before the first ones are done, and hangs."""

    class Hanging(Slow):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            number = request.settings.seed or 0
            if number < 2:
                await written.wait()
                return await super().request(request, on_delta)
            assert on_delta is not None
            on_delta(Delta("abc", logprobs=tuple(token("x", 1) for _ in range(4))))
            written.set()
            await anyio.sleep_forever()
            raise AssertionError

    written = anyio.Event()
    model = Hanging([said("1", 8, 8, 8, 8, 8), said("1", 8, 8, 8, 8, 8)], early=2)
    result = await voted(model, 3, keep=0.5, warmup=2, window=4)
    assert (result.answer, [each.outcome for each in result.tasks]) == ("1", ["answered", "answered", "cancelled"])


async def test_it_is_told_once_who_is_cut_off() -> None:
    """A server may send several pieces at once, the last of them after the call was given up."""

    class AtOnce(Slow):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            if (request.settings.seed or 0) < 2:
                return await super().request(request, on_delta)
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert on_delta is not None
            for _ in range(8):
                on_delta(Delta("x", logprobs=(token("x", 1),)))
            await anyio.sleep_forever()
            raise AssertionError

    model = AtOnce([said("1", 8, 8, 8, 8, 8), said("1", 8, 8, 8, 8, 8)], early=2)
    result = await voted(model, 3, keep=0.5, warmup=2, window=4)
    assert result.notes == ("'sample-3' was cut off: its confidence fell below 8.00",)
    assert result.tasks[2].text == "x" * 8


async def test_who_is_done_before_that_is_known_does_not_count_either() -> None:
    """Whether it is cut off depends on time; whether it counts does not."""
    go = anyio.Event()
    replies = [said("1", 8), said("1", 8), *(said("2", 3) for _ in range(4))]

    async def reply(request: ModelRequest) -> ModelResponse:
        number = request.settings.seed or 0
        if number < 2:
            await go.wait()
        elif number == 5:
            go.set()
        return replies[number]

    result = await voted(ScriptedModel(reply), 6, keep=0.5, warmup=2, stop="exact")
    assert (result.answer, result.votes) == ("1", {"1": 2})


async def test_a_call_that_begins_again_is_judged_anew() -> None:
    class Twice:
        name = "twice"

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            number = request.settings.seed or 0
            assert on_delta is not None
            if number == 2:
                on_delta(Delta("x", logprobs=tuple(token("x", 1) for _ in range(3))))
                on_delta(Delta(restart=True))
            for each in replies[number].logprobs or ():
                on_delta(Delta(each.token, logprobs=(each,)))
                await anyio.lowlevel.checkpoint()
            return replies[number]

    replies = [said("1", 8, 8, 8, 8), said("1", 8, 8, 8, 8), said("1", 9, 9, 9, 9)]
    result = await voted(Twice(), 3, keep=0.5, warmup=2, window=4)
    assert result.votes == {"1": 3}


async def test_fewer_samples_than_a_warmup_are_a_vote() -> None:
    result = await voted(by_seed(said("1", 8), said("2", 3)), 2, keep=0.5, warmup=16, stop="exact")
    assert (result.answer, result.votes, result.complete) == ("1", {"1": 1}, True)


async def test_a_run_with_samples_cut_off_is_replayed_and_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "runs.db")
    early = [said("1", *[8.0] * 10), said("1", *[7.0] * 10)]
    model = Slow([*early, said("2", *[1.0] * 60), said("1", *[7.5] * 10)], early=2)
    weights = aggregators.by_logprobs(keep=0.9, warmup=2, window=4)
    aggregator = aggregators.vote(weights=weights, stop=None)
    mind = Contemplator(model, planner=planners.sample(4), aggregator=aggregator, journal=journal)
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q", run_id="r")
        replayed = await mind.replay("r")
        again = await mind.reaggregate("r")
    assert result.votes == replayed.votes == again.votes == {"1": 3}
    assert [each.outcome for each in replayed.tasks] == [each.outcome for each in result.tasks]
    assert replayed.tasks[0].logprobs == early[0].logprobs


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"window": 0}, "window=0"),
        ({"top": 1}, "top=1"),
        ({"top": 21}, "top=21"),
        ({"keep": 0.0}, "keep=0.0"),
        ({"keep": 1.5}, "keep=1.5"),
        ({"highest": 1.0}, "highest=1.0"),
        ({"warmup": 16}, "warmup=16"),
        ({"warmup": 1, "keep": 0.5}, "warmup=1"),
        ({"measure": "mean", "warmup": 16, "keep": 0.5}, "'mean'"),
    ],
)
def test_what_cannot_be_is_refused(how: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        aggregators.by_logprobs(**how)
    assert (raised.value.hint is not None) == ("warmup" in how)
    assert aggregators.by_logprobs(top=2, highest=1.1, window=1, keep=0.01)


def test_the_beta_stop_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="beta"):
        aggregators.vote(weights=aggregators.by_logprobs(), stop="beta")
