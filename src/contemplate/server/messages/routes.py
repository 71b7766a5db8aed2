"""The routes of the Messages API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...contemplator import Contemplator
from ..active_runs import ActiveRuns
from ..api_errors import invalid_body
from ..asgi_run import AsgiRun
from ..neutral_request import Asked
from .errors import REQUEST_ID, request_id
from .replies import StreamedReply, WholeReply
from .requests import asked_of, tokens_of
from .resource import ModelCard, ModelCards, TokenCount
from .schema import CountRequest, MessagesRequest

Find = Callable[[str], Contemplator[Any]]
WithEffort = Callable[[Asked, str | None], Asked]
Read = Callable[[Request], Awaitable[bytes]]
BodyT = TypeVar("BodyT", bound=BaseModel)


def messages_routes(find: Find, with_effort: WithEffort, read: Read, runs: ActiveRuns) -> list[Route]:
    """Return the routes.

    Args:
        find: returns the contemplator of a model's name, or raises a `RequestError`.
        with_effort: returns what is asked of whoever answers it with that effort.
        read: reads the body of a request.
        runs: holds the runs.
    """

    async def messages(request: Request) -> AsgiRun:
        body = await _parsed(MessagesRequest, request, read)
        asked = with_effort(asked_of(body, find(body.model)), body.output_config.effort)
        form = StreamedReply if body.stream else WholeReply
        prompt = tokens_of(body, asked.mind.prompts)
        return AsgiRun(asked, partial(form, body.model, prompt, body.thinking.shown), runs)

    async def count_tokens(request: Request) -> Response:
        body = await _parsed(CountRequest, request, read)
        prompt = tokens_of(body, find(body.model).prompts)
        return _response(TokenCount(input_tokens=prompt), request)

    return [
        Route("/v1/messages", messages, methods=["POST"]),
        Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
    ]


def models_response(names: Iterable[str], created: int, request: Request) -> Response:
    """Return the list of models in the API's form."""
    cards = tuple(_card(name, created) for name in names)
    ends = (cards[0].id, cards[-1].id) if cards else (None, None)
    return _response(ModelCards(data=cards, first_id=ends[0], last_id=ends[1]), request)


def model_response(name: str, created: int, request: Request) -> Response:
    """Return one model in the API's form."""
    return _response(_card(name, created), request)


async def _parsed(kind: type[BodyT], request: Request, read: Read) -> BodyT:
    try:
        return kind.model_validate_json(await read(request))
    except ValidationError as error:
        raise invalid_body(error) from None


def _card(name: str, created: int) -> ModelCard:
    return ModelCard(id=name, display_name=name, created_at=datetime.fromtimestamp(created, UTC))


def _response(body: BaseModel, request: Request) -> Response:
    headers = {REQUEST_ID: request_id(request.scope)}
    return Response(body.model_dump_json(), headers=headers, media_type="application/json")
