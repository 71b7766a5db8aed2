"""Models behind an OpenAI-compatible chat completions endpoint. The only room that knows the `openai` package."""

from .model import OpenAIModel

__all__ = ["OpenAIModel"]
