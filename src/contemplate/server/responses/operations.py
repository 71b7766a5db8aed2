"""What a client can ask for in this API, as its OpenAPI document tells it."""

from __future__ import annotations

from pydantic import RootModel

from ..chat.schema import ErrorBody
from ..openapi import Body, Json, Operation
from . import conversation_routes, routes
from .compaction import CompactedResponse
from .conversation import ConversationResource
from .items import Item, ItemList
from .resource import Response
from .schema import Input, ResponsesRequest

_ONE = "/v1/responses/{id}"
_CONVERSATIONS = "/v1/conversations"
_CONVERSATION = "/v1/conversations/{id}"
_STREAM: Json = {
    "stream": {"type": "boolean", "description": "Whether to stream what is kept of a run in the background."},
    "starting_after": {"type": "integer", "description": "The sequence number after which the stream begins."},
}
_PAGE: Json = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "order": {"type": "string", "enum": ["asc", "desc"]},
    "after": {"type": "string", "description": "The id of the item after which the page begins."},
}
_BODY = (400, 404, 408, 413, 415)
_RUN = (*_BODY, 422, 429, 500, 501, 502, 503, 504)


class AnyItem(RootModel[Item]):
    """An item of a conversation."""


def _operation(method: str, path: str, summary: str, answer: Body, **more: object) -> Operation:
    return Operation(method, path, summary, answer, error=ErrorBody, **{"errors": (400, 404), **more})  # type: ignore[arg-type]


OPERATIONS = (
    _operation(
        "POST",
        "/v1/responses",
        "Answer, whole, in a stream or in the background",
        Response,
        body=ResponsesRequest,
        events=True,
        errors=_RUN,
    ),
    _operation("POST", "/v1/responses/input_tokens", "Count tokens", routes.InputTokens, body=Input, errors=_BODY),
    _operation("POST", "/v1/responses/compact", "Compact a conversation", CompactedResponse, body=Input, errors=_BODY),
    _operation("GET", _ONE, "Return a stored response", Response, events=True, query=_STREAM),
    _operation("DELETE", _ONE, "Delete a stored response", routes.DeletedResponse),
    _operation("POST", f"{_ONE}/cancel", "Cancel a run in the background", Response),
    _operation("GET", f"{_ONE}/input_items", "List what a response was made of", ItemList, query=_PAGE),
    _operation(
        "POST",
        _CONVERSATIONS,
        "Make a conversation",
        ConversationResource,
        body=conversation_routes.NewConversation,
        errors=_BODY,
    ),
    _operation("GET", _CONVERSATION, "Return a conversation", ConversationResource),
    _operation(
        "POST",
        _CONVERSATION,
        "Replace what is noted of a conversation",
        ConversationResource,
        body=conversation_routes.NewConversation,
        errors=_BODY,
    ),
    _operation("DELETE", _CONVERSATION, "Delete a conversation", conversation_routes.DeletedConversation),
    _operation("GET", f"{_CONVERSATION}/items", "List its items", ItemList, query=_PAGE),
    _operation(
        "POST",
        f"{_CONVERSATION}/items",
        "Add items",
        ItemList,
        body=conversation_routes.NewConversation,
        errors=_BODY,
    ),
    _operation("GET", f"{_CONVERSATION}/items/{{item}}", "Return an item", AnyItem),
    _operation("DELETE", f"{_CONVERSATION}/items/{{item}}", "Remove an item", ConversationResource),
)
