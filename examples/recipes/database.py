"""A tool that asks a database, over the connection of the request and for its user only."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import aiosqlite
import uvicorn
from fastapi import Body, Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse

from contemplate import ContemplateError, Contemplator, ToolContext

DATABASE = "shop.db"


@dataclass
class Deps:
    user: str
    db: aiosqlite.Connection


async def orders(ctx: ToolContext[Deps], year: int) -> list[str]:
    """Return what the customer ordered in a year."""
    query = "SELECT item FROM orders WHERE user = ? AND year = ?"
    rows = await ctx.deps.db.execute_fetchall(query, (ctx.deps.user, year))
    return [item for (item,) in rows]


async def connection() -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(DATABASE) as db:
        yield db


def create_app(mind: Contemplator) -> FastAPI:
    """Return the app; `mind` has the tool."""
    app = FastAPI()

    @app.exception_handler(ContemplateError)
    async def failed(request: Request, error: ContemplateError) -> JSONResponse:
        return JSONResponse({"detail": error.message}, status_code=502)

    @app.post("/ask")
    async def ask(
        question: Annotated[str, Body(embed=True)],
        user: Annotated[str, Header()],
        db: Annotated[aiosqlite.Connection, Depends(connection)],
    ) -> str:
        return (await mind.run(question, deps=Deps(user, db))).output

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(Contemplator(mode="thinking", tools=[orders])))
