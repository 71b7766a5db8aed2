"""The endpoints that are known beforehand: one row for each host or server, with its dialect and its source.

What is not known is learnt (`learning.py`), so a row need not be complete; it saves the first refusals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from .profile import OPENAI, Profile


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose names match `pattern`, and their dialect where it differs from that of their host."""

    pattern: re.Pattern[str]
    profile: Profile


@dataclass(frozen=True, slots=True)
class Host:
    """A provider or server, and the dialect of its endpoint.

    Args:
        name: the prefix of its models' names, as in "groq:NAME".
        title: its name for people.
        url: its base URL; None if everybody has their own.
        key: the environment variable with the key; None if it needs none, and may have one.
        profile: its dialect.
        source: where the dialect is documented.
        domains: the domains of its endpoints, which may be below them.
        port: the port that it listens on by convention.
        address: the environment variable that replaces its base URL; one made of its name if empty.
        path: the path of its base URL, where everybody has their own host.
        families: models with a dialect of their own, the first that matches.
    """

    name: str
    title: str
    url: str | None
    key: str | None
    profile: Profile
    source: str
    domains: tuple[str, ...] = ()
    port: int | None = None
    address: str = ""
    path: str = ""
    families: tuple[Family, ...] = ()

    @property
    def needs_key(self) -> bool:
        """Whether it answers nobody without a key."""
        return self.key is not None

    @property
    def key_variable(self) -> str:
        """The environment variable with the key."""
        return self.key or f"{self.name.upper()}_API_KEY"

    @property
    def url_variable(self) -> str:
        """The environment variable that replaces its base URL."""
        return self.address or f"{self.name.upper()}_BASE_URL"

    def completed(self, url: str) -> str:
        """Return a base URL of which only the host may be given, with its path."""
        return url.rstrip("/") + self.path if self.path and urlsplit(url).path in ("", "/") else url

    def profile_of(self, model: str) -> Profile:
        """Return the dialect of a model there."""
        return next((each.profile for each in self.families if each.pattern.search(model)), self.profile)


def _but(profile: Profile, **changes: object) -> Profile:
    return profile.model_copy(update=changes)


_LOGPROBS = frozenset({"logprobs", "top_logprobs"})
_SAMPLING = frozenset({"temperature", "top_p", *_LOGPROBS})

# https://platform.openai.com/docs/guides/reasoning, https://platform.openai.com/docs/guides/latest-model: reasoning
# models refuse sampling settings and, most of them, stop sequences; later ones take them without reasoning.
_REASONING = re.compile(r"(^|/)(o[1-9](-|$)|gpt-5(?!-chat)(-(mini|nano|pro|codex)|-\d{4}|$))")
_RESPONSES_ONLY = re.compile(r"^(o\d|gpt-5).*(-pro|-codex|deep-research)|^codex-|^computer-use")
_LATER_REASONING = re.compile(r"^gpt-(5\.\d|[6-9])(?!.*-chat)")
_OPENAI_FAMILIES = (Family(_REASONING, _but(OPENAI, left_out=_SAMPLING | {"stop"})),)
# https://platform.openai.com/docs/guides/migrate-to-responses: there reasoning models keep what they thought between
# turns with tools, and some of them can be had in no other way.
_OPENAI_OWN = (
    Family(_RESPONSES_ONLY, _but(OPENAI, api="responses", left_out=_SAMPLING | {"stop"})),
    Family(_REASONING, _but(OPENAI, api="responses", left_out=_SAMPLING | {"stop"})),
    Family(_LATER_REASONING, _but(OPENAI, api="responses")),
)

# Servers that enforce all of JSON Schema, or pass it on to a model untouched.
_ANY_SCHEMA = Profile(schema_dialect="json_schema")
_PLAIN_SCHEMA = _but(_ANY_SCHEMA, schema_form="plain")
_JSON_ONLY = _but(_ANY_SCHEMA, schema_form="json_object")
_THINKING = {"reasoning_field": "reasoning_content"}

