"""The table of `benchmarks.providers` against real servers.

    python -m benchmarks.real_servers litellm --command VENV/bin/litellm    LiteLLM's proxy in front of imitations
    python -m benchmarks.real_servers local                                 llama.cpp in this process, a small model
    python -m benchmarks.real_servers at --base-url URL --model NAME        any other, with CONTEMPLATE_API_KEY

LiteLLM is never a dependency: `python -m venv VENV && VENV/bin/pip install 'litellm[proxy]'`. *wrong* is an answer that
came, and was not the one that the question has: that may be the model's fault.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import anyio

from benchmarks.litellm_proxy import KEY, litellm_proxy
from benchmarks.providers import COLUMNS, Endpoint, Outcome, at_imitation, cells, row_of, tried_at
from contemplate import ModelSettings
from contemplate.models import OpenAIModel
from contemplate.models.local import KNOWN, pull
from contemplate.models.local.server import local_server
from contemplate.models.openai.lesson_store import forget
from contemplate.testing import Provider, providers
from contemplate.testing.providers import ProviderDialect

# With which of its own adapters LiteLLM asks an imitation.
ADAPTERS: Mapping[str, ProviderDialect] = {
    "openai/": providers.OPENAI,
    "deepseek/": providers.DEEPSEEK,
    "mistral/": providers.MISTRAL,
    "groq/": providers.GROQ,
    "xai/": providers.XAI,
    "together_ai/": providers.TOGETHER,
    "hosted_vllm/": providers.VLLM,
    "openai/ ": providers.GATEWAY,
}
SECONDS = 300


async def table(endpoints: Mapping[str, Endpoint], seconds: float) -> str:
    """Return the table in Markdown. What is learnt in trying one thing is forgotten before the next."""
    lines = [f"| server | model | {' | '.join(COLUMNS)} |", f"|{'---|' * (len(COLUMNS) + 2)}"]
    for name, endpoint in endpoints.items():

        async def tries(capability: str, stream: bool, endpoint: Endpoint = endpoint) -> Outcome:
            forget(f"#{endpoint.model.model}")
            return await tried_at(endpoint, capability, stream=stream, seconds=seconds)

        lines.append(f"| {name} | `{endpoint.model.model}` | {cells(await row_of(name, tries))} |")
        sys.stderr.write(f"{lines[-1]}\n")
    return "\n".join(lines) + "\n"


@contextmanager
def litellm(command: Path, only: str = "") -> Iterator[dict[str, Endpoint]]:
    """The endpoints of a proxy of LiteLLM's in front of imitations, one for each of its adapters."""
    chosen = {adapter: dialect for adapter, dialect in ADAPTERS.items() if adapter.startswith(only)}
    with ExitStack() as stack:
        servers = {adapter: stack.enter_context(Provider(dialect)) for adapter, dialect in chosen.items()}
        models = {
            _named(server): {"model": f"{adapter.strip()}{server.model}", "api_base": server.url, "api_key": "k"}
            for adapter, server in servers.items()
        }
        address, _ = stack.enter_context(litellm_proxy(command, models))
        yield {
            f"LiteLLM as {adapter.strip()}, {server.dialect.name}": at_imitation(
                OpenAIModel(_named(server), base_url=f"{address}/v1", api_key=KEY), server
            )
            for adapter, server in servers.items()
        }


def local(name: str) -> dict[str, Endpoint]:
    """The endpoint of llama.cpp in this process, as if it were any server."""
    server = local_server(pull(KNOWN[name]))
    settings = ModelSettings(temperature=0, max_tokens=200)
    model = OpenAIModel(name, base_url=server.base_url, api_key=server.api_key, settings=settings)
    return {f"llama.cpp (xllamacpp {version('xllamacpp')})": Endpoint(model)}


def _named(server: Provider) -> str:
    # As an alias, of which LiteLLM cannot know what the model takes.
    return f"{server.dialect.name.split()[0].lower()}-{server.model.rpartition('/')[2]}"


def main() -> None:
    """Print the table."""
    # As Ctrl-C does, so that no proxy is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_servers", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    proxy = kinds.add_parser("litellm")
    proxy.add_argument("--command", type=Path, required=True)
    proxy.add_argument("--only", default="", help="the adapters that begin so")
    kinds.add_parser("local").add_argument("--model", default="qwen2.5-coder-0.5b", choices=tuple(KNOWN))
    other = kinds.add_parser("at")
    other.add_argument("--base-url", required=True)
    other.add_argument("--model", required=True)
    given = parser.parse_args()
    if given.kind == "litellm":
        with litellm(given.command, given.only) as endpoints:
            sys.stdout.write(anyio.run(table, endpoints, SECONDS))
        return
    if given.kind == "local":
        endpoints = local(given.model)
    else:
        model = OpenAIModel(given.model, base_url=given.base_url, api_key=os.environ.get("CONTEMPLATE_API_KEY"))
        endpoints = {given.base_url: Endpoint(model)}
    sys.stdout.write(anyio.run(table, endpoints, SECONDS))


if __name__ == "__main__":
    # Of its own, as nothing that was learnt elsewhere is to help.
    os.environ["CONTEMPLATE_NO_LESSONS"] = "1"
    main()
