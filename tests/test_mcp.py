"""MCP: real servers, as processes over stdio and over HTTP on loopback.

What servers say is tried with one made with the official package; when they start and end, with one that is quick.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import psutil
import pytest

from contemplate import (
    Agent,
    Contemplator,
    Limits,
    Message,
    RunResult,
    Task,
    checked,
    mcp_tools,
    planners,
    strategies,
    tool,
)
from contemplate.errors import (
    ConfigurationError,
    ContemplateError,
    LimitExceeded,
    MissingDependencyError,
    ModelServerError,
    PlanError,
    ToolError,
    ToolServerError,
)
from contemplate.events import Event, RunFailed, ToolFinished, ToolStarted
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel
from contemplate.tools.toolset import Toolset

from . import mcp_odd_server, mcp_quick_server, mcp_server
from .patience import PATIENCE
from .support import cancelled_after, steps

OFFICIAL = str(Path(mcp_server.__file__))
QUICK = str(Path(mcp_quick_server.__file__))
SECRET = "s3cret-value-9"
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leftovers")]


def processes(token: str) -> list[psutil.Process]:
    """The processes that `token` was given to, among their words."""
    return [each for each in psutil.process_iter(["cmdline"]) if token in (each.info["cmdline"] or ())]


def servers(token: str) -> list[psutil.Process]:
    """The Python processes among them that are servers, and not their shells or children."""
    return [each for each in processes(token) if each.info["cmdline"][1] in (OFFICIAL, QUICK)]


@pytest.fixture
def token() -> Iterator[str]:
    """What marks a test's processes; none of them may be there when the test is over."""
    mark = f"test-{uuid4().hex}"
    yield mark
    # What was killed with its group may take a moment to be gone.
    _, left = psutil.wait_procs(processes(mark), timeout=PATIENCE)
    for each in left:
        each.kill()
    assert not left


