"""A model in-process: no script, no server of somebody else's. One of random weights does: it only has to be run.

What a real one says: ../test_real_model.py.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
import pytest

from contemplate import (
    Contemplator,
    Message,
    ModelSettings,
    RunContext,
    Task,
    TaskResult,
)
from contemplate.errors import ConfigurationError
from contemplate.events import Event, ModelCalled
from contemplate.models import Delta, LocalModel, ModelRequest, OutputSchema
from contemplate.models.local.server import local_server

from .. import local_model
from ..patience import PATIENCE
from ..tiny_model import write_tiny_model

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def tiny(tiny_file: Path) -> LocalModel:
    return LocalModel(tiny_file, threads=1, settings=ModelSettings(max_tokens=60))


async def test_a_schema_is_followed_while_it_streams(tiny: LocalModel) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"n": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3}},
        "required": ["n"],
        "additionalProperties": False,
    }
    deltas: list[Delta] = []
    question, settings = Message.user("Name three numbers."), ModelSettings(max_tokens=200)
    request = ModelRequest((question,), settings, output_schema=OutputSchema("n", schema))  # type: ignore[arg-type]
    response = await tiny.request(request, deltas.append)
    assert len(json.loads(response.message.text)["n"]) == 3
    assert "".join(delta.text for delta in deltas) == response.message.text
    assert len(deltas) > 3


async def test_common_prefixes_are_computed_once(tiny: LocalModel) -> None:
    long = Message.system("You know these facts. " + " ".join(f"Item {i} costs {i * 7} crowns." for i in range(30)))
    settings = ModelSettings(max_tokens=4)
    first = await tiny.request(ModelRequest((long, Message.user("What does item 3 cost?")), settings))
    again = await tiny.request(ModelRequest((long, Message.user("And item 9?")), settings))
    assert again.usage.cached_input_tokens > 0.8 * first.usage.input_tokens


async def test_what_eight_subagents_share_is_read_once(tiny: LocalModel, tiny_file: Path) -> None:
    called: list[ModelCalled] = []

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number in range(8):
            yield Task(id=str(number), prompt=f"What does item {number} cost?")

    def on_event(event: Event) -> None:
        if isinstance(event, ModelCalled):
            called.append(event)

    # A context that no slot has seen, whichever tests were there before.
    facts = f"This is list {uuid4().hex}. " + " ".join(f"Item {i} costs {i * 7} crowns." for i in range(40))
    mind = Contemplator(
        tiny,
        planner=plan,
        aggregator=_first_when_all_are_done,
        settings=ModelSettings(max_tokens=4),
        on_event=on_event,
    )
    result = await mind.run(f"{facts} What is dear, and what is cheap?")
    # Their own part is a line each.
    own = 40
    shared = [each.usage.cached_input_tokens / (each.usage.input_tokens - own) for each in called]
    assert len(shared) == 8
    assert min(each.usage.input_tokens for each in called) > 10 * own
    assert sum(share >= 0.9 for share in shared) >= 7
    assert min(shared) < 0.9, "somebody has read it"
    assert result.usage.cached_input_tokens == sum(each.usage.cached_input_tokens for each in called)
    slots = local_server(tiny_file, threads=1).slots
    assert slots.folder.stat().st_mode & 0o077 == 0
    assert list(slots.folder.iterdir()) == [], "what was read is kept in no file"


async def _first_when_all_are_done(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    texts = [each.text async for each in results]
    return texts[0]


async def test_eight_at_once_and_a_cancelled_one_frees_its_slot(tiny: LocalModel) -> None:
    request = ModelRequest((Message.user("Count from 1 to 500."),), ModelSettings(max_tokens=4000))
    started = anyio.Event()
    async with tiny.connect():
        async with anyio.create_task_group() as group:

            async def call() -> None:
                await tiny.request(request, lambda _: started.set())

            for _ in range(8):
                group.start_soon(call)
            await started.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(PATIENCE):
            await tiny.request(ModelRequest((Message.user("Say hi."),), ModelSettings(max_tokens=4)))


def test_what_cannot_be_set_up() -> None:
    with pytest.raises(ConfigurationError, match="there is no local model 'qwen9'"):
        LocalModel("qwen9")
    with pytest.raises(ConfigurationError, match="threads=0"):
        LocalModel(local_model.NAME, threads=0)
    with pytest.raises(ConfigurationError, match="context=100"):
        LocalModel(local_model.NAME, context=100)


async def test_threads_and_context_reach_llama_cpp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import xllamacpp

    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    given: list[tuple[int, int, int]] = []

    def server(params: Any) -> None:
        given.append((params.n_ctx, params.cpuparams.n_threads, params.cpuparams_batch.n_threads))
        raise RuntimeError("enough")

    monkeypatch.setattr(xllamacpp, "Server", server)
    with pytest.raises(ConfigurationError, match="enough"):
        async with LocalModel(file, threads=3, context=4096).connect():
            pass
    assert given == [(4096, 3, 3)]


async def test_a_key_keeps_others_out(tiny: LocalModel, tiny_file: Path) -> None:
    from openai import AsyncOpenAI, AuthenticationError

    async with tiny.connect():
        pass
    server = local_server(tiny_file, threads=1)
    assert urlsplit(server.base_url).hostname == "127.0.0.1"
    assert server.api_key not in repr(server)
    async with AsyncOpenAI(base_url=server.base_url, api_key="guess", max_retries=0) as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])


CHILD = """
import sys
from pathlib import Path
from contemplate.models.local.server import local_server
print(local_server(Path(sys.argv[1]), threads=1).base_url, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["kill", "end"])
def test_the_server_is_gone_when_its_process_is(how: str, tiny_file: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tiny_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stderr is not None
        url = urlsplit(child.stdout.readline().decode())
        address = (url.hostname or "", url.port or 0)
        socket.create_connection(address).close()
        if how == "kill":
            child.send_signal(signal.SIGKILL)
        else:
            child.stdin.write(b"\n")
            child.stdin.flush()
        chatter = child.stderr.read()
        assert child.wait(30) == (-signal.SIGKILL if how == "kill" else 0)
    assert chatter == b"", "llama.cpp keeps quiet"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
