"""The routes of conversations."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from time import time
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from ..api_errors import invalid_body, invalid_request
from ..visits import Visit
from .conversation import Conversation, ConversationResource
from .item_input import InputItem
from .items import Item, ItemList, with_id
from .pagination import page_of
from .parts import Api
from .replies import json_response
from .store import Shelves, Store, missing


class NewConversation(Api):
    """A conversation that is to be made."""

    items: Annotated[tuple[InputItem, ...], BeforeValidator(lambda value: value or ())] = ()
    metadata: Annotated[dict[str, str], BeforeValidator(lambda value: value or {})] = Field(default={})


class DeletedConversation(Api):
    """A conversation that is no longer there."""

    id: str
    object: str = "conversation.deleted"
    deleted: bool = True


class ConversationRoutes:
    """Conversations that a client keeps with the server."""

    def __init__(self, read_body: Callable[[Request], Awaitable[bytes]], shelves: Shelves) -> None:
        self._read_body = read_body
        self._shelves = shelves

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/v1/conversations/{id}"
        return [
            Route("/v1/conversations", self.create, methods=["POST"]),
            Route(one, self.retrieve, methods=["GET"]),
            Route(one, self.update, methods=["POST"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/items", self.items, methods=["GET"]),
            Route(f"{one}/items", self.add, methods=["POST"]),
            Route(f"{one}/items/{{item}}", self.item, methods=["GET"]),
            Route(f"{one}/items/{{item}}", self.remove, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> HttpResponse:
        """Make a conversation."""
        body = await self._body(request)
        items = await self._new_items(request, body)
        made = Conversation(id=f"conv_{uuid.uuid4().hex}", created_at=int(time()), metadata=body.metadata, items=items)
        await self._store(request).add_conversation(made)
        return _resource(made)

    async def retrieve(self, request: Request) -> HttpResponse:
        """Return a conversation."""
        return _resource(await self._found(request))

    async def update(self, request: Request) -> HttpResponse:
        """Replace what a client noted of a conversation."""
        noted = {"metadata": (await self._body(request)).metadata}
        change = self._store(request).change_conversation
        return _resource(await change(request.path_params["id"], lambda found: found.model_copy(update=noted)))

    async def delete(self, request: Request) -> HttpResponse:
        """Delete a conversation."""
        found = await self._found(request)
        await self._store(request).forget(found.id)
        return json_response(DeletedConversation(id=found.id))

    async def items(self, request: Request) -> HttpResponse:
        """Return the items of a conversation."""
        return json_response(page_of((await self._found(request)).items, request))

    async def add(self, request: Request) -> HttpResponse:
        """Add items to a conversation."""
        items = await self._new_items(request, await self._body(request))
        if not items:
            raise invalid_request("items: there are none", param="items")
        await self._store(request).change_conversation(
            request.path_params["id"], lambda found: found.model_copy(update={"items": (*found.items, *items)})
        )
        return json_response(ItemList(data=items, first_id=items[0].id, last_id=items[-1].id, has_more=False))

    async def item(self, request: Request) -> HttpResponse:
        """Return an item of a conversation."""
        item = request.path_params["item"]
        found = [each for each in (await self._found(request)).items if each.id == item]
        if not found:
            raise missing("item", item)
        return json_response(found[0])

    async def remove(self, request: Request) -> HttpResponse:
        """Take an item out of a conversation."""
        item = request.path_params["item"]

        def without(found: Conversation) -> Conversation:
            left = tuple(each for each in found.items if each.id != item)
            if len(left) == len(found.items):
                raise missing("item", item)
            return found.model_copy(update={"items": left})

        return _resource(await self._store(request).change_conversation(request.path_params["id"], without))

    def _store(self, request: Request) -> Store:
        return Store(self._shelves, Visit.of(request.scope).owner)

    async def _found(self, request: Request) -> Conversation:
        return await self._store(request).conversation(request.path_params["id"])

    async def _body(self, request: Request) -> NewConversation:
        try:
            return NewConversation.model_validate_json(await self._read_body(request))
        except ValidationError as error:
            raise invalid_body(error) from None

    async def _new_items(self, request: Request, body: NewConversation) -> tuple[Item, ...]:
        items = await self._store(request).resolved(body.items, "items")
        owner = uuid.uuid4().hex
        return tuple(with_id(each, owner, f"i{place}") for place, each in enumerate(items))


def _resource(conversation: Conversation) -> HttpResponse:
    fields = conversation.model_dump(include=set(ConversationResource.model_fields))
    return json_response(ConversationResource(**fields))
