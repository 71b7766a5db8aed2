"""A run that a browser watches, and ends with a button or by closing the tab."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from contemplate import ContemplateError, Contemplator
from contemplate.errors import RunInProgress
from contemplate.events import OutputDelta, TaskFinished, TaskPlanned

PAGE = Path(__file__).with_name("streaming.html")


def create_app(mind: Contemplator) -> FastAPI:
    """Return the app; `mind` needs a journal."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with mind:  # Connections are kept between requests.
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(PAGE)

    @app.get("/ask", response_class=EventSourceResponse)
    async def ask(question: str, run_id: str) -> AsyncIterator[ServerSentEvent]:
        try:
            async with mind.stream(question, run_id=run_id) as run:
                async for event in run:
                    match event:
                        case TaskPlanned(task=task):
                            yield ServerSentEvent(event="progress", data=f"planned: {task.label}")
                        case TaskFinished(result=result):
                            yield ServerSentEvent(event="progress", data=f"{result.outcome}: {result.task.label}")
                        case OutputDelta(text=text, restart=restart):
                            yield ServerSentEvent(event="text", data={"text": text, "restart": restart})
            yield ServerSentEvent(event="answer", data=run.result.output)
        except RunInProgress:
            return  # Its connection broke, which the server has not noticed yet: the browser asks again in a moment.
        except ContemplateError as error:
            yield ServerSentEvent(event="failed", data=str(error))

    return app


if __name__ == "__main__":
    # Without a time, a server that is stopped waits for streams to end.
    uvicorn.run(create_app(Contemplator(journal="sqlite:///runs.db")), timeout_graceful_shutdown=5)
