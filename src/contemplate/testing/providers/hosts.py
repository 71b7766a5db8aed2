"""Companies that serve open models, and gateways to models of others."""

from __future__ import annotations

from .dialect import AnswerForm, ProviderDialect, UsageForm
from .field_rules import AtMost, FitsContext, NoFields, NoFormat, NotBoth, SaysJson
from .message_rules import ComesBack, NoEmptyAssistant, NoMessageFields
from .refusals import (
    brief_form,
    fastapi_form,
    fireworks_form,
    flat_form,
    litellm_form,
    nvidia_form,
    openrouter_form,
)
from .schema_rules import ClosedObjects, NoKeywords

_GROQ_SOURCES = (
    "https://console.groq.com/docs/openai",
    "https://console.groq.com/docs/structured-outputs",
    "https://github.com/vercel/ai/pull/16540",
    "https://github.com/eigent-ai/eigent/pull/1786",
    "https://github.com/janhq/jan/issues/8136",
    "https://github.com/fanenr/chatbot/issues/21",
)
_GROQ_RULES = (
    NoFields(("logprobs", "top_logprobs"), "property '{field}' is unsupported"),
    NoMessageFields(
        ("reasoning_content", "reasoning_details"),
        "'messages.{place}' : for 'role:assistant' the following must be satisfied"
        "[('messages.{place}' : property '{field}' is unsupported)]",
    ),
    NotBoth("tools", "response_format", "json mode cannot be combined with tool/function calling"),
    SaysJson("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."),
)

# What LiteLLM's adapter for it cannot do without.
_GROQ_TIER = {"service_tier": "on_demand"}

GROQ = ProviderDialect(
    name="Groq",
    model="openai/gpt-oss-120b",
    base_url="https://api.groq.com/openai/v1",
    sources=_GROQ_SOURCES,
    rules=(
        *_GROQ_RULES,
        ClosedObjects(
            "invalid JSON schema for {purpose}: {path}: `additionalProperties:false` must be set on every object"
        ),
    ),
    refusal=brief_form,
    answer=AnswerForm(
        thinks=True, reasoning="reasoning", calls="whole", usage=UsageForm(place="x_groq"), extra=_GROQ_TIER
    ),
)

GROQ_WITHOUT_SCHEMAS = ProviderDialect(
    name="Groq, without schemas",
    model="llama-3.3-70b-versatile",
    base_url="https://api.groq.com/openai/v1",
    sources=_GROQ_SOURCES,
    rules=(
        *_GROQ_RULES[:2],
        NoFormat(
            "json_schema",
            "This model does not support response format `json_schema`. See supported models at "
            "https://console.groq.com/docs/structured-outputs#supported-models",
        ),
        *_GROQ_RULES[2:],
    ),
    refusal=brief_form,
    answer=AnswerForm(schema="json", calls="whole", usage=UsageForm(place="x_groq"), extra=_GROQ_TIER),
)

OPENROUTER = ProviderDialect(
    name="OpenRouter",
    model="google/gemini-3-pro-preview",
    base_url="https://openrouter.ai/api/v1",
    sources=(
        "https://openrouter.ai/docs/api-reference/streaming",
        "https://openrouter.ai/docs/use-cases/reasoning-tokens",
        "https://openrouter.ai/docs/use-cases/usage-accounting",
        "https://github.com/charmbracelet/crush/issues/279",
    ),
    rules=(
        ComesBack(
            "reasoning_details",
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
            "correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
            "function call `default_api:{tool}` , position {position}.",
        ),
    ),
    refusal=openrouter_form,
    answer=AnswerForm(
        thinks=True,
        reasoning="reasoning_details",
        signs=True,
        comment=": OPENROUTER PROCESSING",
        usage=UsageForm(only_if_asked=False, cost="number"),
        extra={"provider": "Google"},
    ),
)

TOGETHER = ProviderDialect(
    name="Together",
    model="deepseek-ai/DeepSeek-R1",
    base_url="https://api.together.xyz/v1",
    sources=("https://docs.together.ai/docs/deepseek-faqs", "https://docs.together.ai/docs/json-mode"),
    rules=(
        FitsContext(
            131_072,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {limit}. Given: {prompt} `inputs` "
            "tokens and {answer} `max_new_tokens`",
            status=422,
        ),
    ),
    answer=AnswerForm(
        thinks=True, reasoning="think", usage=UsageForm(place="finish", only_if_asked=False, cached=None)
    ),
)

