"""An OpenAI-compatible backend: contemplators behind `/v1/chat/completions`. Needs the extra `server`.

app, serving    the routes; uvicorn around them
answering       one request and its run, which ends when the client goes
replies         the two forms of a reply: streamed, and whole
pieces          the events of a run, as pieces of reasoning and of the answer
progress        the events of a run, as short lines for people
conversation    the messages of a request, as one question
problems        errors, in the API's form
wire            the bodies of the API, in and out
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import create_app
    from .serving import check_address, serve

__all__ = ["check_address", "create_app", "serve"]

_HOMES = {"create_app": ".app", "serve": ".serving", "check_address": ".serving"}
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
