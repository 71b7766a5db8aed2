"""Three providers: one that fails, one that is silent, one that answers; and one that refuses the key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from contemplate.errors import ModelAuthError, ModelServerError
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import Exchange, HttpError, Reply, Silence
from examples.recipes import several_providers

PATIENCE = 0.2  # Only of those who do not answer: the last one may take its time.


class Providers(NamedTuple):
    openai: FaultyServer
    groq: FaultyServer
    ollama: FaultyServer
    faults: dict[str, Reply]


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Providers]:
    monkeypatch.setattr("contemplate.models.wrappers.retry.FIRST_WAIT", 0.001)
    plan = '{"tasks": [{"title": "One", "prompt": "One?"}]}'
    faults: dict[str, Reply] = {"openai": HttpError(503), "groq": Silence()}

    def script(name: str) -> Callable[[Exchange], Reply | str]:
        return lambda exchange: faults.get(name) or (plan if exchange.schema else "So it is.")

    with ExitStack() as stack:
        openai, groq, ollama = (
            stack.enter_context(FaultyServer(script(each))) for each in ("openai", "groq", "ollama")
        )
        servers = Providers(openai, groq, ollama, faults)
        monkeypatch.setenv("OPENAI_BASE_URL", servers.openai.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
        monkeypatch.setenv("GROQ_API_KEY", "of-groq")
        monkeypatch.setattr(several_providers, "GROQ", servers.groq.url)
        monkeypatch.setenv("OLLAMA_BASE_URL", servers.ollama.url)
        yield servers


def test_the_third_answers_and_it_is_said_who_did(providers: Providers) -> None:
    said = several_providers.ask(several_providers.model(PATIENCE), "Is it so?")
    assert said.startswith("So it is.")
    assert said.endswith(": ollama:qwen3")
    # Each key goes where it belongs.
    keys = [
        {each.headers.get("authorization") for each in server.exchanges}
        for server in (providers.openai, providers.groq)
    ]
    assert keys == [{"Bearer sk-of-openai"}, {"Bearer of-groq"}]


def test_one_that_fails_again_and_again_is_not_asked_for_a_while(providers: Providers) -> None:
    model = several_providers.model(PATIENCE)
    for _ in range(3):
        several_providers.ask(model, "Is it so?")
    asked = len(providers.openai.exchanges), len(providers.groq.exchanges)
    several_providers.ask(model, "Is it so?")
    assert (len(providers.openai.exchanges), len(providers.groq.exchanges)) == asked
    # Three times two attempts, and three without a second one.
    assert asked == (6, 3)


def test_a_key_that_is_refused_is_told_and_not_hidden_by_the_next_one(providers: Providers) -> None:
    providers.faults["openai"] = HttpError(401, "no such key")
    with pytest.raises(ModelAuthError, match="gpt-5-mini"):
        several_providers.ask(several_providers.model(PATIENCE), "Is it so?")
    assert providers.groq.exchanges == providers.ollama.exchanges == []


def test_if_all_fail_the_last_error_is_raised_with_the_others_in_its_notes(providers: Providers) -> None:
    providers.faults["ollama"] = HttpError(503)
    with pytest.raises(ModelServerError, match="ollama") as raised:
        several_providers.ask(several_providers.model(PATIENCE), "Is it so?")
    notes = "\n".join(raised.value.__notes__)
    assert "gpt-5-mini" in notes
    assert "gpt-oss-120b" in notes
