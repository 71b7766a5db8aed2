"""Models of other providers, by way of pydantic-ai: Anthropic's, Google's, those on Bedrock, and more."""

from __future__ import annotations

from .model import PydanticAIModel
from .names import is_known, named

__all__ = ["PydanticAIModel", "is_known", "named"]
