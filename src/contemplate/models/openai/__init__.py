"""Models behind an OpenAI-compatible chat completions endpoint. The only package that imports `openai`."""

from .model import OpenAIModel
from .profile import Profile

__all__ = ["OpenAIModel", "Profile"]
