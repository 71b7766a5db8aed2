"""`LocalModel.profile`: what its server takes, and how much fits; at an imitation, as no model is needed for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contemplate import Message, models
from contemplate.models import LocalModel, ModelRequest, OutputSchema, Profile
from contemplate.models.context_size import ContextSize, context_of
from contemplate.models.local.server import LocalServer
from contemplate.models.local.slots import Slots
from contemplate.models.probes.schemas import FORMS
from contemplate.testing import Provider, providers

pytestmark = pytest.mark.anyio

TYPED = ModelRequest((Message.user("x"),), output_schema=OutputSchema("x", {"type": "object"}))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    slots = Slots()

    def started(*_: Any, **__: Any) -> LocalServer:
        return LocalServer(provider.url, "key", slots)

    monkeypatch.setattr("contemplate.models.local.model.local_server", started)
    with Provider(providers.LLAMA_CPP) as provider:
        slots.serve(provider.url.removesuffix("/v1"), "key")
        yield provider


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    return path


async def test_a_check_shows_the_whole_table(server: Provider, file: Path) -> None:
    report = await models.check(LocalModel(file, context=4096))
    found = {each.name: each for each in report.findings}
    for form in FORMS:
        assert found[f"schema: {form}"].detail != "the model has no profile that says how"
    assert found["schema: strict"].verdict == found["schema: tool"].verdict == "ok"
    assert "context_tokens=4096" in report.profile_code


async def test_another_profile_is_that_of_another_object(server: Provider, file: Path) -> None:
    model = LocalModel(file)
    await model.request(TYPED)
    other = model.with_profile(Profile(schema_form="words"))
    assert (other.profile.schema_form, model.profile.schema_form) == ("words", "strict")
    await other.request(TYPED)
    assert "response_format" in server.requests[0]
    assert "response_format" not in server.requests[1]


def test_its_context_is_known(file: Path) -> None:
    model = LocalModel(file, context=4096)
    assert context_of(model) == ContextSize(4096)
    assert context_of(model.with_profile(Profile())) is None
