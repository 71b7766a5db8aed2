"""The model protocol, its implementations and wrappers, and model names such as "openai:gpt-5"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily
from ..messages import TokenLogprob
from .base import (
    Brevity,
    Condensed,
    Connectable,
    Delta,
    DeltaSink,
    Model,
    ModelRequest,
    ModelResponse,
    OutputSchema,
    RunMark,
    ToolSpec,
    brevity_of,
    current_run,
    outermost_run,
    price_of,
    prompts_here,
)
from .context_size import ContextSize, context_of
from .registry import resolve
from .wrappers.base import Wrapper
from .wrappers.retry import Retry

if TYPE_CHECKING:
    from .local import LocalModel
    from .openai import Connection, OpenAIModel, Profile
    from .probes import Finding, Report, check
    from .pydantic_ai import PydanticAIModel
    from .wrappers.fallback import Fallback
    from .wrappers.hedge import Hedge
    from .wrappers.prompted_tools import PromptedTools
    from .wrappers.rate_limit import Limit
    from .wrappers.warm import Warm

__all__ = [
    "Brevity",
    "Condensed",
    "Connectable",
    "Connection",
    "ContextSize",
    "Delta",
    "DeltaSink",
    "Fallback",
    "Finding",
    "Hedge",
    "Limit",
    "LocalModel",
    "Model",
    "ModelRequest",
    "ModelResponse",
    "OpenAIModel",
    "OutputSchema",
    "Profile",
    "PromptedTools",
    "PydanticAIModel",
    "Report",
    "Retry",
    "RunMark",
    "TokenLogprob",
    "ToolSpec",
    "Warm",
    "Wrapper",
    "brevity_of",
    "check",
    "context_of",
    "current_run",
    "outermost_run",
    "price_of",
    "prompts_here",
    "resolve",
]

__getattr__ = lazily(
    __name__,
    {
        "Connection": ".openai",
        "Fallback": ".wrappers.fallback",
        "Finding": ".probes",
        "Hedge": ".wrappers.hedge",
        "Limit": ".wrappers.rate_limit",
        "LocalModel": ".local",
        "OpenAIModel": ".openai",
        "Profile": ".openai",
        "PromptedTools": ".wrappers.prompted_tools",
        "PydanticAIModel": ".pydantic_ai",
        "Report": ".probes",
        "Warm": ".wrappers.warm",
        "check": ".probes",
    },
)
