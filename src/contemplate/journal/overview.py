"""The runs of a journal at a glance: what each was asked, what it cost, how it ended; searched, page by page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..data import Data
from .entries import Status
from .journal import Journal
from .patience import PATIENCE

# What is told of a run at a glance, as stores name it.
_COLUMNS = (
    *("run_id", "created", "question", "model", "status", "seconds", "calls", "input_tokens", "output_tokens"),
    *("cost_usd", "mode", "contemplator"),
)


class RunFilter(Data):
    """Which runs are wanted: those that fit all that is given.

    Args:
        text: what the question or the id contains, in whatever case.
        mode, model, status: what they are.
        least_cost: what they cost at least, in USD.
        client: the key for which they were made.
        served: whether only those are wanted that a server was asked.
    """

    text: str = ""
    mode: str = ""
    model: str = ""
    status: str = ""
    least_cost: float = Field(default=0.0, ge=0)
    client: str | None = None
    served: bool = False

    def holds(self, run: RunOverview) -> bool:
        """Return whether it is one of them."""
        said = f"{run.run_id}\n{run.question}".casefold()
        return (
            self.text.casefold() in said
            and self.mode in ("", run.mode)
            and self.model in ("", run.model)
            and self.status in ("", run.status)
            and (run.cost_usd or 0.0) >= self.least_cost
        )


class RunOverview(Data):
    """A run at a glance. `cost_usd` None: it is not known. `live`: its events come as they happen.

    `status` "killed": it was running, and no living process has it; whoever shows it has asked.
    """

    run_id: str
    question: str = ""
    model: str = ""
    mode: str = ""
    status: Status | Literal["killed"]
    created: float = 0.0
    seconds: float = 0.0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    live: bool = False


def overview(journal: Journal, wanted: RunFilter, *, skip: int = 0, most: int = 50) -> list[RunOverview]:
    """Return runs at a glance, the newest first: `most` of those that are wanted, after the first `skip`.

    Raises:
        JournalError: the journal cannot be read.
    """
    # Which rules there are is fixed here; what is searched for is never part of the query.
    rules = {
        "(instr(lower(question), lower(:text)) > 0 OR instr(run_id, :text) > 0)": wanted.text,
        "coalesce(mode, contemplator, '') = :mode": wanted.mode,
        "model = :model": wanted.model,
        "status = :status": wanted.status,
        "coalesce(cost_usd, 0) >= :least_cost": wanted.least_cost,
        "client = :client": wanted.client,
        "contemplator IS NOT NULL": wanted.served,
    }
    held = " AND ".join(rule for rule, value in rules.items() if value) or "TRUE"
    query = (
        f"SELECT {', '.join(_COLUMNS)} FROM ({journal.store.glances}) AS glances "  # noqa: S608
        f"WHERE {held} ORDER BY created DESC, run_id LIMIT :most OFFSET :skip"
    )
    values = {**wanted.model_dump(), "most": most, "skip": skip}
    rows = journal.store.read(lambda connection: connection.execute(query, values).fetchall(), PATIENCE)
    return [_overview(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def calls_recorded(journal: Journal, run_id: str) -> int:
    """Return the number of the last call that was recorded of a run, which grows with each; 0 if there is none.

    Raises:
        JournalError: the journal cannot be read.
    """
    query = "SELECT max(number) FROM calls WHERE run_id = ?"
    found = journal.store.read(lambda connection: connection.execute(query, (run_id,)).fetchone(), PATIENCE)
    return 0 if found is None else found[0] or 0


def _overview(row: dict[str, object]) -> RunOverview:
    mode = row.pop("mode") or row.pop("contemplator", None) or ""
    known = {name: value for name, value in row.items() if value is not None and name in RunOverview.model_fields}
    return RunOverview.model_validate({**known, "mode": mode})
