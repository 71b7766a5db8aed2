"""What is known of endpoints beforehand, and the names that stand for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from contemplate import Message, ModelSettings
from contemplate.errors import ConfigurationError
from contemplate.messages import ProviderData, ToolCall
from contemplate.models import ModelRequest, OpenAIModel, OutputSchema, ToolSpec, resolve
from contemplate.models.openai.hosts import ALIASES, HOSTS, host_at, host_named, profile_at
from contemplate.models.openai.profile import OPENAI, Profile
from contemplate.models.openai.request import body_of
from contemplate.testing import FaultyServer


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: str(host.name))
class TestEachRow:
    def test_it_has_a_source_and_a_name(self, host: Any) -> None:
        assert all(re.match(r"https://\S+$", each) for each in host.source.split(", "))
        assert host_named(host.name) == host
        assert re.fullmatch("[a-z]+", host.name)

    def test_its_url_is_found_again(self, host: Any) -> None:
        if host.url is not None and (host.domains or host.port):
            assert host_at(host.url) is host

    @pytest.mark.anyio
    async def test_its_name_stands_for_address_key_and_dialect(
        self, host: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with FaultyServer("ok") as server:
            for each in HOSTS:
                monkeypatch.delenv(each.url_variable, raising=False)
                monkeypatch.setenv(each.key_variable, f"key-of-{each.name}")
            monkeypatch.setenv(host.url_variable, server.url)
            model = resolve(f"{host.name}:some/model:free")
            assert model.name == f"{host.name}:some/model:free"
            await model.request(ModelRequest((Message.user("hello"),)))
            (exchange,) = server.exchanges
        assert exchange.model == "some/model:free"
        assert exchange.headers["authorization"] == f"Bearer key-of-{host.name}"

    def test_a_missing_key_is_named(self, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in (host.url_variable, host.key_variable):
            monkeypatch.delenv(variable, raising=False)
        if host.needs_key:
            with pytest.raises(ConfigurationError, match=host.key_variable if host.url else host.url_variable):
                resolve(f"{host.name}:model")
        else:
            resolve(f"{host.name}:model")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://r.openai.azure.com/openai/v1", "azure"),
        ("https://r.services.ai.azure.com/models", "azure"),
        ("https://r.cognitiveservices.azure.com/openai/v1", "azure"),
        ("https://r.models.ai.azure.com/v1", "azure"),
        ("https://R.OpenAI.Azure.com./openai/v1", "azure"),
        ("https://api.claude.com/v1", "claude"),
        ("https://api.anthropic.com/v1", "claude"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("http://gpu-box:11434/v1", "ollama"),
        ("http://localhost:1234/v1", "lmstudio"),
        ("https://api.groq.com.evil.example/v1", None),
        ("https://evilgroq.com/v1", None),
        ("https://notopenai.com/v1", None),
        ("http://127.0.0.1:8000/v1", None),
    ],
)
def test_endpoints_are_known_by_their_domain(url: str, name: str | None) -> None:
    host = host_at(url)
    assert (host.name if host else None) == name


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("gpt-4o", True),
        ("gpt-4.1-mini", True),
        ("gpt-5", False),
        ("gpt-5-mini", False),
        ("gpt-5-2025-08-07", False),
        ("gpt-5-chat-latest", True),
        ("gpt-5.1", True),
        ("o3", False),
        ("o4-mini", False),
        ("omni", True),
    ],
)
def test_reasoning_models_take_no_temperature(model: str, takes: bool) -> None:
    assert ("temperature" not in profile_at("https://api.openai.com/v1", model).left_out) is takes


def test_an_unknown_endpoint_speaks_the_usual_dialect() -> None:
    assert profile_at("https://llm.example.org/v1", "gpt-5") == Profile()


def test_near_names_are_suggested() -> None:
    with pytest.raises(ConfigurationError, match="did you mean .*groq"):
        resolve("gorq:llama")
    with pytest.raises(ConfigurationError, match="unknown provider 'nobody'"):
        resolve("nobody:llama")


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases(alias: str) -> None:
    assert host_named(alias) is host_named(ALIASES[alias])


def test_an_azure_address_may_be_the_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    for given in ("https://r.openai.azure.com", "https://r.openai.azure.com/", "https://r.openai.azure.com/openai/v1"):
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", given)
        assert "https://r.openai.azure.com/openai/v1'" in repr(resolve("azure:mine"))


def test_a_stated_profile_is_the_one_in_force() -> None:
    stated = Profile(seed_field="random_seed", left_out=frozenset({"stop"}))
    model = OpenAIModel("m", base_url="http://127.0.0.1:9/v1", profile=stated)
    assert model.profile == stated
    assert OpenAIModel("m", base_url="https://x.openai.azure.com/v1", api_key="k").profile == OPENAI


def body(profile: Profile, *messages: Message, provider: str = "here", **more: Any) -> dict[str, Any]:
    request = ModelRequest(messages or (Message.user("hello"),), **more)
    return body_of(request, model="m", stream=False, profile=profile, provider=provider)


class TestWhatIsSent:
    def test_seed_by_another_name(self) -> None:
        sent = body(Profile(seed_field="random_seed"), settings=ModelSettings(seed=1))
        assert (sent["random_seed"], "seed" in sent) == (1, False)

    @pytest.mark.parametrize(
        ("wanted", "sent"), [("none", "low"), ("minimal", "low"), ("high", "high"), ("xhigh", "high")]
    )
    def test_the_nearest_effort(self, wanted: Any, sent: str) -> None:
        settings = ModelSettings(reasoning_effort=wanted)
        assert body(Profile(efforts=("low", "high")), settings=settings)["reasoning_effort"] == sent

    @pytest.mark.parametrize("back", ["tool_turns", "all"])
    @pytest.mark.parametrize("field", [None, "reasoning_content", "reasoning_details"])
    def test_reasoning_goes_back_where_it_is_wanted(self, field: str | None, back: Any) -> None:
        data = ProviderData(provider="here", fields={"reasoning_content": "r", "reasoning_details": [1], "other": 2})
        call = ToolCall(id="c", name="t", arguments="{}", provider_data=ProviderData(provider="here", fields={"s": 3}))
        turn = Message.assistant("", (call,)).model_copy(update={"provider_data": data})
        said = Message.assistant("so").model_copy(update={"provider_data": data})
        profile = Profile(reasoning_field=field, reasoning_back=back)
        sent = body(profile, Message.user("a"), turn, Message.tool("c", "5"), said)["messages"]
        # What may be signed goes back in any case.
        name = field or "reasoning_details"
        expected = {name: data.fields[name]}
        assert {name: sent[1][name] for name in sent[1] if name.startswith("reasoning")} == expected
        assert {name for name in sent[3] if name.startswith("reasoning")} == (set(expected) if back == "all" else set())
        assert sent[1]["other"] == sent[3]["other"] == 2
        assert sent[1]["tool_calls"][0]["s"] == 3

    def test_nothing_goes_to_another_provider(self) -> None:
        data = ProviderData(provider="there", fields={"reasoning_content": "r", "x": 1})
        call = ToolCall(id="c", name="t", arguments="{}", provider_data=data)
        turn = Message.assistant("a", (call,)).model_copy(update={"provider_data": data})
        sent = body(Profile(reasoning_field="reasoning_content", reasoning_back="all"), turn)["messages"][0]
        assert set(sent) == {"role", "content", "tool_calls"}
        assert set(sent["tool_calls"][0]) == {"id", "type", "function"}

    def test_instructions_before_the_first_user_message(self) -> None:
        sent = body(Profile(system_role="user"), Message.system("rules"), Message.user("a"))["messages"]
        assert sent == [{"role": "user", "content": "rules\n\na"}]

    @pytest.mark.parametrize("form", ["json_object", "words"])
    def test_a_schema_in_words_is_part_of_the_instructions(self, form: Any) -> None:
        output = OutputSchema("s", {"type": "object"})
        sent = body(Profile(schema_form=form), Message.system("rules"), Message.user("a"), output_schema=output)
        assert sent["messages"][0]["content"].startswith("rules\n\n")
        assert '{"type":"object"}' in sent["messages"][0]["content"]
        assert ("response_format" in sent) is (form == "json_object")

    def test_the_tool_for_the_answer_stands_beside_others(self) -> None:
        output, tool = OutputSchema("s", {"type": "object"}), ToolSpec("s", "", {"type": "object"})
        profile = Profile(schema_form="tool", required_tool_choice="any")
        sent = body(profile, output_schema=output, tools=(tool,))
        assert [each["function"]["name"] for each in sent["tools"]] == ["s", "s_answer"]
        assert sent["tool_choice"] == "any"
        assert len(body(profile, output_schema=output, tools=(tool,), tool_choice="none")["tools"]) == 1
        assert len(body(profile, output_schema=output, tools=(tool,), tool_choice="required")["tools"]) == 1


def test_the_table_in_the_docs_has_all_of_them() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "models.md").read_text("utf-8")
    for host in HOSTS:
        if host.name != "openai":
            (row,) = (line for line in text.splitlines() if line.startswith(f"| `{host.name}:NAME` |"))
            assert f"`{host.url_variable}`" in row
            assert (f"`{host.key_variable}`" in row) is host.needs_key
