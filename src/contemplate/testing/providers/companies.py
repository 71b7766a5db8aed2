"""Companies that serve their own models."""

from __future__ import annotations

from .dialect import AnswerForm, ProviderDialect, UsageForm
from .field_rules import AtMost, NoFields, NoFormat, OnlyValues, SaysJson
from .message_rules import (
    Alternating,
    ComesBack,
    NoEmptyAssistant,
    NoImages,
    NotAfter,
    Roles,
)
from .refusals import (
    brief_form,
    dashscope_form,
    google_form,
    mistral_form,
    numbered_form,
    xai_form,
)
from .schema_rules import NoKeywords, OpenAIStrict

_SAYS_JSON = SaysJson(
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.", "messages"
)

OPENAI = ProviderDialect(
    name="OpenAI",
    model="gpt-4.1",
    base_url="https://api.openai.com/v1",
    sources=(
        "https://platform.openai.com/docs/api-reference/chat/create",
        "https://platform.openai.com/docs/guides/structured-outputs#supported-schemas",
        "https://github.com/vercel/ai/issues/6484",
    ),
    rules=(_SAYS_JSON, OpenAIStrict()),
    answer=AnswerForm(logprobs=True),
    responses=True,
)

_REASONING_RULES = (
    NoFields(
        ("max_tokens",),
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        code="unsupported_parameter",
    ),
    OnlyValues(
        "temperature",
        (1, 1.0),
        "Unsupported value: 'temperature' does not support {value} with this model. "
        "Only the default (1) value is supported.",
        code="unsupported_value",
    ),
    NoFields(
        ("top_p", "stop"),
        "Unsupported parameter: '{field}' is not supported with this model.",
        code="unsupported_parameter",
    ),
    # With the status of a key without permission.
    NoFields(("logprobs", "top_logprobs"), "You are not allowed to request logprobs from this model", status=403),
    _SAYS_JSON,
    OpenAIStrict(),
)

OPENAI_REASONING = ProviderDialect(
    name="OpenAI, reasoning",
    model="gpt-5-mini",
    base_url="https://api.openai.com/v1",
    sources=(
        "https://platform.openai.com/docs/guides/reasoning",
        "https://github.com/promptfoo/promptfoo/issues/6153",
        "https://github.com/BerriAI/litellm/issues/13432",
    ),
    rules=_REASONING_RULES,
    answer=AnswerForm(thinks=True),
    responses=True,
)

