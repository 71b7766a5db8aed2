"""An OpenAI-compatible backend: contemplators behind `/v1/chat/completions`. Needs the extra `server`.

uvicorn_server     the server on a port, until a signal stops it
app                the routes
request_handler    one request and its run, which ends when the client goes
conversation       the messages of a request: a question, and the conversation before it
deltas             the events of a run, as what they add to the reasoning and to the answer
replies            the two forms of a reply: streamed, and whole
api_errors         errors, in the API's form
chat_schema        the bodies of the API, in and out
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import create_app
    from .uvicorn_server import check_address, serve

__all__ = ["check_address", "create_app", "serve"]

_HOMES = {"create_app": ".app", "serve": ".uvicorn_server", "check_address": ".uvicorn_server"}
_NEEDED = ("starlette", "uvicorn")


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(_HOMES[name], __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        from ..errors import MissingDependencyError

        raise MissingDependencyError("contemplate.server", "server") from error
