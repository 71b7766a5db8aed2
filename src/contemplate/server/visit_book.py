"""The book of visits: each request gets an id, and is logged and counted when it is over."""

from __future__ import annotations

import logging
import re
from time import perf_counter
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api_errors import INTERNAL, server_error
from .error_forms import ErrorForms
from .metrics import ServerMetrics
from .request_limits import LIMITS_HEADER
from .settings import ServerSettings
from .visits import Visit

_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_log = logging.getLogger("contemplate.server")


class VisitBook:
    """ASGI middleware that gives each request and its answer an id, and logs and counts it when it is over.

    An error that nobody else answers is logged with the id, and answered.
    """

    def __init__(self, app: ASGIApp, forms: ErrorForms, metrics: ServerMetrics, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings
        self._forms = forms
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        visit = Visit(settings=self._settings, wanted=headers.get(LIMITS_HEADER, ""))
        if _SANE_ID.fullmatch(given := headers.get("x-request-id", "")):
            visit.id = given
        visit.enter(scope)
        began = perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", visit.id.encode())]
                visit.streams = any(value.startswith(b"text/event-stream") for _, value in headers)
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            _log.error("a request failed", exc_info=error, extra={"request": visit.id})
            if visit.status:
                raise
            failure = server_error(INTERNAL, code="internal_error")
            await self._forms.response(scope["path"], failure)(scope, receive, send_with_id)
        finally:
            self._write(scope, visit, perf_counter() - began)

    def _write(self, scope: Scope, visit: Visit, seconds: float) -> None:
        self._metrics.count(scope, visit, seconds)
        _say(visit, seconds, "%s %s %d", scope["method"], quote(scope["path"], safe="/:"), visit.status)


def write_run(metrics: ServerMetrics, visit: Visit, seconds: float) -> None:
    """Log and count the run of a visit whose request was over long before."""
    metrics.count_run(visit, seconds)
    if visit.outcome is not None:
        _say(visit, seconds, "run %s", visit.run_id)


def _say(visit: Visit, seconds: float, message: str, *words: object) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    said = {
        "request": visit.id,
        "key": visit.key and visit.key.name,
        "model": visit.model,
        "run": visit.run_id,
        "seconds": round(seconds, 3),
        "outcome": visit.outcome,
    }
    if visit.usage.calls:
        used = visit.usage
        said |= {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens, "cost_usd": used.cost_usd}
    _log.info(message, *words, extra=said)