class OverHttp:
    def __init__(self, *words: str, key: str = "") -> None:
        command = [sys.executable, OFFICIAL, "http", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TEST_KEY": key})
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/mcp"

    def tools(self, **options: Any) -> Toolset:
        return mcp_tools(self.url, headers={"Authorization": f"Bearer {SECRET}"}, **options)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def over_http() -> Iterator[OverHttp]:
    server = OverHttp(key=SECRET)
    yield server
    server.end()


@pytest.fixture
def mortal() -> Iterator[OverHttp]:
    server = OverHttp()
    yield server
    server.end()


Make = Callable[..., Toolset]


@pytest.fixture
def make(request: pytest.FixtureRequest, token: str) -> Make:
    """`mcp_tools` for a server that speaks the one or the other way, and keeps a secret."""
    if request.param == "stdio":
        return lambda **options: mcp_tools([sys.executable, OFFICIAL, token], env={"TEST_KEY": SECRET}, **options)
    server: OverHttp = request.getfixturevalue("over_http")
    return server.tools


# The official server takes longer to start than such a test: on trio it is the one that is there; quick ones start.
ways = pytest.mark.parametrize(
    ("anyio_backend", "make"), [("asyncio", "stdio"), ("asyncio", "http"), ("trio", "http")], indirect=["make"]
)


def local(token: str, *words: str, server: str = QUICK, **options: Any) -> Toolset:
    return mcp_tools([sys.executable, server, token, *words], **options)


def asks(*calls: tuple[str, dict[str, Any]]) -> Message:
    return Message.assistant(
        "", tuple(ToolCall(id=f"c{n}", name=name, arguments=json.dumps(given)) for n, (name, given) in enumerate(calls))
    )


async def told(toolset: Toolset, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """What the model is told when it makes `calls`, all in one turn."""
    model = ScriptedModel([asks(*calls), "done"])
    result = await Contemplator(model, mode="instant", tools=[toolset]).run("?")
    assert result.output == "done"
    return [each.text for each in model.requests[1].messages if each.role == "tool"]


async def until(true: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE):
        while not true():
            await anyio.sleep(0.01)


async def ended(token: str) -> None:
    """Wait until all that was killed with its group is gone, which may be a moment after its leader is."""
    await until(lambda: not processes(token))


# What the model is shown and told


async def test_schemas_and_words_are_the_servers_own(over_http: OverHttp) -> None:
    model = ScriptedModel("yes")
    await Contemplator(model, mode="instant", tools=[over_http.tools()]).run("?")
    there = {each.name.replace(".", "_"): each for each in await mcp_server.server.list_tools()}
    shown = {each.name: each for each in model.requests[0].tools}
    assert shown.keys() == there.keys()
    assert shown["add"].description == "Add two numbers."
    for name, spec in shown.items():
        assert spec.parameters == there[name].input_schema


@ways
async def test_what_tools_return(make: Make) -> None:
    calls = [("add", {"a": 41}), ("places_list", {}), ("picture", {}), ("data", {})]
    note = "[images made: 1; the user gets them with your answer]"
    assert await told(make(), *calls) == ["42", "Lyon\nOslo", f"a pixel\n{note}", '{"n":[1,2]}']


async def test_images_come_with_the_answer(over_http: OverHttp) -> None:
    model = ScriptedModel([asks(("picture", {})), "there"])
    result = await Contemplator(model, mode="instant", tools=[over_http.tools()]).run("?")
    assert [each.data for each in result.images] == [mcp_server.PIXEL]


async def test_what_is_neither_text_nor_image_is_named(over_http: OverHttp) -> None:
    left_out = "[a result of the type audio/wav stood here, which cannot be shown]"
    assert await told(over_http.tools(), ("files", {})) == [f"a note\n{left_out}\npage: https://localhost/page"]


async def test_programs_can_use_them(over_http: OverHttp) -> None:
    program = "from tools import add, places_list\nprint(add(20, b=22), places_list())"
    model = ScriptedModel(f"```python\n{program}\n```")
    planner = planners.sample(1, strategies=[strategies.code])
    result = await Contemplator(model, planner=planner, mode="vote", tools=[over_http.tools()]).run("?")
    assert "42 Lyon\nOslo" in result.text
    assert "add(a: integer, b: integer = ...): Add two numbers." in model.requests[0].messages[-1].text


async def test_what_fails_is_told_to_the_model(over_http: OverHttp) -> None:
    refused, wrong = await told(over_http.tools(), ("refuse", {}), ("add", {"a": "x"}))
    assert refused == "The tool failed. ToolError: no such row; key [secret]"
    assert wrong.startswith("The tool failed. ToolError: ")
    assert "valid integer" in wrong


async def test_who_answers_too_late_is_not_waited_for(token: str, over_http: OverHttp) -> None:
    # A server that others hurry answers late, too: nobody else is asked here.
    for hanging in (local(token, timeout=0.5), over_http.tools(timeout=0.5)):
        assert await told(hanging, ("hang", {})) == [
            "The tool failed. ToolError: hang did not answer within 0.5 seconds"
        ]


@pytest.mark.parametrize("server", [5, None, [5], b"uvx x"])
def test_what_is_no_server_is_refused_by_name(server: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"mcp_tools\(server=\.\.\.\)"):
        mcp_tools(server)


@pytest.mark.parametrize(("arguments", "problem"), [("[1]", "not a JSON object"), ("{", "wrong arguments for add: ")])
async def test_arguments_that_are_no_object(token: str, arguments: str, problem: str) -> None:
    async with local(token).open_tools() as tools:
        with pytest.raises(ToolError, match=problem):
            await tools.call("add", arguments)
        with pytest.raises(ToolError, match="no longer has this tool"):
            await tools.call("gone", "{}")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
async def test_this_machine_is_reached_without_a_proxy(
    proxy: str, over_http: OverHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    assert await told(over_http.tools(), ("add", {"a": 1})) == ["2"]


# Servers that are careless


def odd(token: str, noise: str, tools: str) -> Toolset:
    return mcp_tools([sys.executable, str(Path(mcp_odd_server.__file__)), token, noise, tools], timeout=PATIENCE)


@pytest.mark.parametrize("noise", mcp_odd_server.NOISE)
async def test_what_is_no_message_is_skipped(token: str, noise: str) -> None:
    assert await told(odd(token, noise, "none"), ("fine", {}), ("fine", {})) == ["done", "done"]


@pytest.mark.parametrize("kind", mcp_odd_server.ODD)
async def test_an_odd_tool_does_not_cost_the_others(token: str, kind: str) -> None:
    async with odd(token, "none", kind).open_tools() as tools:
        shown = {each.name: each.parameters for each in tools.specs}
        assert set(shown) == {"fine"} | ({"odd"} if kind != "no name" else set())
        for name, schema in shown.items():
            assert (schema["type"], schema["properties"]) == ("object", {})
            assert await tools.call(name, "{}") == "done"


# Names


async def test_two_servers_with_tools_of_one_name(token: str) -> None:
    clash = Contemplator(ScriptedModel("x"), mode="instant", tools=[local(token), local(token)])
    error = await failing(clash)
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith("two tools have the same name: 'add' (")
    assert "prefix=" in str(error)
    model = ScriptedModel([asks(("a_add", {"a": 1}), ("b_add", {"a": 2})), "done"])
    tools = [local(token, prefix="a_"), local(token, prefix="b_")]
    await Contemplator(model, mode="instant", tools=tools).run("?")
    assert [each.text for each in model.requests[1].messages[-2:]] == ["2", "3"]


async def test_a_choice_of_tools(token: str) -> None:
    async def shown(**choice: Any) -> set[str]:
        async with local(token, **choice).open_tools() as tools:
            return {each.name for each in tools.specs}

    everything = await shown()
    assert await shown(include=["add", "places.list"]) == {"add", "places_list"}
    assert await shown(exclude=["die"]) == everything - {"die"}
    assert await shown(include=["add", "die"], exclude=["die"], prefix="x-") == {"x-add"}
    assert {len(name) for name in await shown(prefix="y" * 62, include=["add"])} == {64}
    for wrong in ({"include": ["ad"]}, {"exclude": ["ad"]}, {"include": ["ad", "add"]}):
        with pytest.raises(ConfigurationError, match=r"has no tool 'ad' \(there are: add, "):
            await shown(**wrong)
    with pytest.raises(ConfigurationError, match="two tools would have the same name"):
        await shown(prefix="y" * 64)


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("/usr/bin/uvx some-server --key hush", "uvx some-server"),
        ("python -m a.server hush", "python -m a.server"),
        ("npx -y hush", "npx"),
        ("env KEY=hush server", "env"),
        (["a program", "b c"], "a program b c"),
        ("https://host:1/mcp?key=hush#hush", "https://host:1/mcp"),
    ],
)
def test_names_tell_no_secrets(server: str | Sequence[str], name: str) -> None:
    toolset = mcp_tools(server)
    assert toolset.name == name
    assert repr(toolset) == f"mcp_tools({name!r})"


@pytest.mark.parametrize(
    ("server", "options", "problem"),
    [
        ("", {}, "command is empty"),
        ([], {}, "command is empty"),
        ("https://me:hush@host/mcp", {}, "user name"),
        ("https://host/mcp", {"env": {"KEY": "hush"}}, "env and cwd are for commands"),
        ("https://host/mcp", {"cwd": "/"}, "env and cwd are for commands"),
        ("server", {"headers": {"KEY": "hush"}}, "headers for URLs"),
        ("https://host/mcp", {"headers": {"Authorization": "hush\n"}}, "'Authorization' contains a line break"),
        ("https://host/mcp", {"headers": {"Authorization": "hush é"}}, "not ASCII"),
        ("server", {"timeout": 0}, "above 0"),
        ("server", {"start_timeout": -1}, "above 0"),
    ],
)
def test_options_that_do_not_fit(server: str | list[str], options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        mcp_tools(server, **options)
    assert "hush" not in str(raised.value)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.tools.mcp.find_spec", lambda name: importlib.util.find_spec(f"no_such_{name}"))
    with pytest.raises(MissingDependencyError, match=r"contemplate-ai\[mcp\]"):
        mcp_tools("server")


# Servers that are dead


async def failing(mind: Contemplator[Any]) -> ContemplateError:
    with pytest.raises(ContemplateError) as raised:
        await mind.run("?")
    assert raised.value.partial is not None
    return raised.value


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (["no-such-program"], "MCP server 'no-such-program' cannot be started: .*not found.*is it installed"),
        ([sys.executable, "-c", "import nothing_there"], "cannot be started: ModuleNotFoundError.*nothing_there"),
        ([sys.executable, "-c", "raise SystemExit(1)"], "cannot be started: Connection closed"),
        (["cat"], "MCP server 'cat' cannot be started: .*does it speak MCP"),
        ("http://127.0.0.1:9/mcp", "'http://127.0.0.1:9/mcp' cannot be reached: .*is it running"),
    ],
)
async def test_one_that_cannot_be_started_ends_the_run(server: str | list[str], problem: str) -> None:
    model = ScriptedModel("x")
    events: list[Event] = []
    error = await failing(Contemplator(model, tools=[mcp_tools(server)], on_event=events.append))
    assert isinstance(error, ToolServerError)
    assert re.search(problem, str(error)), str(error)
    assert isinstance(events[-1], RunFailed)
    assert not model.requests