FIREWORKS = ProviderDialect(
    name="Fireworks",
    model="accounts/fireworks/models/qwen3-235b-a22b",
    base_url="https://api.fireworks.ai/inference/v1",
    sources=(
        "https://github.com/FlowiseAI/Flowise/issues/2866",
        "https://github.com/nullclaw/nullclaw/pull/231",
    ),
    rules=(
        NoFields(("stream_options",), "Extra inputs are not permitted, field: '{field}', value: {value}"),
        AtMost("max_tokens", 4096, "Requests with max_tokens > {most} must have stream=true", whole_only=True),
    ),
    refusal=fireworks_form,
    answer=AnswerForm(
        thinks=True, reasoning="think", usage=UsageForm(place="finish", only_if_asked=False), logprobs=True
    ),
)

CEREBRAS = ProviderDialect(
    name="Cerebras",
    model="gpt-oss-120b",
    base_url="https://api.cerebras.ai/v1",
    sources=(
        "https://inference-docs.cerebras.ai/capabilities/structured-outputs",
        "https://github.com/musistudio/claude-code-router/issues/708",
        "https://github.com/Kilo-Org/kilocode/issues/10375",
    ),
    rules=(
        NoMessageFields(
            ("reasoning_content", "reasoning_details"),
            "messages.{place}.assistant.{field}: property 'messages.{place}.assistant.{field}' is unsupported",
        ),
        NotBoth("tools", "response_format", '"tools" is incompatible with "response_format"'),
        NoKeywords(
            ("minItems", "maxItems", "minLength", "maxLength", "pattern", "format"),
            "Unsupported JSON schema fields: {{'{keyword}'}}",
            in_tools=False,
        ),
    ),
    refusal=flat_form,
    answer=AnswerForm(
        thinks=True, reasoning="reasoning", logprobs=True, usage=UsageForm(place="finish", only_if_asked=False)
    ),
)

NVIDIA = ProviderDialect(
    name="NVIDIA",
    model="qwen/qwen3.5-397b-a17b",
    base_url="https://integrate.api.nvidia.com/v1",
    sources=(
        "https://docs.api.nvidia.com/nim/reference/llm-apis",
        "https://github.com/can1357/oh-my-pi/pull/2300",
        "https://github.com/Alishahryar1/free-claude-code/issues/127",
    ),
    rules=(
        NoFields(
            ("max_completion_tokens", "logprobs", "top_logprobs", "reasoning_effort"),
            "Validation: Unsupported parameter(s): `{field}`",
        ),
    ),
    refusal=nvidia_form,
    answer=AnswerForm(thinks=True, reasoning="reasoning_content", usage=UsageForm(only_if_asked=False, cached=None)),
)

LITELLM = ProviderDialect(
    name="LiteLLM",
    model="claude-sonnet-4-5",
    base_url="http://localhost:4000/v1",
    sources=("https://docs.litellm.ai/docs/completion/drop_params", "https://docs.litellm.ai/docs/reasoning_content"),
    rules=(
        NoFields(
            ("seed", "logprobs", "top_logprobs"),
            "litellm.UnsupportedParamsError: anthropic does not support parameters: ['{field}'], for "
            "model=claude-sonnet-4-5. To drop these, set `litellm.drop_params=True` or for proxy:\n\n"
            "`litellm_settings:\n drop_params: true`\n. \n If you want to use these params dynamically send "
            "allowed_openai_params=['{field}'] in your request.",
        ),
        NoEmptyAssistant(
            "litellm.BadRequestError: AnthropicException - messages: text content blocks must be non-empty"
        ),
    ),
    refusal=litellm_form,
    answer=AnswerForm(thinks=True, reasoning="reasoning_content"),
)

GATEWAY = ProviderDialect(
    name="A gateway that refuses all that is optional",
    model="model",
    base_url="https://gateway.example.com/v1",
    sources=(
        "https://github.com/langchain-ai/langchain-azure/issues/82",
        "https://github.com/1Panel-dev/MaxKB/issues/2912",
    ),
    rules=(
        NoFields(
            (
                *("seed", "stream_options", "max_completion_tokens", "temperature", "top_p", "stop"),
                *("logprobs", "top_logprobs", "reasoning_effort", "response_format", "tool_choice"),
            ),
            "Extra inputs are not permitted",
            status=422,
        ),
    ),
    refusal=fastapi_form,
    answer=AnswerForm(ping=True, done=False, calls="snapshots", usage=UsageForm(place="finish", only_if_asked=False)),
)
