"""The quick clients of the suite, as they are installed beside the tests: each script in this process."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import anyio
import pytest

from clients.catalog import SCRIPTS, clients
from clients.cells import applies
from clients.features import FEATURES, Feature
from clients.minds import minds

from ..patience import PATIENCE
from .conftest import Serve

PACKAGES = {
    "openai-python": "openai",
    "openai-python-responses": "openai",
    "anthropic-python": "anthropic",
    "pydantic-ai": "pydantic_ai",
}
CELLS = [
    pytest.param(name, feature, id=f"{name}-{feature.name}")
    for name in PACKAGES
    for feature in FEATURES
    if applies(clients()[name], feature)
]


class Said(list[dict[str, Any]]):
    """What happened on the server, and whether a run was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = threading.Event()

    def tell(self, what: dict[str, Any]) -> None:
        self.append(what)
        if "cancelled" in what:
            self.cancelled.set()


def loaded(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


async def and_closed(module: ModuleType, function: Any) -> Any:
    """Call an async function, and close the client of its model, which belongs to this event loop."""
    try:
        return await function()
    finally:
        await module.model.client.close()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Loads a client's script, for a server and a question; its client is closed afterwards."""
    loads: list[ModuleType] = []

    def load(name: str, feature: Feature, url: str) -> ModuleType:
        monkeypatch.setenv("SUITE_URL", url)
        monkeypatch.setenv("SUITE_QUESTION", feature.question)
        loaded("given", "given.py")
        loads.append(loaded("client_script", clients()[name].file))
        return loads[-1]

    yield load
    for module in loads:
        if hasattr(module, "client"):
            module.client.close()
    for name in ("given", "client_script"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "feature"), CELLS)
def test_a_client_has_what_it_asks_for(name: str, feature: Feature, serve: Serve, script: Any) -> None:
    pytest.importorskip(PACKAGES[name])
    said = Said()
    module = script(name, feature, serve(minds(said.tell)))
    function = getattr(module, feature.function)
    had = anyio.run(and_closed, module, function) if inspect.iscoroutinefunction(function) else function()
    if feature.name == "cancel":
        assert said.cancelled.wait(PATIENCE)
    assert feature.check(had or {}, said) == []
