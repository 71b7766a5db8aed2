"""The OpenAPI document: it is one, and tells of every route."""

from __future__ import annotations

from typing import Any

import httpx2
from jsonschema import Draft202012Validator
from starlette.routing import Route

from contemplate import Contemplator
from contemplate.server import ClientKey, ServerSettings, create_app
from contemplate.testing import ScriptedModel

from .conftest import Minds, Serve
from .test_server_slow_clients import BODY, CHAT


def minds() -> Minds:
    return {"m": Contemplator(ScriptedModel("Yes."), mode="instant")}


def test_every_route_is_told() -> None:
    from contemplate.server.app import OPERATIONS

    routes = [each for each in create_app(minds()).routes if isinstance(each, Route)]
    there = {(method, each.path) for each in routes for method in (each.methods or set()) - {"HEAD"}}
    assert {(each.method, each.path) for each in OPERATIONS} | {("GET", "/openapi.json")} == there


def test_answers_and_errors_are_as_told(serve: Serve) -> None:
    url = serve(minds(), ServerSettings(keys=(ClientKey("ann", "sk-0123456789"),)))
    document = httpx2.get(url + "/openapi.json").json()
    said = document["paths"][CHAT]["post"]
    key = {"x-api-key": "sk-0123456789"}
    for answer in (
        httpx2.post(url + CHAT, json=BODY, headers=key),
        httpx2.post(url + CHAT, json={}, headers=key),
        httpx2.post(url + CHAT, json=BODY),
    ):
        content = said["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        Draft202012Validator({**content, "components": document["components"]}).validate(answer.json())
        assert "x-request-id" in answer.headers


def test_the_document_refers_to_what_it_has(serve: Serve) -> None:
    document = httpx2.get(serve(minds()) + "/openapi.json").json()

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    # Some that stand for what a client sends in other words are named, and not used.
    assert references(document) <= named
    assert document["openapi"].startswith("3.1")
