"""Conversations as one item, which clients keep unread."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import openai
import pytest

from contemplate.testing import ScriptedModel

from .conftest import instant


def packed(value: Any) -> str:
    return "contemplate-1." + base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


def test_a_compacted_conversation_stands_for_the_whole(client: Any) -> None:
    model = ScriptedModel(["one", "two", "three"])
    api = client(instant(model))
    first = api.responses.create(model="m", input="1?")
    made = api.responses.compact(model="m", previous_response_id=first.id, input=[{"role": "user", "content": "2?"}])
    assert (made.object, made.usage.total_tokens, len(model.requests)) == ("response.compaction", 0, 1)
    assert [each.type for each in made.output] == ["message", "message", "compaction"]
    # Clients keep items by their ids.
    assert [each.id.partition("_")[0] for each in made.output] == ["msg", "msg", "cmp"]
    assert len({each.id for each in made.output}) == 3
    sent = [each.model_dump(exclude_none=True, warnings=False) for each in made.output]
    for given in (sent, sent[-1:]):
        api.responses.create(model="m", input=[*given, {"role": "user", "content": "3?"}])
        said = [(each.role, each.text) for each in model.requests[-1].messages]
        assert said == [("user", "1?"), ("assistant", "one"), ("user", "2?"), ("user", "3?")]


@pytest.mark.parametrize(
    "content",
    [
        "gAAAA",
        "contemplate-1.",
        "contemplate-1.????",
        packed(7),
        packed([7]),
        packed([{"type": "compaction", "encrypted_content": packed([])}]),
        packed([{"role": "user", "content": [{"type": "input_image", "image_url": "file:///etc/passwd"}]}]),
    ],
)
def test_what_another_server_compacted_is_refused(client: Any, content: str) -> None:
    api = client(instant(ScriptedModel([])))
    said = [{"type": "compaction", "encrypted_content": content}, {"role": "user", "content": "3?"}]
    with pytest.raises(openai.BadRequestError, match="send the conversation itself") as caught:
        api.responses.create(model="m", input=said)
    assert caught.value.param == "input[0]"
