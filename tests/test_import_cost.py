"""What an import loads, by name and not by clock: nobody pays for what they do not use."""

from __future__ import annotations

import subprocess
import sys

LISTED = """
import sys, threading, logging
before = set(sys.modules)
{}
assert threading.active_count() == 1, threading.enumerate()
assert not logging.getLogger("contemplate").handlers
print(*sorted({{name.split(".")[0] for name in set(sys.modules) - before}}))
"""
HEAVY = {
    "aiohttp",
    "filelock",
    "httpx2",
    "mcp",
    "openai",
    "pydantic_ai",
    "pydantic_monty",
    "rich",
    "starlette",
    "structlog",
    "tenacity",
    "trio",
    "uvicorn",
    "xllamacpp",
}


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LISTED.format(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_package_alone_loads_nothing_of_anybody_elses() -> None:
    assert {name for name in loaded_by("import contemplate") if name not in sys.stdlib_module_names} == {"contemplate"}


def test_its_types_load_what_they_are_made_of() -> None:
    made_of = {"annotated_types", "anyio", "pydantic", "pydantic_core", "sniffio", "typing_extensions"}
    loaded = loaded_by("from contemplate import *")
    # The interpreter's own build configuration is named after the machine.
    strange = {name for name in loaded - sys.stdlib_module_names if not name.startswith("_sysconfigdata")}
    assert strange - {"typing_inspection"} == {"contemplate", *made_of}


LIGHT = [
    "import contemplate; contemplate.Contemplator",
    "from contemplate import *",
    "from contemplate import planners, aggregators, answers, models, testing, errors, events",
    "from contemplate.testing import ScriptedModel, FaultyServer",
    "from contemplate import Contemplator, testing; Contemplator(testing.ScriptedModel('a'))",
    "from contemplate.models import OpenAIModel; OpenAIModel('m', base_url='http://127.0.0.1:9/v1')",
    "from contemplate.models import resolve; resolve('http://127.0.0.1:9/v1#m')",
    "from contemplate.models import LocalModel, PydanticAIModel",
    "from contemplate import mcp_tools; mcp_tools('a command')",
    "import contemplate.cli",
]


def test_what_is_heavy_waits_until_it_is_needed() -> None:
    """In one process: what all of them together do not load, none of them does."""
    each = f"for code in {LIGHT!r}: exec(code); assert not {HEAVY!r} & set(sys.modules), code"
    assert "contemplate" in loaded_by(each)


def test_a_run_without_a_network_needs_no_client() -> None:
    code = (
        "from contemplate import ask_sync, testing\n"
        "assert ask_sync('q', model=testing.ScriptedModel('a'), mode='instant').output == 'a'"
    )
    assert not loaded_by(code) & HEAVY


def test_no_call_but_openais_own_needs_its_package() -> None:
    code = """
import anyio
from contemplate.models import ModelRequest, OpenAIModel
from contemplate.messages import Message
from contemplate.testing import FaultyServer
with FaultyServer(script=lambda exchange: "a") as server:
    model = OpenAIModel("m", base_url=server.url)
    for backend in ("asyncio", "trio"):
        answer = anyio.run(model.request, ModelRequest((Message.user("q"),)), backend=backend)
        assert answer.message.text == "a"
"""
    loaded = loaded_by(code)
    assert "httpx2" in loaded
    assert "openai" not in loaded
