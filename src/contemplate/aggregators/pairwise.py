"""Comparisons of two candidates by a model, in both orders."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict

from ..agents.output import parse_with_repair, with_schema
from ..data import Data
from ..errors import ModelError, OutputError
from ..messages import TokenLogprob
from ..models import Model, ModelRequest, ModelResponse
from ..prompts import fence_mark, fenced
from ..result import TaskResult
from ..run.context import RunContext
from ..run.output_type import OutputType
from ..settings import ModelSettings
from .parallel import run_in_parallel

MAX_REPAIRS = 1

# What the one that is shown first scores.
_SCORES = {"1": 1.0, "2": 0.0, "equal": 0.5}
_VERDICT = re.compile(r'"better"\s*:\s*"?\s*(?=1|2|equal)', re.IGNORECASE)


class _Preference(Data):
    model_config = ConfigDict(extra="ignore")

    # The reason comes first, so that it can still change the verdict.
    reason: str
    better: Annotated[Literal["1", "2", "equal"], BeforeValidator(lambda said: str(said).strip().lower())]


_OUTPUT = OutputType(_Preference)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two candidates.

    Args:
        score: that of the first, from 0 to 1; the mean of both orders.
        failures: why there is no verdict, for each order without one. Without any, the comparison is a draw.
    """

    score: float
    failures: tuple[str, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether there was a verdict."""
        return len(self.failures) < 2


class PairJudge:
    """Has a model say which of two candidates is better.

    Args:
        question: the question that they answer.
        ctx: the run.
        model: the model; the run's if None.
        criteria: criteria of a good answer; correctness and completeness if None.
        settings: settings of the calls. With `logprobs`, a verdict is the expected score by the probabilities of what
            it could have been, if the model gives them.
    """

    def __init__(
        self,
        question: str,
        ctx: RunContext,
        model: str | Model | None,
        criteria: str | None,
        settings: ModelSettings,
    ) -> None:
        self._question = question
        self._ctx = ctx
        self._model = model
        self._criteria = criteria or ctx.prompts.render("judge_criteria")
        self._settings = settings

    async def compare(self, first: TaskResult, second: TaskResult) -> Comparison:
        """Compare two candidates in both orders at the same time.

        Raises:
            LimitExceeded: a limit does not allow a call.
        """
        there, back = await run_in_parallel([partial(self._score, first, second), partial(self._score, second, first)])
        scores = [each for each in (there, 1 - back if isinstance(back, float) else back) if isinstance(each, float)]
        failures = tuple(each for each in (there, back) if isinstance(each, str))
        return Comparison(sum(scores) / len(scores) if scores else _SCORES["equal"], failures)

    async def _score(self, first: TaskResult, second: TaskResult) -> float | str:
        """Return the score of who is shown first, or why there is none."""
        texts = [("candidate 1", first.text), ("candidate 2", second.text)]
        mark = fence_mark(texts)
        prompts = self._ctx.prompts
        user = prompts.render(
            "judge_pair",
            question=self._question,
            criteria=self._criteria,
            mark=mark,
            candidates=fenced(texts, mark),
        )
        messages = self._ctx.opening("aggregator", prompts.render("judge"), user)
        request = with_schema(ModelRequest(messages, self._settings), _OUTPUT)
        try:
            verdict, response = await parse_with_repair(
                await self._ask(request), request, self._ask, _OUTPUT, repairs=MAX_REPAIRS, prompts=prompts
            )
        except (ModelError, OutputError) as error:
            return error.message
        expected = expected_score(response.message.text, response.logprobs or ())
        return _SCORES[verdict.better] if expected is None else expected

    async def _ask(self, request: ModelRequest) -> ModelResponse:
        return await self._ctx.call("aggregator", request, model=self._model)


def expected_score(text: str, logprobs: Sequence[TokenLogprob]) -> float | None:
    """Return what the first candidate is expected to score by the probabilities of the verdict's first token.

    None if `logprobs` are not those of `text`, or name no alternative.

    Args:
        text: a verdict, as the model wrote it.
        logprobs: its tokens.
    """
    found = list(_VERDICT.finditer(text))
    start = "".join(each.token for each in logprobs).rfind(text)
    if not found or start < 0:
        return None
    place = start + found[-1].end()
    for each in logprobs:
        if place < len(each.token):
            return _expected(each, each.token[:place])
        place -= len(each.token)
    return None


def _expected(token: TokenLogprob, before: str) -> float | None:
    """Return the expected score by the alternatives of `token`, which all begin with `before`, such as a quote."""
    chances = {said: math.exp(logprob) for said, logprob in {token.token: token.logprob, **token.top}.items()}
    total = score = 0.0
    for said, chance in chances.items():
        verdict = said.removeprefix(before).strip(' "').lower()
        meant = next(
            (each for each in _SCORES if verdict and (each.startswith(verdict) or verdict.startswith(each))), None
        )
        if meant is not None:
            total += chance
            score += chance * _SCORES[meant]
    return score / total if total else None