async def test_one_that_takes_too_long_to_start(token: str) -> None:
    error = await failing(Contemplator(ScriptedModel("x"), tools=[local(token, "slow", start_timeout=0.3)]))
    assert isinstance(error, ToolServerError)
    assert "was not ready after 0.3 seconds (raise start_timeout" in str(error)


async def test_one_that_refuses_the_key(over_http: OverHttp) -> None:
    wrong = mcp_tools(over_http.url, headers={"Authorization": "Bearer wrong-key-1"})
    error = await failing(Contemplator(ScriptedModel("x"), tools=[wrong]))
    assert (
        str(error) == f"MCP server {over_http.url!r} cannot be reached: HTTP status 401 (which headers= does it need?)"
    )


async def test_one_that_dies_at_work(token: str) -> None:
    model = ScriptedModel([asks(("die", {}), ("fine", {})), asks(("add", {"a": 1})), "done"])
    events: list[Event] = []

    @tool
    def fine() -> str:
        """Work."""
        return "fine"

    mind = Contemplator(model, mode="instant", tools=[local(token, name="mine"), fine], on_event=events.append)
    assert (await mind.run("?")).output == "done"
    gone = "The tool failed. ToolServerError: MCP server 'mine' is gone"
    assert [each.text for each in model.requests[2].messages if each.role == "tool"] == [gone, "fine", gone]
    errors = [each.error.kind for each in events if isinstance(each, ToolFinished) and each.error is not None]
    assert errors == ["ToolServerError"] * 2


