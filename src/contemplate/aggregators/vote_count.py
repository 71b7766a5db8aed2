"""The running count of a vote."""

from __future__ import annotations

from ..errors import ModelRefusalError, QuorumNotReached
from ..plan import Task
from ..result import Conclusion, Dissent, TaskResult
from ..run.answer_keys import bare_answer
from ..run.context import RunContext
from .certificate import Certificate
from .conclusions import conclusion_of, nothing_answered
from .consensus import Consensus
from .early_stopping import Ballot
from .weights import Selective, Weights


class Count:
    """The votes of one run.

    Attributes:
        ballot: the votes.
        seen: all counted results, including abstentions and failures.
        counted: number of counted answers, abstentions excluded.
        selection: which answers count; all if None.
    """

    def __init__(
        self,
        ctx: RunContext,
        weights: Weights | None,
        certificate: Certificate | None = None,
        consensus: Consensus | None = None,
    ) -> None:
        self.ballot = Ballot()
        self.seen: list[TaskResult] = []
        self.counted = 0
        self._supporters: dict[str, list[TaskResult]] = {}
        self._ctx = ctx
        self._weights = weights
        self._certificate = certificate
        self._consensus = consensus
        self._read = 0
        self._numbers: dict[str, int] = {}
        selective: object = weights
        self.selection = selective.selection(ctx, self.number_of) if isinstance(selective, Selective) else None

    @property
    def votes(self) -> dict[str, int]:
        """The number of votes for each of the strongest answers."""
        return {key: len(self._supporters[key]) for key in self.ballot.strongest}

    def launch(self) -> None:
        """Give each planned task a vote, in the order of the plan; a held task gets one when it is released."""
        for task in self._ctx.planned[self._read :]:
            if not task.held:
                self._number(task)
        self._read = len(self._ctx.planned)
        if self._ctx.expected is not None:
            self.ballot.launch(self._ctx.expected, heaviest=self._heaviest(None))

    def number(self, result: TaskResult) -> int:
        """Return the number of the vote of `result`, in the order of launch."""
        self.launch()
        return self._number(result.task)

    def number_of(self, task_id: str) -> int | None:
        """Return the number of the vote of a task; None if it has none."""
        self.launch()
        return self._numbers.get(task_id)

    def _number(self, task: Task) -> int:
        if task.id not in self._numbers:
            self._numbers[task.id] = len(self._numbers)
            self.ballot.launch(len(self._numbers), heaviest=self._heaviest(self._ctx.model_name(task)))
        return self._numbers[task.id]

    def _heaviest(self, model: str | None) -> float:
        return 1 if self._weights is None else self._weights.heaviest(model)

    def cast(self, result: TaskResult, key: str | None, weight: float) -> None:
        """Count a result; a key of None or a weight of 0 is an abstention, unless it failed or was cut short.

        A refusal is an abstention: it is known what the model says.

        Raises:
            ValueError: the weight is not finite, or exceeds the declared maximum.
        """
        number = self.number(result)
        if result.outcome in ("failed", "capped") and not _is_refusal(result):
            self.ballot.lose(number, cut_off=result.outcome == "capped")
        else:
            self.ballot.cast(number, key, weight)
        if self._certificate is not None:
            self._certificate.cast(number, key)
        if self._consensus is not None:
            self._consensus.cast(number, key, weight)
        self.seen.append(result)
        if key is not None and weight > 0:
            self.counted += 1
            self._supporters.setdefault(key, []).append(result)

    @property
    def suffices(self) -> bool:
        """Whether the leader is certified as the most probable answer, or there is a consensus on it."""
        certified = None if self._certificate is None else self._certificate.certified
        agreed = None if self._consensus is None else self._consensus.reached
        leader = self.ballot.leader()
        # Votes that came out of turn may have another leader: then this answer is not the one to conclude.
        return leader is not None and leader in (certified, agreed)

    def conclusion(self, *, quorum: int, complete: bool) -> Conclusion:
        """Return the winner, with its supporters and the dissent.

        Raises:
            QuorumNotReached: fewer than `quorum` answers were counted.
            AggregationError: no task was answered.
        """
        if self.selection is not None:
            self.selection.tell()
        winner = self.ballot.leader()
        if winner is None:
            answered = sum(result.answered for result in self.seen)
            if answered:
                condition = "" if self._weights is None else ", with a positive weight"
                raise QuorumNotReached(
                    f"none of the {answered} answers could be parsed by the vote's key function{condition}",
                    hint="ask for a parsable format, such as a last line 'Answer: ...', or pass another key=",
                )
            raise nothing_answered(self.seen)
        if self.counted < quorum:
            raise QuorumNotReached(f"{self.counted} answers were counted, but quorum={quorum} is required")
        support = sorted(self._supporters[winner], key=lambda result: result.index)
        dissent = tuple(
            Dissent(answer=key, tasks=tuple(result.id for result in supporters))
            for key, supporters in self._supporters.items()
            if key != winner
        )
        tasks = tuple(result.id for result in support)
        conclusion = conclusion_of(support[0], self._ctx, support=tasks, dissent=dissent, complete=complete)
        weights = self.ballot.votes
        others = sorted((key for key in self._supporters if key != winner), key=lambda key: -weights[key])
        votes = {key: len(self._supporters[key]) for key in (winner, *others)}
        return conclusion.model_copy(update={"answer": bare_answer(support[0], self._ctx), "votes": votes})


def _is_refusal(result: TaskResult) -> bool:
    return result.error is not None and result.error.kind == ModelRefusalError.__name__
