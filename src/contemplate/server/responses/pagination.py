"""Pages of items, as a client asks for them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from ..api_errors import invalid_request
from .items import Item, ItemList

_MOST = 100


def page_of(items: Sequence[Item], request: Request) -> ItemList:
    """Return the items that `request` asks for, of items from the oldest to the newest: the newest first by default.

    Raises:
        RequestError: a parameter is none.
    """
    params = request.query_params
    limit = number(request, "limit", 20)
    if not 1 <= limit <= _MOST:
        raise invalid_request(f"limit: it is 1 to {_MOST}", param="limit")
    if params.get("order", "desc") not in ("asc", "desc"):
        raise invalid_request("order: it is asc or desc", param="order")
    ordered = list(items) if params.get("order") == "asc" else list(reversed(items))
    after = params.get("after")
    if after is not None:
        places = [place for place, each in enumerate(ordered) if each.id == after]
        if not places:
            raise invalid_request(f"after: there is no item {after!r}", param="after")
        ordered = ordered[places[0] + 1 :]
    page = tuple(ordered[:limit])
    first, last = (page[0].id, page[-1].id) if page else ("", "")
    return ItemList(data=page, first_id=first, last_id=last, has_more=len(ordered) > limit)


def number(request: Request, name: str, default: int) -> int:
    """Return a number among the parameters of `request`.

    Raises:
        RequestError: it is none.
    """
    try:
        return int(request.query_params.get(name, default))
    except ValueError:
        raise invalid_request(f"{name}: it is a number", param=name) from None
