"""The OpenAPI document of the server, made of its operations and of the models of their bodies.

The format: https://spec.openapis.org/oas/v3.1.1.html. Each API tells its operations as data, in a room of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from .._version import __version__

Json = dict[str, Any]
Body = type[BaseModel]
# Of each model, read or written.
Schemas = Mapping[Any, Json]

_REFERENCE = "#/components/schemas/{model}"
_PLACEHOLDER = re.compile(r"{(\w+)(?::\w+)?}")
_KEYS: Json = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
REQUEST_ID: Json = {"x-request-id": {"schema": {"type": "string"}, "description": "The request's id."}}
_REASONS = {
    400: "The request asks for what is not there, or is none.",
    401: "There is no key, or it is not one of the server's.",
    403: "It is not asked from where it may be.",
    404: "There is nothing of this name.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The model's server refuses what is asked.",
    429: "Too much is asked at once, or the model's server asks to slow down.",
    500: "The server failed.",
    501: "The run waits for what no client can give.",
    502: "The model's server failed.",
    503: "A limit was reached, or the server is stopping.",
    504: "The model's server took too long.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a client can ask for.

    Args:
        method: of HTTP, such as "POST".
        path: as a route has it.
        summary: what it does, in one line.
        answer: the body of the answer, or its media type where that is not JSON.
        body: that of the request, if it has one.
        events: whether the answer can be a stream of events as well.
        error: the body of an error.
        errors: the statuses that it may fail with.
        needs_key: whether a key is needed, where the server has any.
        status: of an answer.
    """

    method: str
    path: str
    summary: str
    answer: Body | str
    body: Body | None = None
    events: bool = False
    error: Body | None = None
    errors: Sequence[int] = ()
    needs_key: bool = True
    query: Mapping[str, Json] = field(default_factory=dict)
    status: int = 200

    @property
    def models(self) -> Iterable[tuple[Body, JsonSchemaMode]]:
        """The models of its bodies, and whether they are read or written."""
        if self.body is not None:
            yield self.body, "validation"
        for each in (self.answer, self.error):
            if each is not None and not isinstance(each, str):
                yield each, "serialization"


def openapi_document(operations: Sequence[Operation]) -> Json:
    """Return the document of `operations`, as JSON values."""
    used = list(dict.fromkeys(each for operation in operations for each in operation.models))
    named, schemas = models_json_schema(used, ref_template=_REFERENCE)
    paths: dict[str, Json] = {}
    for each in operations:
        paths.setdefault(_PLACEHOLDER.sub(r"{\1}", each.path), {})[each.method.lower()] = _operation(each, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "contemplate", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas.get("$defs", {}), "securitySchemes": _KEYS},
    }


def _operation(operation: Operation, named: Schemas) -> Json:
    failures = (*operation.errors, *((401,) if operation.needs_key else ()))
    said: Json = {
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', operation.path)}".rstrip("_"),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {
            str(operation.status): _response("The answer.", _answers(operation, named)),
            **{str(status): _response(_REASONS[status], _errors(operation, named)) for status in sorted(failures)},
        },
    }
    if operation.needs_key:
        said["security"] = [{}, *({name: []} for name in _KEYS)]
    if operation.body is not None:
        schema = named[operation.body, "validation"]
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return said


def _path_parameters(operation: Operation) -> Iterable[Json]:
    for name in _PLACEHOLDER.findall(operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(operation: Operation) -> Iterable[Json]:
    for name, schema in operation.query.items():
        yield {"name": name, "in": "query", "required": False, "schema": schema}


def _answers(operation: Operation, named: Schemas) -> Json:
    if isinstance(operation.answer, str):
        return {operation.answer: {"schema": {"type": "string"}}}
    whole: Json = {"application/json": {"schema": named[operation.answer, "serialization"]}}
    return whole | ({"text/event-stream": {"schema": {"type": "string"}}} if operation.events else {})


def _errors(operation: Operation, named: Schemas) -> Json:
    error = operation.error
    return {} if error is None else {"application/json": {"schema": named[error, "serialization"]}}


def _response(description: str, content: Json) -> Json:
    return {"description": description, "headers": REQUEST_ID, "content": content}
