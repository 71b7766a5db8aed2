"""Servers for models on one's own machines."""

from __future__ import annotations

from .dialect import AnswerForm, ProviderDialect, UsageForm
from .field_rules import FitsContext, NoFormat, NotBoth, OnlyValues
from .message_rules import ArgumentsAreJson, NoEmptyAssistant, NoImages
from .refusals import numbered_form, text_form, vllm_form
from .schema_rules import NoPatterns

OLLAMA = ProviderDialect(
    name="Ollama",
    model="qwen3",
    base_url="http://localhost:11434/v1",
    sources=(
        "https://github.com/ollama/ollama/blob/main/docs/api/openai-compatibility.mdx",
        "https://github.com/ollama/ollama/issues/15457",
    ),
    # It ignores tool_choice and log-probabilities, and gives all tool calls of a stream the index 0.
    answer=AnswerForm(thinks=True, reasoning="reasoning", calls="index_0", usage=UsageForm(cached=None)),
)

VLLM = ProviderDialect(
    name="vLLM",
    model="Qwen/Qwen3-8B",
    base_url="http://localhost:8000/v1",
    sources=(
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        "https://docs.vllm.ai/en/latest/features/reasoning_outputs.html",
        "https://github.com/vllm-project/vllm/issues/20409",
    ),
    rules=(
        FitsContext(
            16_384,
            "This model's maximum context length is {limit} tokens. However, you requested {total} tokens ({prompt} "
            "in the messages, {answer} in the completion). Please reduce the length of the messages or completion.",
        ),
    ),
    refusal=vllm_form,
    answer=AnswerForm(thinks=True, reasoning="reasoning_content", logprobs=True),
)

SGLANG = ProviderDialect(
    name="SGLang",
    model="Qwen/Qwen3-8B",
    base_url="http://localhost:30000/v1",
    sources=(
        "https://docs.sglang.ai/basic_usage/openai_api_completions.html",
        "https://docs.sglang.ai/advanced_features/separate_reasoning.html",
    ),
    rules=(
        FitsContext(
            16_384,
            "Requested token count exceeds the model's maximum context length of {limit} tokens. You requested a total "
            "of {total} tokens: {prompt} tokens from the input messages and {answer} tokens for the completion. Please "
            "reduce the number of tokens in the input messages or the completion to fit within the limit.",
        ),
    ),
    refusal=vllm_form,
    answer=AnswerForm(thinks=True, reasoning="reasoning_content", logprobs=True),
)

LLAMA_CPP = ProviderDialect(
    name="llama.cpp",
    model="qwen2.5",
    base_url="http://localhost:8080/v1",
    sources=(
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        "https://github.com/lidge-jun/opencodex/issues/2135",
    ),
    rules=(
        NotBoth("tools", "response_format", "Cannot use custom grammar constraints with tools."),
        NoPatterns("Failed to initialize samplers: failed to parse grammar"),
        NoEmptyAssistant("Assistant message must contain either 'content' or 'tool_calls'!", status=500),
        ArgumentsAreJson("Failed to parse tool call arguments as JSON", status=500),
        NoImages("image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", 500),
    ),
    refusal=numbered_form,
    answer=AnswerForm(logprobs=True, extra={"timings": {"predicted_per_second": 40.0}, "system_fingerprint": "b1"}),
    lacks=frozenset({"images"}),
)

LM_STUDIO = ProviderDialect(
    name="LM Studio",
    model="qwen/qwen3-4b",
    base_url="http://localhost:1234/v1",
    sources=(
        "https://lmstudio.ai/docs/app/api/endpoints/openai",
        "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/189",
        "https://github.com/LoadShine/tada/issues/16",
    ),
    rules=(
        NoFormat("json_object", "'response_format.type' must be 'json_schema' or 'text'"),
        OnlyValues(
            "tool_choice",
            ("none", "auto", "required"),
            "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
        ),
    ),
    refusal=text_form,
    answer=AnswerForm(thinks=True, reasoning="think", usage=UsageForm(cached=None)),
)