async def test_one_that_is_killed_in_mid_run(token: str) -> None:
    async def script(request: ModelRequest) -> Message | str:
        if len(model.requests) == 1:
            (server,) = servers(token)
            server.kill()
            await ended(token)
            return asks(("add", {"a": 1}))
        return request.messages[-1].text

    model = ScriptedModel(script)
    result = await Contemplator(model, mode="instant", tools=[local(token, name="mine")]).run("?")
    assert result.output == "The tool failed. ToolServerError: MCP server 'mine' is gone"


async def test_one_that_is_killed_while_a_tool_is_used(token: str) -> None:
    async def kill() -> None:
        await until(lambda: servers(token) and model.requests)
        servers(token)[0].kill()

    model = ScriptedModel([asks(("hang", {})), "done"])
    async with anyio.create_task_group() as group:
        group.start_soon(kill)
        result = await Contemplator(model, mode="instant", tools=[local(token)]).run("?")
    assert "is gone" in model.requests[1].messages[-1].text
    assert result.output == "done"


async def test_one_over_http_that_is_killed_in_mid_run(mortal: OverHttp) -> None:
    def script(request: ModelRequest) -> Message | str:
        if len(model.requests) == 2:
            mortal.end()
        return asks(("add", {"a": 1})) if len(model.requests) < 4 else "done"

    model = ScriptedModel(script)
    result = await Contemplator(model, mode="instant", tools=[mcp_tools(mortal.url, timeout=5)]).run("?")
    assert result.output == "done"
    said = [each.text for each in model.requests[3].messages if each.role == "tool"]
    gone = f"The tool failed. ToolServerError: MCP server {mortal.url!r} is gone"
    assert said == ["2", gone, gone]


# Processes never outlive the run


async def test_the_server_lives_as_long_as_the_run(token: str) -> None:
    there: list[int] = []

    def script(request: ModelRequest) -> str:
        there.append(len(servers(token)))
        return "x"

    mind = Contemplator(ScriptedModel(script), planner=planners.sample(3), mode="vote", tools=[local(token)])
    await mind.run("?")
    assert set(there) == {1}
    await ended(token)
    before = len(there)
    await mind.run("?")
    assert len(there) > before
    assert set(there) == {1}