HOSTS: tuple[Host, ...] = (
    Host(
        "openai",
        "OpenAI",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        OPENAI,
        "https://platform.openai.com/docs/api-reference/chat/create",
        domains=("openai.com",),
        families=_OPENAI_OWN,
    ),
    Host(
        "azure",
        "Azure OpenAI and Foundry",
        None,
        "AZURE_OPENAI_API_KEY",
        OPENAI,
        "https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        domains=("azure.com", "azure.us", "azure.cn", "azure-api.net"),
        address="AZURE_OPENAI_ENDPOINT",
        path="/openai/v1",
        families=(*_OPENAI_FAMILIES, Family(re.compile(r"(?i)mistral|llama|phi|deepseek|cohere|grok"), Profile())),
    ),
    Host(
        "claude",
        "Anthropic's compatible endpoint",
        "https://api.anthropic.com/v1",
        "ANTHROPIC_API_KEY",
        # It ignores response_format, seed and logprobs; the bound of the temperature is 1.
        _but(_ANY_SCHEMA, schema_form="tool", left_out=_LOGPROBS | {"seed"}, at_most={"temperature": 1.0}),
        "https://platform.claude.com/docs/en/api/openai-sdk",
        domains=("anthropic.com", "claude.com"),
    ),
    Host(
        "gemini",
        "Gemini's compatible endpoint",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        Profile(schema_form="plain", schema_dialect="gemini", schema_with_tools=False, left_out=_LOGPROBS | {"seed"}),
        "https://ai.google.dev/gemini-api/docs/openai",
        domains=("googleapis.com",),
    ),
    Host(
        "deepseek",
        "DeepSeek",
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        # None of its models sees.
        _but(_JSON_ONLY, **_THINKING, images=False),
        "https://api-docs.deepseek.com/guides/json_mode, https://api-docs.deepseek.com/guides/thinking_mode",
        domains=("deepseek.com",),
        families=(
            Family(
                re.compile("reasoner"),
                _but(_JSON_ONLY, **_THINKING, images=False, left_out=_SAMPLING, required_tool_choice=None),
            ),
        ),
    ),
    Host(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        Profile(
            seed_field="random_seed",
            required_tool_choice="any",
            user_after_tool=False,
            left_out=_LOGPROBS | {"stream_options"},
        ),
        "https://docs.mistral.ai/api/, https://github.com/zed-industries/zed/issues/37021",
        domains=("mistral.ai",),
    ),
    Host(
        "groq",
        "Groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        _but(_JSON_ONLY, schema_with_tools=False, schema_streams=False, left_out=_LOGPROBS),
        "https://console.groq.com/docs/openai, https://console.groq.com/docs/structured-outputs",
        domains=("groq.com",),
        families=(
            Family(
                re.compile(r"gpt-oss"),
                Profile(schema_dialect="closed", schema_with_tools=False, schema_streams=False, left_out=_LOGPROBS),
            ),
            Family(
                re.compile(r"llama-4|kimi-k2"),
                Profile(
                    schema_form="plain",
                    schema_dialect="closed",
                    schema_with_tools=False,
                    schema_streams=False,
                    left_out=_LOGPROBS,
                ),
            ),
        ),
    ),
    Host(
        "xai",
        "xAI",
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        Profile(reasoning_apart=True),
        "https://docs.x.ai/docs/guides/reasoning, https://docs.x.ai/docs/guides/structured-outputs",
        domains=("x.ai",),
        families=(
            Family(
                re.compile(r"grok-4(?!\.[3-9])(?!.*non-reasoning)|grok-code"),
                Profile(reasoning_apart=True, left_out=frozenset({"stop", "reasoning_effort"})),
            ),
            Family(
                re.compile(r"grok-3-mini"),
                Profile(reasoning_apart=True, left_out=frozenset({"stop"}), efforts=("low", "high")),
            ),
        ),
    ),
    Host(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        Profile(reasoning_field="reasoning_details"),
        "https://openrouter.ai/docs/api/reference/parameters, https://openrouter.ai/docs/guides/best-practices/"
        "reasoning-tokens",
        domains=("openrouter.ai",),
    ),
    Host(
        "together",
        "Together",
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
        _PLAIN_SCHEMA,
        "https://docs.together.ai/docs/json-mode, https://docs.together.ai/docs/openai-api-compatibility",
        domains=("together.xyz", "together.ai"),
    ),
    Host(
        "fireworks",
        "Fireworks",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        _but(_PLAIN_SCHEMA, **_THINKING, left_out=frozenset({"stream_options"})),
        "https://docs.fireworks.ai/tools-sdks/openai-compatibility, https://github.com/FlowiseAI/Flowise/issues/2866",
        domains=("fireworks.ai",),
    ),
    Host(
        "cerebras",
        "Cerebras",
        "https://api.cerebras.ai/v1",
        "CEREBRAS_API_KEY",
        Profile(max_tokens_field="max_completion_tokens", schema_dialect="closed", schema_with_tools=False),
        "https://inference-docs.cerebras.ai/resources/openai",
        domains=("cerebras.ai",),
    ),
    Host(
        "dashscope",
        "Qwen at DashScope",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        _but(_JSON_ONLY, required_tool_choice=None),
        "https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        domains=("aliyuncs.com",),
    ),
    Host(
        "moonshot",
        "Moonshot",
        "https://api.moonshot.ai/v1",
        "MOONSHOT_API_KEY",
        _but(_JSON_ONLY, **_THINKING, required_tool_choice=None, at_most={"temperature": 1.0}),
        "https://platform.moonshot.cn/docs/guide/migrating-from-openai-to-kimi",
        domains=("moonshot.ai", "moonshot.cn"),
        families=(
            # Their sampling is fixed, and any other value than the default is refused.
            Family(
                re.compile(r"kimi-k(2\.[5-9]|[3-9])"),
                _but(_JSON_ONLY, **_THINKING, required_tool_choice=None, left_out=frozenset({"temperature", "top_p"})),
            ),
        ),
    ),
    Host(
        "nvidia",
        "NVIDIA",
        "https://integrate.api.nvidia.com/v1",
        "NVIDIA_API_KEY",
        _ANY_SCHEMA,
        "https://docs.nvidia.com/nim/large-language-models/latest/api-reference.html",
        domains=("nvidia.com",),
    ),
    Host(
        "perplexity",
        "Perplexity",
        "https://api.perplexity.ai",
        "PERPLEXITY_API_KEY",
        # It has no tools, and wants users and assistants to take turns.
        _but(
            _PLAIN_SCHEMA,
            tool_form="prompted",
            roles_alternate=True,
            left_out=_LOGPROBS | {"seed", "stop", "stream_options"},
        ),
        "https://docs.perplexity.ai/guides/chat-completions-guide",
        domains=("perplexity.ai",),
    ),
    Host(
        "ollama",
        "Ollama",
        "http://localhost:11434/v1",
        None,
        _but(_PLAIN_SCHEMA, required_tool_choice=None),
        "https://docs.ollama.com/api/openai-compatibility",
        domains=("ollama.com",),
        port=11434,
    ),
    Host(
        "lmstudio",
        "LM Studio",
        "http://localhost:1234/v1",
        None,
        _ANY_SCHEMA,
        "https://lmstudio.ai/docs/developer/openai-compat/structured-output",
        port=1234,
    ),
    Host(
        "vllm",
        "vLLM",
        "http://localhost:8000/v1",
        None,
        _PLAIN_SCHEMA,
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    ),
    Host(
        "sglang",
        "SGLang",
        "http://localhost:30000/v1",
        None,
        _PLAIN_SCHEMA,
        "https://docs.sglang.ai/basic_usage/openai_api_completions.html",
    ),
    Host(
        "llamacpp",
        "llama.cpp",
        "http://localhost:8080/v1",
        None,
        Profile(schema_form="plain", schema_dialect="llama_cpp", schema_with_tools=False),
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    ),
    Host(
        "litellm",
        "LiteLLM's proxy",
        "http://localhost:4000/v1",
        "LITELLM_API_KEY",
        Profile(),
        "https://docs.litellm.ai/docs/proxy/user_keys, https://docs.litellm.ai/docs/completion/drop_params",
        # What the model behind it refuses, it refuses itself.
        families=(Family(re.compile("claude"), Profile(left_out=_LOGPROBS | {"seed"})),),
    ),
)

# Other words for the same.
ALIASES = {"qwen": "dashscope", "kimi": "moonshot", "grok": "xai", "google-gla": "gemini", "llama.cpp": "llamacpp"}
_BY_NAME = {host.name: host for host in HOSTS}


def host_named(name: str) -> Host | None:
    """Return the provider whose models are called "NAME:..."; None if there is none."""
    return _BY_NAME.get(ALIASES.get(name, name))


def host_at(url: str) -> Host | None:
    """Return whose endpoint `url` is, by its domain, or its port on any machine; None if it is not known."""
    parts = urlsplit(url)
    place = f".{(parts.hostname or '').lower().rstrip('.')}"
    for host in HOSTS:
        if any(place.endswith(f".{domain}") for domain in host.domains) or (host.port and host.port == parts.port):
            return host
    return None


def profile_at(url: str, model: str) -> Profile:
    """Return what is known of the dialect of `model` at `url`; the usual one if nothing is."""
    host = host_at(url)
    return Profile() if host is None else host.profile_of(model)
