"""The viewer's routes: its page, the list of runs, the events of one, and what is decided of calls that wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ...data import Text
from ...decisions import Approved, Decision, Denied
from ...journal.overview import RunFilter
from ..api_errors import RequestError, invalid_body, invalid_request
from ..request_body import read_json
from ..settings import ServerSettings
from ..visits import Visit
from .page import page_file, page_response, page_with
from .shown_runs import ShownRuns

LINES = "application/x-ndjson"
MOST_LISTED = 200
_WANTED = ("text", "mode", "model", "status", "least_cost")


class DecisionRequest(BaseModel):
    """What is decided of a tool call for which a run waits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    call: Text = Field(min_length=1)
    decision: Literal["approve", "deny"]
    reason: Text = ""


class Decided(BaseModel):
    """The run goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str


class ViewerRoutes:
    """The routes.

    Args:
        shown: the runs.
        settings: the server's.
    """

    def __init__(self, shown: ShownRuns, settings: ServerSettings) -> None:
        self._shown = shown
        self._settings = settings

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/", self._page("index.html")),
            Route("/viewer.js", self._page("viewer.js")),
            Route("/viewer.css", self._page("viewer.css")),
            Route("/viewer/runs", self._list),
            Route("/viewer/runs/{run_id}/events", self._events),
            Route("/viewer/runs/{run_id}/page", self._export),
            Route("/viewer/runs/{run_id}/decisions", self._decide, methods=["POST"]),
        ]

    def _page(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        page_file(name)

        async def page(request: Request) -> Response:
            return page_response(name)

        return page

    async def _list(self, request: Request) -> Response:
        client = self._client(request)
        given = request.query_params
        try:
            said = {name: given[name] for name in _WANTED if given.get(name)}
            wanted = RunFilter.model_validate({**said, "client": client})
        except ValidationError as error:
            raise invalid_body(error) from None
        skip, most = _number(given.get("skip"), 0), min(_number(given.get("most"), 50), MOST_LISTED)
        page = await self._shown.page(wanted, skip, most)
        return Response(page.model_dump_json(), media_type="application/json")

    async def _events(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        after = _number(request.query_params.get("after"), 0)
        lines = await self._shown.lines(run_id, self._client(request), after)
        if lines is None:
            raise _no_such_run(run_id)
        return StreamingResponse(lines, media_type=LINES, headers={"cache-control": "no-store"})

    async def _export(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        found = await self._shown.whole(run_id, self._client(request))
        if found is None:
            raise _no_such_run(run_id)
        question, lines = found
        name = quote(f"run-{run_id}.html", safe="")
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}", "x-content-type-options": "nosniff"}
        return Response(page_with(lines, question), media_type="text/html; charset=utf-8", headers=headers)

    async def _decide(self, request: Request) -> Response:
        client, run_id = self._client(request), request.path_params["run_id"]
        try:
            body = DecisionRequest.model_validate_json(await read_json(request, self._settings))
        except ValidationError as error:
            raise invalid_body(error) from None
        decision: Decision = Approved() if body.decision == "approve" else Denied(body.reason)
        refused = await self._shown.decide(run_id, client, {body.call: decision}, Visit.of(request.scope))
        if refused is not None:
            raise invalid_request(refused)
        return Response(Decided(run_id=run_id).model_dump_json(), media_type="application/json")

    def _client(self, request: Request) -> str | None:
        """Return the key whose runs are shown; None for those of all.

        Raises:
            RequestError: a page of another origin asks.
        """
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            raise invalid_request("the viewer answers its own page only", status=403)
        return Visit.of(request.scope).client if self._shown.served else None


def _number(given: str | None, default: int) -> int:
    return int(given) if given is not None and given.isascii() and given.isdigit() and len(given) < 10 else default


def _no_such_run(run_id: str) -> RequestError:
    return invalid_request(f"there is no run {run_id!r}", status=404)