AZURE = ProviderDialect(
    name="Azure",
    model="gpt-5.1-chat",
    base_url="https://example.services.ai.azure.com/openai/v1",
    sources=(
        "https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning",
        "https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-streaming",
        "https://github.com/OpenHands/OpenHands/issues/11662",
    ),
    rules=_REASONING_RULES,
    answer=AnswerForm(
        thinks=True, first_chunk={"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    ),
)

ANTHROPIC = ProviderDialect(
    name="Anthropic",
    model="claude-opus-4-6",
    base_url="https://api.anthropic.com/v1",
    # It ignores response_format, seed and log-probabilities, and does not show what the model thinks.
    sources=("https://platform.claude.com/docs/en/api/openai-sdk",),
    answer=AnswerForm(schema="ignored", usage=UsageForm(cached=None)),
)

GEMINI = ProviderDialect(
    name="Gemini",
    model="gemini-3-pro-preview",
    base_url="https://generativelanguage.googleapis.com/v1beta/openai",
    sources=(
        "https://ai.google.dev/gemini-api/docs/openai",
        "https://ai.google.dev/gemini-api/docs/thought-signatures",
        "https://github.com/Vali-98/ChatterUI/issues/227",
        "https://github.com/Gitlawb/openclaude/issues/67",
        "https://github.com/open-webui/computer/issues/224",
        "https://github.com/zed-industries/zed/issues/44875",
    ),
    rules=(
        NoFields(
            ("seed", "logprobs", "top_logprobs"),
            'Invalid JSON payload received. Unknown name "{field}": Cannot find field.',
            one_by_one=False,
        ),
        NoKeywords(
            ("$schema", "const", "propertyNames", "patternProperties"),
            "Invalid JSON payload received. Unknown name \"{keyword}\" at '{path}': Cannot find field.",
        ),
        ComesBack(
            "extra_content",
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
            "correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
            "function call `default_api:{tool}` , position {position}. Please refer to "
            "https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
        ),
    ),
    refusal=google_form,
    answer=AnswerForm(
        thinks=True,
        signs=True,
        calls="no_index",
        finishes={"tool_calls": "stop"},
        usage=UsageForm(place="every", reasoning="total", cached=None),
    ),
)

_DEEPSEEK_SOURCES = (
    "https://api-docs.deepseek.com/api/create-chat-completion",
    "https://api-docs.deepseek.com/guides/json_mode",
    "https://github.com/llm-exe/llm-exe/issues/662",
    "https://github.com/browserbase/stagehand/issues/1204",
)
_DEEPSEEK_RULES = (
    Roles(
        ("system", "user", "assistant", "tool"),
        "Failed to deserialize the JSON body into the target type: messages[{place}].role: unknown variant `{role}`, "
        "expected one of `system`, `user`, `assistant`, `tool`",
        status=422,
    ),
    NoImages(
        "Failed to deserialize the JSON body into the target type: messages[{place}]: unknown variant `image_url`, "
        "expected `text`"
    ),
    NoFormat("json_schema", "This response_format type is unavailable now", code="invalid_request_error"),
    SaysJson("Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'."),
    AtMost("max_tokens", 65_536, "Invalid max_tokens value, the valid range of max_tokens is [1, {most}]"),
)

DEEPSEEK = ProviderDialect(
    name="DeepSeek",
    model="deepseek-chat",
    base_url="https://api.deepseek.com/v1",
    sources=_DEEPSEEK_SOURCES,
    rules=_DEEPSEEK_RULES,
    answer=AnswerForm(
        schema="json",
        logprobs=True,
        comment=": keep-alive",
        usage=UsageForm(place="finish", only_if_asked=False, cached="prompt_cache_hit_tokens"),
    ),
    lacks=frozenset({"images"}),
)

DEEPSEEK_REASONING = ProviderDialect(
    name="DeepSeek, reasoning",
    model="deepseek-reasoner",
    base_url="https://api.deepseek.com/v1",
    sources=(
        *_DEEPSEEK_SOURCES,
        "https://api-docs.deepseek.com/guides/thinking_mode",
        "https://github.com/hotovo/aider-desk/issues/529",
        "https://github.com/cloudwego/eino/issues/994",
    ),
    rules=(
        *_DEEPSEEK_RULES,
        # The documentation says only that they are errors.
        NoFields(("logprobs", "top_logprobs"), "This model does not support the parameter {field}"),
        OnlyValues("tool_choice", ("auto", "none"), "Thinking mode does not support this tool_choice"),
        ComesBack(
            "reasoning_content",
            "Missing `reasoning_content` field in the assistant message at message index {place}. For more "
            "information, please refer to https://api-docs.deepseek.com/guides/thinking_mode#tool-calls",
        ),
    ),
    answer=AnswerForm(
        thinks=True,
        reasoning="reasoning_content",
        schema="json",
        comment=": keep-alive",
        usage=UsageForm(place="finish", only_if_asked=False, cached="prompt_cache_hit_tokens"),
    ),
    lacks=frozenset({"images"}),
)

_MISTRAL_SOURCES = (
    "https://docs.mistral.ai/api/#tag/chat",
    "https://github.com/Vali-98/ChatterUI/issues/143",
    "https://github.com/editor-code-assistant/eca/issues/231",
    "https://github.com/datapizza-labs/datapizza-ai/issues/98",
)
_MISTRAL_RULES = (
    NoFields(
        ("seed", "max_completion_tokens", "logprobs", "top_logprobs", "reasoning_effort"),
        "Extra inputs are not permitted",
        status=422,
        one_by_one=False,
    ),
    NotAfter(
        "user",
        "tool",
        "Unexpected role 'user' after role 'tool'",
        kind="invalid_request_message_order",
        code="3230",
    ),
    NoEmptyAssistant(
        "Assistant message must have either content or tool_calls, but not none.",
        kind="invalid_request_assistant_message",
        code="3240",
    ),
)
_MISTRAL_USAGE = UsageForm(place="finish", only_if_asked=False, cached=None)

MISTRAL = ProviderDialect(
    name="Mistral",
    model="mistral-small-latest",
    base_url="https://api.mistral.ai/v1",
    sources=_MISTRAL_SOURCES,
    rules=_MISTRAL_RULES,
    refusal=mistral_form,
    answer=AnswerForm(calls="whole", finishes={"length": "model_length"}, usage=_MISTRAL_USAGE),
)

MISTRAL_REASONING = ProviderDialect(
    name="Mistral, reasoning",
    model="magistral-medium-latest",
    base_url="https://api.mistral.ai/v1",
    sources=(*_MISTRAL_SOURCES, "https://docs.mistral.ai/capabilities/reasoning/"),
    rules=_MISTRAL_RULES,
    refusal=mistral_form,
    answer=AnswerForm(thinks=True, reasoning="parts", calls="whole", usage=_MISTRAL_USAGE),
)

XAI = ProviderDialect(
    name="xAI",
    model="grok-4",
    base_url="https://api.x.ai/v1",
    sources=(
        "https://docs.x.ai/docs/guides/reasoning",
        "https://github.com/BerriAI/litellm/issues/12635",
        "https://github.com/evalstate/fast-agent/pull/276",
    ),
    rules=(
        NoFields(("stop",), "Argument not supported on this model: {field}"),
        NoFields(("reasoning_effort",), "Model grok-4 does not support parameter reasoningEffort."),
    ),
    refusal=xai_form,
    answer=AnswerForm(
        thinks=True,
        reasoning="reasoning_content",
        calls="whole",
        usage=UsageForm(place="every", only_if_asked=False, reasoning="apart"),
    ),
)

QWEN = ProviderDialect(
    name="Qwen",
    model="qwen-plus",
    base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    sources=(
        "https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-openai-chat-completions",
        "https://github.com/cloudwego/eino/issues/994",
        "https://github.com/QwenLM/qwen-code/issues/7659",
    ),
    rules=(
        OnlyValues(
            "tool_choice",
            ("auto", "none"),
            "The tool_choice parameter does not support being set to required or object in thinking mode",
        ),
        SaysJson(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        ),
        AtMost("max_tokens", 32_768, "Range of max_tokens should be [1, {most}]"),
    ),
    refusal=dashscope_form,
    answer=AnswerForm(thinks=True, reasoning="reasoning_content", calls="empty_ids"),
)

MOONSHOT = ProviderDialect(
    name="Moonshot",
    model="kimi-k2.6",
    base_url="https://api.moonshot.ai/v1",
    sources=(
        "https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model",
        "https://github.com/BerriAI/litellm/pull/29687",
        "https://github.com/MoonshotAI/kimi-agent-sdk/issues/169",
    ),
    rules=(
        OnlyValues("temperature", (1, 1.0), "invalid temperature: only 1 is allowed for this model"),
        OnlyValues("top_p", (0.95,), "invalid top_p: only 0.95 is allowed for this model"),
        OnlyValues("tool_choice", ("auto", "none"), "tool_choice '{value}' is incompatible with thinking enabled"),
        ComesBack(
            "reasoning_content",
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index {place}",
        ),
    ),
    refusal=brief_form,
    answer=AnswerForm(thinks=True, reasoning="reasoning_content", usage=UsageForm(place="choice")),
)

PERPLEXITY = ProviderDialect(
    name="Perplexity",
    model="sonar-reasoning-pro",
    base_url="https://api.perplexity.ai",
    sources=(
        "https://docs.perplexity.ai/api-reference/chat-completions-post",
        "https://github.com/perplexityai/api-discussion/issues/265",
        "https://github.com/bieniu/ha-perplexity/issues/117",
        "https://github.com/pipecat-ai/pipecat/pull/4862",
    ),
    rules=(
        NoFields(("tools",), "Tool calling is not supported for this model", code="invalid_request"),
        NoFormat(
            "json_object",
            "[\"At body -> response_format -> ResponseFormatText -> type: Input should be 'text'\"]",
            code="bad_request",
        ),
        Alternating(
            "After the (optional) system message(s), user or tool message(s) should alternate with assistant "
            "message(s).",
            kind="invalid_message",
        ),
    ),
    refusal=numbered_form,
    answer=AnswerForm(
        thinks=True,
        reasoning="think",
        usage=UsageForm(place="every", only_if_asked=False, cached=None, cost="object"),
        extra={"citations": ["https://example.com/"], "search_results": []},
    ),
    lacks=frozenset({"tools"}),
)
