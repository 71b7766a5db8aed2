"""What a run may take, before it is made."""

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

# A call's prompt beside the question, and its answer, in tokens: rough bounds, for want of a limit.
PROMPT = (20, 600)
ANSWER = (20, 1500)


class Range(Data):
    """From `low` to `high`; None is an open end."""

    low: float
    high: float | None


class Estimate(Data):
    """What a run may take: calls, tokens and USD.

    A rough range, without any call: planners and aggregators say how many calls they make (an open end is one that does
    not), an answer is taken for 20 to 1,500 tokens long where no setting says otherwise, and failed calls are not
    counted. `cost_usd` is None where the price is not known.
    """

    calls: Range
    input_tokens: Range
    output_tokens: Range
    cost_usd: Range | None


def estimated(parts: Parts, job: Job) -> Estimate:
    """What `job` may take, with these parts."""
    sized = parts.planner if isinstance(parts.planner, Sized) else None
    planning, tasks, most = (sized.calls, sized.tasks, sized.samples) if sized else ((0, None), (0, None), 1)
    agent = parts.agent.agent if isinstance(parts.agent, Sampled) else parts.agent
    each = agent.calls if isinstance(agent, Agent) else (1, None)
    longest = agent.max_tokens if isinstance(agent, Agent) else None
    concluding = getattr(parts.aggregator, "model_calls", None)
    # One result is passed on as it is; an agent that aggregates may be done after one call.
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
    # Beside the question, an answer is read by those who need it, and by the aggregator.
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

    def of(given: float | None, said: float | None) -> float | None:
        if given is None or said is None:
            return None
        return price.cost(Usage(input_tokens=int(given), output_tokens=int(said)))

    return Range(low=of(read.low, written.low) or 0.0, high=of(read.high, written.high))
