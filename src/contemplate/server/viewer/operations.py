"""What the viewer's page asks for, as the OpenAPI document tells it."""

from __future__ import annotations

from ..chat.schema import ErrorBody
from ..openapi import Json, Operation
from .routes import LINES, Decided, DecisionRequest
from .shown_runs import RunPage

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer", "minimum": 0}
_WANTED: dict[str, Json] = {
    **dict.fromkeys(("text", "mode", "model", "status"), _TEXT),
    "least_cost": {"type": "number", "minimum": 0},
}

OPERATIONS = (
    Operation("GET", "/", "Show runs in a browser", "text/html", needs_key=False),
    Operation("GET", "/viewer.js", "The script of that page", "text/javascript", needs_key=False),
    Operation("GET", "/viewer.css", "The style of that page", "text/css", needs_key=False),
    Operation(
        "GET",
        "/viewer/runs",
        "List runs",
        RunPage,
        error=ErrorBody,
        errors=(400, 403),
        query={**_WANTED, "skip": _NUMBER, "most": _NUMBER},
    ),
    Operation(
        "GET",
        "/viewer/runs/{run_id}/events",
        "Tell the events of a run, as lines of JSON",
        LINES,
        error=ErrorBody,
        errors=(403, 404),
        query={"after": _NUMBER},
    ),
    Operation(
        "GET",
        "/viewer/runs/{run_id}/page",
        "Return a run as a page of one file",
        "text/html",
        error=ErrorBody,
        errors=(403, 404),
    ),
    Operation(
        "POST",
        "/viewer/runs/{run_id}/decisions",
        "Decide on a tool call for which a run waits",
        Decided,
        DecisionRequest,
        error=ErrorBody,
        errors=(400, 403, 408, 413, 415),
    ),
)
