"""Compacted conversations: an item holds the conversation whole, and clients send it back unread.

Nothing of it is lost: what does not fit a model is shortened when it is asked, as ever.
"""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Sequence
from time import time
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from ...usage import NOTHING
from ..api_errors import UNSUPPORTED, RequestError, invalid_request
from .item_input import Compaction, InputItem
from .items import FunctionCall, FunctionCallOutput, Item, Message, with_id
from .parts import Api
from .resource import ApiUsage

_OURS = "contemplate-1."
_MOST_BYTES = 64 * 1024 * 1024
_ITEMS: TypeAdapter[tuple[InputItem, ...]] = TypeAdapter(tuple[InputItem, ...])
_WRITTEN: TypeAdapter[tuple[Item, ...]] = TypeAdapter(tuple[Item, ...])


class CompactedResponse(Api):
    """A conversation that was compacted: what the user said, and an item that holds the rest with it."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: tuple[Message | Compaction, ...]
    usage: ApiUsage


def compacted(items: Sequence[Item]) -> CompactedResponse:
    """Return a conversation in its compacted form. No model is asked."""
    owner = uuid.uuid4().hex
    said = [with_id(each, owner, f"i{place}") for place, each in enumerate(filter(_is_users, items))]
    content = base64.b64encode(zlib.compress(_WRITTEN.dump_json(tuple(items), by_alias=True))).decode()
    item = Compaction(id=f"cmp_{owner}", encrypted_content=_OURS + content)
    output = (*said, item)
    return CompactedResponse(id=f"resp_{owner}", created_at=int(time()), output=output, usage=ApiUsage.of(NOTHING))


def expanded(before: Sequence[Item], item: Compaction, param: str) -> list[Item]:
    """Return the conversation that an item holds, after those of the items `before` it that are not in it.

    Raises:
        RequestError: it cannot be read, as it was made by another server.
    """
    held = [each for each in _read(item, param) if isinstance(each, Message | FunctionCall | FunctionCallOutput)]
    known = [each.content for each in held if isinstance(each, Message) and _is_users(each)]
    others = [each for each in before if not (isinstance(each, Message) and _is_users(each) and each.content in known)]
    return [*others, *held]


def _read(item: Compaction, param: str) -> Sequence[InputItem]:
    try:
        if not item.encrypted_content.startswith(_OURS):
            raise ValueError
        packed = base64.b64decode(item.encrypted_content.removeprefix(_OURS), validate=True)
        listed = json.loads(zlib.decompressobj().decompress(packed, _MOST_BYTES))
        if any(each.get("type") == "compaction" for each in listed):
            raise ValueError
        return _ITEMS.validate_python(listed)
    except (ValueError, AttributeError, TypeError, RecursionError, zlib.error, ValidationError):
        raise _unreadable(param) from None


def _unreadable(param: str) -> RequestError:
    message = f"{param}: this compaction was not made here, and cannot be read: send the conversation itself"
    return invalid_request(message, param=param, code=UNSUPPORTED)


def _is_users(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"
