"""Estimates of calls, tokens and cost before a run."""

from __future__ import annotations

from .agents.agent import Agent
from .data import Data
from .messages import Message
from .models import ModelRequest, price_of
from .models.tokens import request_tokens
from .planners.sized import Sized
from .run.run import Job, Parts
from .samples import Sampled
from .usage import Usage

# (min, max) tokens of a call's prompt without the question, and of its answer: rough bounds for calls without a limit.
PROMPT = (20, 600)
ANSWER = (20, 1500)


class Range(Data):
    """A range from `low` to `high`; `high` is None if unbounded."""

    low: float
    high: float | None


class Estimate(Data):
    """Estimated calls, tokens and cost (USD) of a run.

    A rough range, made without any call: planners and aggregators declare how many calls they make (the range is
    unbounded if one does not), an answer is assumed to have 20 to 1,500 tokens unless the settings limit it, and failed
    calls are not counted. `cost_usd` is None if the price is unknown.
    """

    calls: Range
    input_tokens: Range
    output_tokens: Range
    cost_usd: Range | None


def estimated(parts: Parts, job: Job) -> Estimate:
    """Return the estimate of `job` with these parts."""
    sized = parts.planner if isinstance(parts.planner, Sized) else None
    planning, tasks, most = (sized.calls, sized.tasks, sized.samples) if sized else ((0, None), (0, None), 1)
    agent = parts.agent.agent if isinstance(parts.agent, Sampled) else parts.agent
    each = agent.calls if isinstance(agent, Agent) else (1, None)
    longest = agent.max_tokens if isinstance(agent, Agent) else None
    concluding = getattr(parts.aggregator, "model_calls", None)
    # A single result is returned without a call; an aggregating agent may finish after one call.
    merges_at_least = 1 if concluding and tasks[0] > 1 else 0
    low = planning[0] + tasks[0] * each[0] + merges_at_least
    high: float | None = None
    if planning[1] is not None and tasks[1] is not None and each[1] is not None and concluding is not None:
        high = planning[1] + tasks[1] * most * each[1] + concluding
    if job.limits.calls is not None:
        low, high = min(low, job.limits.calls), min(job.limits.calls, high or job.limits.calls)
    question = request_tokens(ModelRequest((Message.user(job.question, job.images),)))
    answer = longest or ANSWER[1]
    written = Range(low=low * min(ANSWER[0], answer), high=None if high is None else high * answer)
    # Answers are read again by dependent tasks and by the aggregator.
    read = Range(
        low=low * (question + PROMPT[0]),
        high=None if high is None else high * (question + PROMPT[1]) + 2 * (tasks[1] or 0) * answer,
    )
    return Estimate(
        calls=Range(low=low, high=high),
        input_tokens=read,
        output_tokens=written,
        cost_usd=_cost(parts, read, written),
    )


def _cost(parts: Parts, read: Range, written: Range) -> Range | None:
    price = price_of(parts.model)
    if price is None:
        return None

    def of(input_tokens: float | None, output_tokens: float | None) -> float | None:
        if input_tokens is None or output_tokens is None:
            return None
        return price.cost(Usage(input_tokens=int(input_tokens), output_tokens=int(output_tokens)))

    return Range(low=of(read.low, written.low) or 0.0, high=of(read.high, written.high))
