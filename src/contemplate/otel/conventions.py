"""The names of OpenTelemetry's conventions for generative AI, of which we use a part.

They are kept here, as the package of constants that OpenTelemetry publishes calls all of them deprecated while the
conventions are in development.

Source: https://github.com/open-telemetry/semantic-conventions-genai (spans of models, agents and tools; metrics).
"""

from __future__ import annotations

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION = "gen_ai.conversation.id"
WORKFLOW_NAME = "gen_ai.workflow.name"
AGENT_NAME = "gen_ai.agent.name"
AGENT_ID = "gen_ai.agent.id"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105
ERROR_TYPE = "error.type"

INVOKE_WORKFLOW, PLAN, INVOKE_AGENT, CHAT, EXECUTE_TOOL = (
    "invoke_workflow",
    "plan",
    "invoke_agent",
    "chat",
    "execute_tool",
)

# Phoenix draws spans by these kinds: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
OPENINFERENCE_KIND = "openinference.span.kind"
OPENINFERENCE_KINDS = {
    INVOKE_WORKFLOW: "CHAIN",
    PLAN: "AGENT",
    INVOKE_AGENT: "AGENT",
    CHAT: "LLM",
    EXECUTE_TOOL: "TOOL",
}

# What the conventions call a provider that has another name here.
PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "claude": "anthropic",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}

# Bounds of histograms, as the conventions advise: seconds, and tokens.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


def provider_and_model(name: str) -> tuple[str, str]:
    """Return the provider and the model that `name` tells, such as "groq:llama-3.3-70b-versatile"."""
    provider, colon, model = name.partition(":")
    if not colon:
        return "contemplate", name
    return PROVIDERS.get(provider, provider), model
