"""Weights of votes by the log-probabilities of the answers' tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..messages import TokenLogprob
from ..models import Delta
from ..result import TaskResult
from ..run.context import RunContext
from ..settings import ModelSettings
from .token_confidence import Groups, Measure, confidence, threshold
from .weights import Selection, Weights

# An answer without log-probabilities weighs so much: less than any with them, and as much as others without.
UNKNOWN = 1.0


@checked_arguments
def by_logprobs(
    measure: Measure = "lowest group",
    *,
    window: int = 64,
    top: int = 5,
    keep: float = 1.0,
    warmup: int | None = None,
    highest: float = 20.0,
) -> Weights:
    """Weigh votes by how sure the model was of its tokens, and leave out those of which it was least sure.

    The confidence at a token is the negative mean log-probability of the `top` likeliest ones; that of a group is its
    mean over the last `window` tokens. A vote asks for these log-probabilities by itself. An answer of a model that
    gives none weighs 1, less than any other, with a note.

    Deep Think with Confidence, Fu et al. 2025, https://arxiv.org/abs/2508.15260. Makes no calls.

    Args:
        measure: of an answer: the lowest group, the mean of the lowest tenth of all groups, the last group ("tail"), or
            the mean of all tokens.
        window: tokens of a group: about a quarter of a usual answer. The paper's traces have tens of thousands of
            tokens, and its groups 2,048.
        top: how many alternatives to ask for at each token; the paper's are 20.
        keep: the share of the answers that count, the surest ones; the others abstain. As that is known of no answer
            before the last, nothing is counted until then, unless there is a `warmup`.
        warmup: the first so many answers say from which confidence on all answers count. Those after them are cut off
            while they are written, as soon as they have fallen below; what they cost until then is paid.
        highest: the most that a vote weighs, which the exact stop needs.

    Raises:
        ConfigurationError: a number is out of range, or a `warmup` is given without `keep`, or with a measure that is
            not known before the end.
    """
    if window < 1 or not 2 <= top <= 20 or not 0 < keep <= 1 or not highest > UNKNOWN:
        raise ConfigurationError(
            f"by_logprobs({window=}, {top=}, {keep=}, {highest=}): window must be at least 1, top from 2 to 20, keep "
            f"above 0 and at most 1, and highest above {UNKNOWN:g}"
        )
    if warmup is not None and (warmup < 2 or keep == 1 or measure != "lowest group"):
        raise ConfigurationError(
            f"by_logprobs({measure!r}, {keep=}, {warmup=}): warmup must be at least 2, and goes with keep below 1 and "
            'with the measure "lowest group", which can only fall while an answer is written',
            hint='by_logprobs("lowest group", keep=0.9, warmup=16)',
        )
    return _ByLogprobs(measure, window, top, keep, warmup, highest)


class _ByLogprobs:
    def __init__(
        self, measure: Measure, window: int, top: int, keep: float, warmup: int | None, highest: float
    ) -> None:
        self.subagent_settings = ModelSettings(logprobs=top)
        self.measure: Measure = measure
        self.window = window
        self.top = top
        self.keep = keep
        self.warmup = warmup
        self._highest = highest

    def weigh(self, answer: Any, result: TaskResult) -> float:
        known = self.confidence_of(result.logprobs)
        return UNKNOWN if known is None else min(max(known, UNKNOWN), self._highest)

    def heaviest(self, model: str | None) -> float:
        return self._highest

    def confidence_of(self, tokens: Sequence[TokenLogprob] | None) -> float | None:
        """Return the confidence of an answer; None if nothing is known of its tokens."""
        return confidence(tokens or (), self.measure, window=self.window, top=self.top)

    def selection(self, ctx: RunContext, number_of: Callable[[str], int | None]) -> Selection:
        return _Selection(self, ctx, number_of)


class _Selection:
    """The answers of one vote that are sure enough."""

    def __init__(self, rule: _ByLogprobs, ctx: RunContext, number_of: Callable[[str], int | None]) -> None:
        self._rule = rule
        self._ctx = ctx
        self._number_of = number_of
        self._known = rule.keep == 1
        self._threshold: float | None = None
        self._held: list[TaskResult] = []
        self._writing: dict[str, Groups] = {}
        self._cut: set[str] = set()
        self._unsure: list[str] = []
        self._without: set[str | None] = set()
        if rule.warmup is not None:
            ctx.watch(self._hear)

    def add(self, result: TaskResult) -> Sequence[TaskResult]:
        """Add a result, and return those that can be counted now."""
        self._writing.pop(result.id, None)
        if result.answered and self._rule.confidence_of(result.logprobs) is None:
            self._tell_without(result)
        if self._known:
            return [result]
        self._held.append(result)
        warmup = self._rule.warmup
        warm = sum(self._is_warm(each) for each in self._held)
        return self.rest() if warmup is not None and warm == warmup else []

    def rest(self) -> Sequence[TaskResult]:
        """Return all results that were held back: no more are waited for."""
        held, self._held = self._held, []
        if not self._known:
            self._known = True
            warm = [self._rule.confidence_of(each.logprobs) for each in held if self._is_warm(each) and each.answered]
            self._threshold = threshold((each for each in warm if each is not None), self._rule.keep)
            for task_id, groups in list(self._writing.items()):
                self._cut_off(task_id, groups)
        return held

    def counts(self, result: TaskResult) -> bool:
        """Return whether a result is sure enough."""
        known = self._rule.confidence_of(result.logprobs)
        if known is None or self._threshold is None or known >= self._threshold:
            return True
        self._unsure.append(result.id)
        return False

    def tell(self) -> None:
        """Note whose answers did not count."""
        if self._unsure:
            names = ", ".join(sorted(self._unsure))
            self._ctx.note(f"answers that do not count, as their confidence is below {self._threshold:.2f}: {names}")

    def _is_warm(self, result: TaskResult) -> bool:
        return self._rule.warmup is None or self._is_early(result.id)

    def _is_early(self, task_id: str) -> bool:
        number = self._number_of(task_id)
        return number is None or number < (self._rule.warmup or 0)

    def _hear(self, task_id: str, delta: Delta) -> None:
        if delta.restart:
            self._writing.pop(task_id, None)
        if delta.logprobs and not self._is_early(task_id):
            groups = self._writing.setdefault(task_id, Groups(self._rule.window, self._rule.top))
            groups.add(delta.logprobs)
            self._cut_off(task_id, groups)

    def _cut_off(self, task_id: str, groups: Groups) -> None:
        if self._threshold is None or groups.lowest >= self._threshold or task_id in self._cut:
            return
        if self._ctx.interrupt(task_id):
            self._cut.add(task_id)
            self._ctx.note(f"{task_id!r} was cut off: its confidence fell below {self._threshold:.2f}")

    def _tell_without(self, result: TaskResult) -> None:
        if result.model not in self._without:
            self._without.add(result.model)
            self._ctx.note(
                f"{result.model} gave no log-probabilities with alternatives: its answers weigh {UNKNOWN:g}, less than "
                "any with them"
            )
