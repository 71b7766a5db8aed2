"""So much for each user and day: who has spent it is told so, and when there is more."""

from collections.abc import Callable
from email.utils import format_datetime
from typing import Annotated

import uvicorn
from fastapi import Body, Depends, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader
from pydantic import BaseModel

from contemplate import Budget, Contemplator
from contemplate.errors import LimitExceeded

USERS = {"key-of-alice": "alice", "key-of-bob": "bob"}


class Reply(BaseModel):
    answer: str
    complete: bool
    tokens_left: int | None


def current_user(key: Annotated[str, Depends(APIKeyHeader(name="X-Api-Key"))]) -> str:
    if key not in USERS:
        raise HTTPException(401, "there is no such key")
    return USERS[key]


def daily_budget(user: str) -> Budget:
    return Budget(f"user {user}", tokens=200_000, per="day", journal="sqlite:///budgets.db")


def create_app(mind: Contemplator, budget_of: Callable[[str], Budget] = daily_budget) -> FastAPI:
    app = FastAPI()

    @app.post("/ask")
    async def ask(question: Annotated[str, Body(embed=True)], user: Annotated[str, Depends(current_user)]) -> Reply:
        budget = budget_of(user)
        try:
            result = await mind.run(question, budget=budget)
        except LimitExceeded as error:
            ends = (await run_in_threadpool(budget.left)).ends
            if ends is None:
                raise HTTPException(402, error.message) from error
            headers = {"Retry-After": format_datetime(ends, usegmt=True)}
            raise HTTPException(429, f"{error.message}; there is more at {ends:%H:%M} UTC", headers) from error
        left = await run_in_threadpool(budget.left)
        return Reply(answer=result.output, complete=result.complete, tokens_left=left.tokens)

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(Contemplator()))