@pytest.mark.parametrize("end", ["add", "die"])
async def test_what_a_server_started_ends_with_it(token: str, end: str) -> None:
    started: list[int] = []

    def script(request: ModelRequest) -> Message | str:
        if len(model.requests) == 1:
            return asks(("child", {}))
        if len(model.requests) == 2:
            started.append(int(request.messages[-1].text))
            assert psutil.pid_exists(started[0])
            return asks((end, {"a": 1}))
        return "done"

    model = ScriptedModel(script)
    await Contemplator(model, mode="instant", tools=[local(token)]).run("?")
    await ended(token)
    assert started


async def test_one_that_will_not_end_is_killed(token: str) -> None:
    model = ScriptedModel("x")
    await Contemplator(model, mode="instant", tools=[local(token, "stubborn")]).run("?")
    # It was killed, and may still be on its way out.
    await ended(token)


@pytest.mark.parametrize(
    ("anyio_backend", "server"),
    [("asyncio", OFFICIAL), ("asyncio", QUICK), ("trio", QUICK)],
    ids=["asyncio-official", "asyncio-quick", "trio-quick"],
)
async def test_a_run_that_is_cancelled(token: str, server: str) -> None:
    used = anyio.Event()

    def hear(event: Event) -> None:
        if isinstance(event, ToolStarted):
            used.set()

    model = ScriptedModel([asks(("hang", {}))])
    mind = Contemplator(model, mode="instant", tools=[local(token, server=server)], on_event=hear)
    async with anyio.create_task_group() as group:
        group.start_soon(mind.run, "?")
        await used.wait()
        assert servers(token)
        group.cancel_scope.cancel()
    await ended(token)


@pytest.mark.parametrize("number", [1, 3, 10, 30, 60, 100, 200, 400, 1000])
async def test_a_run_that_is_cancelled_while_the_server_starts(token: str, number: int) -> None:
    mind = Contemplator(ScriptedModel("x"), mode="instant", tools=[local(token)])
    await cancelled_after(number, lambda: mind.run("?"))
    await ended(token)


async def test_a_deadline_that_passes_while_a_tool_is_used(token: str) -> None:
    mind = Contemplator(ScriptedModel([asks(("hang", {}))]), mode="instant", tools=[local(token)])
    with pytest.raises(LimitExceeded):
        await mind.run("?", limits=Limits(seconds=3))
    await ended(token)


async def test_a_deadline_that_passes_while_the_server_starts(token: str) -> None:
    mind = Contemplator(ScriptedModel("x"), mode="instant", tools=[local(token, "slow")])
    with pytest.raises(LimitExceeded):
        await mind.run("?", limits=Limits(seconds=0.3))
    await ended(token)


