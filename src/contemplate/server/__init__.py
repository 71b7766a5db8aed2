"""A backend for clients of OpenAI and Anthropic: contemplators behind their APIs. Needs the extra `server`.

uvicorn_server     the server on a port, until a signal stops it
app                the routes
chat               chat completions: bodies, and replies
responses          the Responses API, and conversations that the server keeps
messages           Anthropic's Messages: bodies, and replies
model_names        the names by which clients ask for contemplators
asgi_run           one request and its run, which ends when the client goes
served             how much is thought about a request: efforts, and small calls
asked              what a client asks, in whatever dialect, and how it is told of the answer
questions          the messages of a request, as a question and the conversation before it
waiting_runs       runs that wait for what the client's tools return
forced_call        answers that are to be a call of a client's tool
stop_strings       answers that end at a string
json_output        answers that follow a client's JSON schema
deltas             the events of a run, as what they add to the reasoning and to the answer
api_errors         errors: a status, a message, a code
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import create_app
    from .served import SmallCalls
    from .uvicorn_server import check_address, serve

__all__ = ["SmallCalls", "check_address", "create_app", "serve"]

_HOMES = {"create_app": ".app", "serve": ".uvicorn_server", "check_address": ".uvicorn_server", "SmallCalls": ".served"}
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
