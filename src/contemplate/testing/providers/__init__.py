"""Imitations of providers: servers on loopback that refuse and answer as the documented ones do.

refusals        a refusal, and the forms in which servers say it
field_rules     what is refused in the fields of a request
message_rules   ... in its messages
schema_rules    ... in its JSON schemas
dialect         `ProviderDialect`, a provider as data
script          what its model says: `able` can do everything that is asked
schema_values   values that follow a schema
counting, signatures   what it counts, and what it wants back
answers         answers in its form, whole and as a stream
responses       OpenAI's Responses API
server          `Provider`
companies, hosts, servers   the providers, a row each with its sources
"""

from __future__ import annotations

from .companies import (
    ANTHROPIC,
    AZURE,
    DEEPSEEK,
    DEEPSEEK_REASONING,
    GEMINI,
    MISTRAL,
    MISTRAL_REASONING,
    MOONSHOT,
    OPENAI,
    OPENAI_REASONING,
    PERPLEXITY,
    QWEN,
    XAI,
)
from .dialect import AnswerForm, ProviderDialect, UsageForm
from .hosts import (
    CEREBRAS,
    FIREWORKS,
    GATEWAY,
    GROQ,
    GROQ_WITHOUT_SCHEMAS,
    LITELLM,
    NVIDIA,
    OPENROUTER,
    TOGETHER,
)
from .refusals import Rejection, Rule
from .script import AskedRequest, Said, Script, able
from .server import Provider, Refused
from .servers import LLAMA_CPP, LM_STUDIO, OLLAMA, SGLANG, VLLM

ALL = (
    *(OPENAI, OPENAI_REASONING, AZURE, ANTHROPIC, GEMINI, DEEPSEEK, DEEPSEEK_REASONING, MISTRAL, MISTRAL_REASONING),
    *(XAI, QWEN, MOONSHOT, PERPLEXITY, GROQ, GROQ_WITHOUT_SCHEMAS, OPENROUTER, TOGETHER, FIREWORKS, CEREBRAS, NVIDIA),
    *(OLLAMA, VLLM, SGLANG, LLAMA_CPP, LM_STUDIO, LITELLM, GATEWAY),
)

__all__ = [
    "ALL",
    "ANTHROPIC",
    "AZURE",
    "CEREBRAS",
    "DEEPSEEK",
    "DEEPSEEK_REASONING",
    "FIREWORKS",
    "GATEWAY",
    "GEMINI",
    "GROQ",
    "GROQ_WITHOUT_SCHEMAS",
    "LITELLM",
    "LLAMA_CPP",
    "LM_STUDIO",
    "MISTRAL",
    "MISTRAL_REASONING",
    "MOONSHOT",
    "NVIDIA",
    "OLLAMA",
    "OPENAI",
    "OPENAI_REASONING",
    "OPENROUTER",
    "PERPLEXITY",
    "QWEN",
    "SGLANG",
    "TOGETHER",
    "VLLM",
    "XAI",
    "AnswerForm",
    "AskedRequest",
    "Provider",
    "ProviderDialect",
    "Refused",
    "Rejection",
    "Rule",
    "Said",
    "Script",
    "UsageForm",
    "able",
]