async def test_a_planner_that_raises(token: str) -> None:
    async def plan(question: str, ctx: Any) -> AsyncIterator[Task]:
        assert servers(token)
        yield Task(id="a", prompt=str(1 // 0))

    with pytest.raises(PlanError, match="ZeroDivisionError"):
        await Contemplator(ScriptedModel("x"), planner=plan, tools=[local(token)]).run("?")
    await ended(token)


async def test_a_users_block_that_raises(token: str) -> None:
    mind = Contemplator(ScriptedModel([asks(("hang", {}))]), mode="instant", tools=[local(token)])
    with pytest.raises(ZeroDivisionError):
        async with mind.stream("?") as stream:
            async for event in stream:
                if isinstance(event, ToolStarted):
                    assert servers(token)
                    raise ZeroDivisionError
    await ended(token)


def test_a_process_that_is_killed(token: str) -> None:
    code = (
        "import sys; from contemplate import Contemplator, mcp_tools; from contemplate.testing import ScriptedModel\n"
        "import anyio\n"
        "async def wait(request): print('asked', flush=True); await anyio.sleep_forever()\n"
        "tools = [mcp_tools(sys.argv[1:]), mcp_tools([*sys.argv[1:], 'stubborn'], prefix='s_')]\n"
        "Contemplator(ScriptedModel(wait), mode='instant', tools=tools).run_sync('?')"
    )
    command = [sys.executable, "-c", code, sys.executable, QUICK, token]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as ours:
        assert ours.stdout is not None
        assert ours.stdout.readline() == b"asked\n"
        assert len(servers(token)) == 2
        ours.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes(token), timeout=PATIENCE)
    assert not processes(token)


# Together with the rest


def test_blocking_code(token: str) -> None:
    model = ScriptedModel([asks(("add", {"a": 2, "b": 3})), "5"])
    assert Contemplator(model, mode="instant", tools=[local(token)]).run_sync("?").output == "5"
    assert model.requests[1].messages[-1].text == "5"


async def test_an_agent_within_another_agents_function(token: str) -> None:
    model = ScriptedModel([asks(("add", {"a": 2})), "3"])
    agent = checked(Agent(tools=[local(token)]), lambda result: True)
    assert (await Contemplator(model, mode="instant", agent=agent).run("?")).output == "3"
    assert model.requests[1].messages[-1].text == "3"


async def test_contemplators_within_a_run_share_its_server(token: str) -> None:
    there: set[int] = set()

    async def script(request: ModelRequest) -> Message | str:
        await steps(5)
        there.update(each.pid for each in servers(token))
        return "x" if request.messages[-1].role == "tool" else asks(("add", {"a": 2}))

    model = ScriptedModel(script)
    inner = Contemplator(model, mode="instant", tools=[local(token)])
    await Contemplator(model, planner=planners.sample(3), mode="vote", agent=inner).run("?")
    assert len(there) == 1
    # A vote may be decided before its last sample is done.
    assert len(model.requests) >= 4


async def test_an_estimate_knows_that_there_are_tools(token: str) -> None:
    calls = Contemplator(ScriptedModel("x"), mode="instant", tools=[local(token)]).estimate("?").calls
    assert (calls.low, calls.high) == (1, 8)


async def test_a_replay_and_a_finished_run_start_nothing(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    toolset = local(token)
    model = ScriptedModel([asks(("add", {"a": 2})), "3"])
    mind = Contemplator(model, mode="instant", tools=[toolset], journal=journal)
    first = await mind.run("?", run_id="r")
    monkeypatch.setattr(type(toolset), "open_tools", None)
    again: RunResult[str] = await mind.replay("r")
    assert again.output == first.output == "3"
    assert (await mind.run("?", run_id="r")).output == "3"
    assert (await mind.reaggregate("r")).output == "3"
    assert len(model.requests) == 2


async def test_a_run_that_goes_on_uses_no_tool_twice(token: str) -> None:
    journal = Journal()
    broken = ModelServerError("out of order", model="scripted")
    model = ScriptedModel([asks(("add", {"a": 2})), broken, asks(("add", {"a": 10})), "done"])
    mind = Contemplator(model, mode="instant", tools=[local(token)], journal=journal)
    with pytest.raises(ContemplateError):
        await mind.run("?", run_id="r")
    assert (await mind.run("?", run_id="r")).output == "done"
    assert len(model.requests) == 4
    calls = [each for each in journal.entries("r") if each.role == "tool" and each.task is not None]
    assert [each.text for each in calls] == ["3", "11"]


@ways
async def test_secrets_stand_nowhere(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    journal = Journal()
    events: list[Event] = []
    model = ScriptedModel([asks(("refuse", {}), ("add", {"a": "x"}), ("hang", {})), "done"])
    toolset = make(timeout=0.3)
    mind = Contemplator(model, mode="instant", tools=[toolset], journal=journal, on_event=events.append)
    result = await mind.run("?", run_id="r")
    kept = [journal.load("r"), *journal.entries("r")]
    assert SECRET not in repr((toolset, events, result, result.model_dump(), kept))
    assert "[secret]" in repr(result.model_dump())
    assert SECRET not in caplog.text


async def test_a_server_that_repeats_a_secret_and_dies() -> None:
    code = "import os, sys; sys.exit('wrong key: ' + os.environ['KEY'])"
    wrong = mcp_tools([sys.executable, "-c", code], env={"KEY": SECRET})
    error = await failing(Contemplator(ScriptedModel("x"), tools=[wrong]))
    assert error.message == "MCP server 'python' cannot be started: wrong key: [secret]"
