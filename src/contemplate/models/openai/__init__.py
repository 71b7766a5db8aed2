"""Models behind an OpenAI-compatible chat completions endpoint. The only package that imports `openai`."""

from .connection import Connection
from .model import OpenAIModel
from .profile import Profile

__all__ = ["Connection", "OpenAIModel", "Profile"]
