"""How the models and servers of this package count tokens: by characters, so that tests can say what they cost."""

from __future__ import annotations

CHARACTERS_PER_TOKEN = 4


def text_tokens(text: str) -> int:
    """Return how many tokens `text` has, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)
