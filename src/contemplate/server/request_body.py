"""The body of a request: how it is read, and how much of it, and for how long."""

from __future__ import annotations

import anyio
from starlette.requests import Request

from .api_errors import invalid_request
from .settings import MIB, ServerSettings


async def read_json(request: Request, settings: ServerSettings) -> bytes:
    """Return the body of `request`, which is said to be JSON.

    Raises:
        RequestError: it is said to be something else, it is too large, or it takes too long.
        ClientDisconnect: the client went.
    """
    # A web page can send text or a form to any address without being asked, but not JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise invalid_request("the request's Content-Type must be application/json", status=415)
    seconds = settings.body_seconds
    try:
        with anyio.fail_after(seconds):
            return await _read(request, settings.max_body_bytes)
    except TimeoutError:
        raise invalid_request(f"the body did not come within {seconds:g} seconds", status=408) from None


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise invalid_request(f"the body is larger than {most / MIB:g} MiB", status=413, code="request_too_large")
    return bytes(body)
