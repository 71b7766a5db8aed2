"""A backend for clients of OpenAI and Anthropic: contemplators behind their APIs. Needs the extra `server`.

uvicorn_server     the server on a port, until a signal stops it
announced_server   uvicorn, as this server and the viewer's start and end it
app                the routes, and what stands before all of them
settings           who may ask, how much, how many at once, and how long is waited for whom
keys, key_syntax   keys of clients, and how they are written
config_file        a Python file that says what is served
visits, visit_book one request: its id, its limits, what is logged of it
active_runs        the runs that go on, the queue, the end of all
uvicorn_connections  uvicorn's connections, guarded against slow clients
health, openapi    whether it is well; what it can be asked for, as data
metrics            what Prometheus is told
chat               chat completions: bodies, and replies
responses          the Responses API, and conversations that the server keeps
messages           Anthropic's Messages: bodies, and replies
model_names        the names by which clients ask for contemplators
request_body, request_limits  what a client sends, and the limits that hold for it
asgi_run           one request and its run, which ends when the client goes
answer_runs        what is asked, answered by a run
offer              what is served, and who carries it out
runner             who carries out what is asked: this process, or somebody else
runs_at_workers, workers_alive  runs that workers carry out, and whether there are workers
effort             how much is thought about a request: efforts, and small calls
neutral_request    what a client asks, in whatever dialect, and how it is told of the answer
questions          the messages of a request, as a question and the conversation before it
waiting_runs       runs that wait for what the client's tools return
forced_call        answers that are to be a call of a client's tool
stop_strings       answers that end at a string
json_output        answers that follow a client's JSON schema
event_stream       what all streams have in common
outbox             what a slow client has not read yet
viewer             runs in a browser
deltas             the events of a run, as what they add to the reasoning and to the answer
api_errors, error_forms  errors: a status, a message, a code; the form of each API
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .app import create_app
    from .config_file import read_config
    from .effort import SmallCalls
    from .settings import ClientKey, ServerSettings
    from .uvicorn_server import check_address, serve
    from .viewer.alone import serve_viewer

__all__ = [
    "ClientKey",
    "ServerSettings",
    "SmallCalls",
    "check_address",
    "create_app",
    "read_config",
    "serve",
    "serve_viewer",
]

__getattr__ = lazily(
    __name__,
    {
        "ClientKey": ".settings",
        "ServerSettings": ".settings",
        "SmallCalls": ".effort",
        "check_address": ".uvicorn_server",
        "create_app": ".app",
        "read_config": ".config_file",
        "serve": ".uvicorn_server",
        "serve_viewer": ".viewer.alone",
    },
    extra="server",
    needs=("jsonschema", "prometheus_client", "starlette", "uvicorn"),
)
