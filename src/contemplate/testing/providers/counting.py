"""What a provider counts: four characters are a token, and what prompts begin alike with is read from a cache."""

from __future__ import annotations

import json

from ..token_counts import CHARACTERS_PER_TOKEN
from .refusals import Body

# OpenAI's prefix cache: 1,024 tokens or more, in steps. https://platform.openai.com/docs/guides/prompt-caching
CACHED_FROM = 1024
CACHE_STEP = 128
IMAGE_TOKENS = 85


def prompt_tokens(body: Body) -> int:
    """Return the tokens of a request: its messages and tools, an image as a fixed number."""
    return max(1, len(prompt_text(body)) // CHARACTERS_PER_TOKEN) + IMAGE_TOKENS * images_in(body)


def prompt_text(body: Body) -> str:
    """Return all that a model reads of a request, without images."""
    texts = [json.dumps(body["tools"])] if body.get("tools") else []
    for message in body["messages"]:
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        texts.append(f"{message['role']}: {content}")
        texts += [call["function"]["name"] + str(call["function"]["arguments"]) for call in _calls(message)]
    return "\n".join(texts)


def images_in(body: Body) -> int:
    """Return the number of images in a request."""
    contents = [message.get("content") for message in body["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return sum(part.get("type") == "image_url" for part in parts)


class PrefixCache:
    """The beginnings of the prompts so far."""

    def __init__(self) -> None:
        self._prompts: list[str] = []

    def read(self, prompt: str) -> int:
        """Return how many tokens of `prompt` were read before, and keep it."""
        shared = max((_shared(prompt, each) for each in self._prompts), default=0) // CHARACTERS_PER_TOKEN
        self._prompts.append(prompt)
        return 0 if shared < CACHED_FROM else shared - shared % CACHE_STEP


def _calls(message: Body) -> list[Body]:
    return list(message.get("tool_calls") or ())


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts begin alike with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
