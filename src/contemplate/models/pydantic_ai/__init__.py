"""Models of other providers, by way of pydantic-ai: Anthropic's, Google's, those on Bedrock, and more."""

from __future__ import annotations

from .model import PydanticAIModel
from .names import PROVIDERS, is_known, named

__all__ = ["PROVIDERS", "PydanticAIModel", "is_known", "named"]
