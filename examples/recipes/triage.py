"""Messages of customers, sorted by a vote; each line of the log has the request's id and the run's."""

import sys
from typing import Literal

import anyio
import structlog
from pydantic import BaseModel

from contemplate import ContemplateError, Contemplator, Limits
from contemplate.models import Model

log = structlog.get_logger()


class Ticket(BaseModel):
    team: Literal["billing", "technical", "unknown"]


def configure_logs() -> None:
    """Write JSON lines, with what is bound around them."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ]
    )


def sorter(model: str | Model | None = None) -> Contemplator[Ticket]:
    """Return what sorts messages."""
    return Contemplator(model, mode="vote", output_type=Ticket, limits=Limits(calls=10, seconds=30))


async def triage(mind: Contemplator[Ticket], request_id: str, message: str) -> Ticket:
    """Return the team that a message goes to; a person looks at it where the models fail."""
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        try:
            result = await mind.run(f"Which team should read this message?\n\n{message}")
        except ContemplateError as error:
            log.warning("not_sorted", error=error.message)
            return Ticket(team="unknown")
        log.info("sorted", run_id=result.run_id, team=result.output.team, votes=result.votes)
        return result.output


if __name__ == "__main__":
    configure_logs()
    print(anyio.run(triage, sorter(), "r1", sys.argv[1]))
