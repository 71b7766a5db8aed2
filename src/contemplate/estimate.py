"""Estimates of calls, tokens and cost before a run."""

from __future__ import annotations

from collections.abc import Collection

from .agents.agent import Agent
from .agents.self_refine import Refined
from .data import Data
from .messages import Message
from .models import Model, ModelRequest, price_of, resolve
from .models.tokens import request_tokens
from .planners.planner_size import Sized, Span
from .run.protocols import likely_model_calls, models_of, more_tasks, most_model_calls
from .run.run import Job, Parts
from .samples import Sampled
from .usage import Price, Usage

# (min, max) tokens of a call's prompt without the question, and of its answer: rough bounds for calls without a limit.
PROMPT = (20, 600)
ANSWER = (1, 1500)
# A token has three bytes by estimate, so that limits hold; a long word of nine may be one.
FEWEST = 1 / 3


class Range(Data):
    """A range from `low` to `high`; `high` is None if unbounded."""

    low: float
    high: float | None


class Estimate(Data):
    """Estimated calls, tokens and cost (USD) of a run.

    A rough range, made without any call: planners and aggregators declare how many calls they make (the range is
    unbounded if one does not), an answer is assumed to have at most 1,500 tokens unless the settings limit it, and
    failed calls are not counted. `likely_calls` is the range of most runs, without repairs. Where there are several
    models, `cost_usd` goes from all calls by the cheapest to all by the dearest of them. It is None if the price of one
    is unknown; then `notes` say of which.
    """

    calls: Range
    likely_calls: Range
    input_tokens: Range
    output_tokens: Range
    cost_usd: Range | None
    notes: tuple[str, ...] = ()


def estimated(parts: Parts, job: Job) -> Estimate:
    """Return the estimate of `job` with these parts."""
    sized = parts.planner if isinstance(parts.planner, Sized) else None
    planning: Span = sized.calls if sized else (0, None)
    tasks: Span = sized.tasks if sized else (0, None)
    agent = parts.agent.agent if isinstance(parts.agent, Sampled) else parts.agent
    times = 1
    if isinstance(agent, Refined):
        # One that finds nothing to change in its answer is asked no more.
        times, agent = 1 + agent.times, agent.agent
    each: Span = (1, None)
    if isinstance(agent, Agent):
        least, most_each = agent.calls
        each = least + (times > 1), most_each * times
    longest = agent.max_tokens if isinstance(agent, Agent) else None
    concluding, again = most_model_calls(parts.aggregator, tasks[1]), more_tasks(parts.aggregator)
    # Who makes the more calls the more answers there are makes none if all are equal.
    comparing = concluding != most_model_calls(parts.aggregator, 1)
    # A single result is returned without a call; an aggregating agent may finish after one call.
    merges_at_least = 1 if concluding and tasks[0] > 1 and not comparing else 0
    # Who makes no call to conclude may do so from the first answers.
    low: float = planning[0] + (tasks[0] if concluding else min(1, tasks[0])) * each[0] + merges_at_least
    high: float | None = None
    if planning[1] is not None and tasks[1] is not None and each[1] is not None and concluding is not None:
        samples, repairs = (sized.samples, sized.repairs) if sized else (1, 0)
        typed = agent.max_repairs if isinstance(agent, Agent) and parts.output is not None else 0
        high = planning[1] + tasks[1] * samples * (each[1] + times * max(repairs, typed)) + concluding
        # What an aggregator asks again is answered in text, once.
        high += again * each[1]
    merges = again * each[0] + (likely_model_calls(parts.aggregator, tasks[1]) or 0)
    likely = _likely(sized, each[0], merges_at_least, merges, Range(low=low, high=high))
    if job.limits.calls is not None:
        most = job.limits.calls
        low, high = min(low, most), min(most, high or most)
        likely = Range(low=min(likely.low, most), high=min(most, likely.high or most))
    question = request_tokens(ModelRequest((*job.history, Message.user(job.question, job.images))))
    answer = longest or ANSWER[1]
    written = Range(low=low * min(ANSWER[0], answer), high=None if high is None else high * answer)
    # Answers are read again by dependent tasks and by the aggregator.
    read = Range(
        low=int(low * (question + PROMPT[0]) * FEWEST),
        high=None if high is None else high * (question + PROMPT[1]) + 2 * ((tasks[1] or 0) + again) * times * answer,
    )
    models = models_in(parts, tasks[1])
    unknown = dict.fromkeys(each.name for each in models if price_of(each) is None)
    prices = [price for each in models if (price := price_of(each)) is not None]
    return Estimate(
        calls=Range(low=low, high=high),
        likely_calls=likely,
        input_tokens=read,
        output_tokens=written,
        cost_usd=None if unknown else _cost(prices, read, written),
        notes=tuple(f"the price of {name} is not known" for name in unknown),
    )


def _likely(sized: Sized | None, each: int, merges_at_least: int, merges: int, bounds: Range) -> Range:
    """Return the calls of most runs, in which nothing is repaired, and each task is one call."""
    if sized is None:
        return bounds
    if sized.likely is not None:
        low, high = sized.likely
    elif sized.tasks[1] is not None:
        low, high = sized.calls[0] + sized.tasks[0] * each, sized.calls[0] + sized.tasks[1] * each
    else:
        return bounds
    return Range(low=max(bounds.low, low + merges_at_least), high=high + merges)


def models_in(parts: Parts, tasks: int | None) -> tuple[Model, ...]:
    """Return the models that a run with these parts may call, as far as they say, to conclude from so many tasks.

    Raises:
        ConfigurationError: one of them does not exist, or cannot be set up.
    """
    # An agent has the model of its task, unless it names another.
    named = [
        *(each for each in models_of(parts.agent) if each is not None),
        *models_of(parts.planner),
        *(() if most_model_calls(parts.aggregator, tasks) == 0 else models_of(parts.aggregator)),
    ]
    return tuple(parts.model if each is None else resolve(each) for each in {id(each): each for each in named}.values())


def _cost(prices: Collection[Price], read: Range, written: Range) -> Range:
    def of(input_tokens: float, output_tokens: float) -> list[float]:
        usage = Usage(input_tokens=int(input_tokens), output_tokens=int(output_tokens))
        return [each.cost(usage) for each in prices]

    high = None if read.high is None or written.high is None else max(of(read.high, written.high))
    return Range(low=min(of(read.low, written.low)), high=high)
