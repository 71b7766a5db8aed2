"""Models behind an OpenAI-compatible chat completions endpoint. The only package that imports `openai`."""

from .model import OpenAIModel

__all__ = ["OpenAIModel"]
