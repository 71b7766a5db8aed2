"""Runs that between them use every prompt: what their models were told, and what their results say."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import anyio.lowlevel
from pydantic import BaseModel

from contemplate import (
    Agent,
    Answer,
    Approved,
    Contemplator,
    Denied,
    ImagePart,
    Limits,
    Message,
    PendingCall,
    RunContext,
    Task,
    TaskContext,
    aggregators,
    checked,
    modes,
    planners,
    refined,
    strategies,
    tool,
)
from contemplate.decisions import Decision
from contemplate.errors import ModelServerError
from contemplate.messages import TextPart, ToolCall
from contemplate.models import Brevity, DeltaSink, ModelRequest, ModelResponse, OutputSchema, Profile, PromptedTools
from contemplate.models.openai.request import body_of
from contemplate.prompts import Prompts
from contemplate.prompts.templates import names, template
from contemplate.run.history import History
from contemplate.run.protocols import Planner
from contemplate.run.shortened_prompts import shortened
from contemplate.server.chat.conversation import as_question
from contemplate.server.chat.schema import ChatRequest
from contemplate.testing import ScriptedModel
from contemplate.testing.scripted import Reply
from contemplate.usage import Usage

PIXEL = ImagePart(url="data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode())


PICTURE = {"type": "image_url", "image_url": {"url": PIXEL.url}}


def marker(name: str) -> str:
    return f"[[{name}]]"


MARKED = Prompts(**{name: f"{marker(name)} {template(name).template}" for name in names()})


class Number(BaseModel):
    n: int


class Told:
    """All that models were told, and all that runs said."""

    def __init__(self, prompts: Prompts) -> None:
        self.prompts = prompts
        self.texts: list[str] = []

    def hear(self, request: ModelRequest) -> None:
        self.texts += [message.text for message in request.messages]

    def model(self, script: Callable[[ModelRequest], Reply] | list[Reply] | str) -> ScriptedModel:
        replies = iter(script) if isinstance(script, list) else None

        def reply(request: ModelRequest) -> Reply:
            self.hear(request)
            if isinstance(script, str):
                return script
            return next(replies) if replies is not None else script(request)  # type: ignore[operator]

        return ScriptedModel(reply)

    async def run(self, script: Callable[[ModelRequest], Reply] | list[Reply] | str, **options: Any) -> None:
        mind: Contemplator[Any] = Contemplator(self.model(script), prompts=self.prompts, **options)
        result = await mind.run("q")
        self.texts += [result.text, *(each.text for each in result.tasks)]
        self.texts += [message.text for each in result.tasks for message in each.messages]


def calls(*wanted: tuple[str, Mapping[str, object]]) -> Message:
    return Message.assistant(
        "",
        tuple(ToolCall(id=f"c{i}", name=name, arguments=json.dumps(given)) for i, (name, given) in enumerate(wanted)),
    )


def of_tasks(*tasks: Task) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for task in tasks:
            yield task

    return plan


@tool
def long() -> str:
    """Return much."""
    return "abc " * 9000


@tool
def image() -> tuple[TextPart | ImagePart, ...]:
    """Return an image."""
    return TextPart(text="here"), PIXEL


@tool
def fails() -> str:
    """Fail."""
    raise ValueError("broken")


@tool
def sound() -> str:
    """Return what cannot be shown, as a server of tools would."""
    from mcp_types import AudioContent

    from contemplate.tools.mcp.connection import _block

    return str(_block(AudioContent(type="audio", data="AAAA", mime_type="audio/wav")))


async def plans(told: Told) -> None:
    plan = [{"title": "one", "prompt": "p", "needs": []}, {"title": "two", "prompt": "p2", "needs": [1]}]
    replies: list[Reply] = ["no plan", json.dumps({"tasks": plan}), "an answer", "another", "merged"]
    planner = planners.model(roles={"fast": ScriptedModel("x")}, max_samples=2, tools=True)
    await told.run(replies, planner=planner, tools=[long])
    lost: list[Reply] = [json.dumps({"tasks": plan}), ModelServerError("down", model="m"), "another", "merged"]
    await told.run(lost, planner=planners.model(min_tasks=1))


async def ready_modes(told: Told) -> None:
    for mode in ("thinking", "council", "vote", "refine"):
        await told.run("Answer: 1", mode=mode)
    await told.run("Answer: 1", planner=planners.rounds(n=2, k=2, rounds=2), aggregator=aggregators.first())
    await told.run("Answer: 1", mode=modes.preset("vote"), planner=of_tasks(Task(id="a", prompt="p", samples=2)))
    plan = [{"title": "one", "prompt": "p", "needs": []}, {"title": "two", "prompt": "p2", "needs": []}]
    for tasks in (plan, plan[:1]):
        model = told.model([json.dumps({"tasks": tasks}), "a", "b", "merged"])
        model.brevity = Brevity()  # type: ignore[attr-defined]
        await Contemplator(model, prompts=told.prompts).run("q")


async def merging(told: Told) -> None:
    def long_or_short(request: ModelRequest) -> Reply:
        return "word " * 800 if marker("solver") in request.messages[0].text else "short"

    await told.run(long_or_short, planner=planners.sample(4), aggregator=aggregators.synthesize(context=2000))
    await told.run(
        long_or_short,
        planner=planners.sample(3),
        aggregator=aggregators.synthesize(),
        limits=Limits(total_tokens=6000),
    )


async def choosing(told: Told) -> None:
    some: list[Reply] = ["a", "b", "no number", '{"reason": "", "best": "1"}']
    await told.run(some, planner=planners.sample(2), aggregator=aggregators.judge())
    pair: list[Reply] = ["a", "b", *['{"reason": "", "better": "1"}'] * 2]
    await told.run(pair, planner=planners.sample(2), aggregator=aggregators.tournament())
    await told.run(
        ["Answer: red", "Answer: blue", "Answer: green", *['{"same": false}'] * 3],
        planner=planners.sample(3),
        aggregator=aggregators.vote(by_meaning=True),
    )
    finish = '{"reason": "", "support": [1], "solution": "x"}'
    await told.run(
        ["a", "b", calls(("get_solution", {"trajectory": 1})), finish],
        planner=planners.sample(2),
        aggregator=aggregators.agentic(),
    )


async def trying_again(told: Told) -> None:
    seen: list[str] = []

    def good(result: object) -> bool:
        """Whether it is not the first answer."""
        seen.append("")
        return len(seen) > 1

    decompose = of_tasks()
    await told.run(["a", "UNSOLVED", "b"], planner=planners.as_needed(decompose, check=good))
    seen.clear()
    await told.run("a", planner=planners.direct(), aggregator=aggregators.first(), agent=checked(Agent(), good))


async def delegating(told: Told) -> None:
    spawn = calls(("spawn", {"title": "t", "prompt": "p"}))
    waits = calls(("wait", {"tasks": ["task-1"]}), ("wait", {"tasks": ["none"]}))
    replies = iter([spawn, waits, Message.assistant("DONE")])

    def reply(request: ModelRequest) -> Reply:
        return next(replies) if marker("orchestrate") in request.messages[0].text else "found"

    await told.run(reply, planner=planners.orchestrate())

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="p")

    async def tells(task: Task, ctx: TaskContext) -> Answer:
        ctx.run.tell(task.id, "also this")
        return await Agent()(task, ctx)

    await told.run("x", planner=plan, agent=tells, aggregator=aggregators.first())


async def orchestrating_programs(told: Told) -> None:
    source = """
seen = [check("a", "b"), judge(["a", "b"], "c"), ask("d", data="e", role="f")]
print(seen)
"""
    program = f"```python\n{source}\n```"
    checked_so, judged_so = '{"why": "w", "holds": true}', '{"why": "w", "best": 1}'
    replies: list[Reply] = ["none", "```python\n1 / 0\n```", program, checked_so, judged_so, "f", "merged"]
    planner, merges = planners.program(), aggregators.synthesize()
    await told.run(replies, planner=planner, aggregator=merges, tools=[long])
    await told.run(["found", "merged"], planner=planners.program("ask('a')\n1 / 0"), aggregator=merges)


async def programs(told: Told) -> None:
    replies: list[Reply] = ["none", "```python\nx(\n```", "```python\nprint(2)\n```"]
    planner = planners.sample(1, strategies=[strategies.Program(repairs=3)])
    await told.run(replies, planner=planner, aggregator=aggregators.vote(), tools=[long])
    typed: list[Reply] = ["```python\nprint('{\"n\": 2}')\n```"]
    await told.run(typed, planner=planner, aggregator=aggregators.first(), output_type=Number)


async def tools(told: Told) -> None:
    once = calls(("long", {}), ("image", {}), ("fails", {}), ("sound", {}), ("long", {}))
    agent = Agent(tools=[long, image, fails, sound], max_tool_calls=4, context=4000)
    await told.run([once, "x"], planner=planners.direct(), aggregator=aggregators.first(), agent=agent)
    inner = PromptedTools(told.model(['{"tool": "fails", "arguments": {}}', '{"answer": "x"}']))
    mind = Contemplator(inner, mode="instant", tools=[fails], prompts=told.prompts)
    await mind.run("q")


async def results_for_others(told: Told) -> None:
    shows = of_tasks(
        Task(id="a", prompt="p"),
        Task(id="b", prompt="p"),
        Task(id="c", prompt="p", needs=("a", "b")),
        Task(id="d", prompt="p", needs=("a",)),
    )

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        if task.id == "a":
            return Answer("", images=(PIXEL,))
        if task.id == "b":
            raise ValueError("lost")
        if task.id == "c":
            return await Agent()(task, ctx)
        return await Contemplator(told.model("x"), mode="instant")(task, ctx)

    await told.run("x", planner=shows, agent=agent, aggregator=aggregators.synthesize())


async def cut_off(told: Told) -> None:
    class Writer:
        name = "writer"

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            await anyio.lowlevel.checkpoint()
            told.hear(request)
            most = request.settings.max_tokens
            whole = "word " * (240 if len(request.messages) > 2 or "long" in request.messages[-1].text else 1)
            text = whole if most is None else whole[: most * 4]
            usage = Usage(calls=1, input_tokens=10, output_tokens=-(-len(text) // 4))
            finish: Any = "stop" if text == whole else "length"
            return ModelResponse(message=Message.assistant(text), finish=finish, usage=usage, model=self.name)

    planner = of_tasks(*(Task(id=each, prompt=each) for each in ("a", "b", "c", "long one")))
    mind = Contemplator(
        Writer(), planner=planner, aggregator=all_texts, limits=Limits(output_tokens=400), prompts=told.prompts
    )
    await mind.run("q")


async def all_texts(question: str, results: AsyncIterator[Any], ctx: RunContext) -> str:
    return " ".join([each.text async for each in results])


async def dialects(told: Told) -> None:
    """What a server has no field for: requests of a run have its prompts."""
    schema = OutputSchema("answer", {"type": "object"})
    model = told.model("x")
    await Contemplator(model, mode="instant", prompts=told.prompts).run("q")
    (asked,) = model.requests
    assert asked.prompts == told.prompts
    history = (Message.user("q"), calls(("f", {})), Message.tool("c0", "r"), Message.user("more"))
    for profile in (Profile(schema_form="words", user_after_tool=False), Profile(schema_form="tool")):
        request = ModelRequest(history, output_schema=schema, prompts=asked.prompts)
        told.texts.append(json.dumps(body_of(request, model="m", stream=False, profile=profile)))


async def serving(told: Told) -> None:
    said = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    messages = [{"role": role, "content": text} for role, text in said]
    wanted = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ("1", "2")]
    halfway = [{"role": "assistant", "tool_calls": wanted}, {"role": "tool", "tool_call_id": "1", "content": "r"}]
    for more in ([], [{"role": "assistant", "content": "d"}], [{"role": "user", "content": [PICTURE]}], halfway):
        request = ChatRequest.model_validate({"model": "m", "messages": [*messages, *more]})
        question = as_question(request.messages, told.prompts)
        told.texts += [question.text, *(each.text for each in question.history)]


async def revising(told: Told) -> None:
    async def own(task: Task, ctx: TaskContext) -> Answer:
        response = await ctx.call(ModelRequest((Message.user(f"{task.prompt} {task.instructions}"),)))
        return Answer(response.message.text)

    direct: dict[str, Any] = {"planner": planners.direct(), "aggregator": aggregators.first()}
    await told.run(["x", "y"], agent=refined(Agent()), **direct)
    await told.run(["x", "y"], agent=refined(own), **direct)
    await told.run(['{"value": 1}', '{"value": 2}'], agent=refined(Agent()), output_type=int, **direct)


async def asking_again(told: Told) -> None:
    parts = [Task(id=each, prompt=each) for each in ("a", "b")]
    merging: dict[str, Any] = {"planner": of_tasks(*parts), "aggregator": aggregators.synthesize(ask_again=1)}
    await told.run(["x", "y", "ASK 1, 2: which?", "z", "done"], **merging)
    await told.run(["x", "y", '{"answer": 1}'], output_type=int, **merging)
    merging["aggregator"] = aggregators.synthesize(ask_again=1, cite=True)
    await told.run(["x", "y", "ASK 1, 2: which?", "z", "done [1]"], **merging)


@tool(approval=True)
def mail(to: str) -> str:
    """Send a mail."""
    return f"sent to {to}"


async def waiting(told: Told) -> None:
    once = calls(("mail", {"to": "a"}), ("mail", {"to": "b"}))

    def decide(call: PendingCall) -> Decision:
        return Denied("no") if call.arguments == {"to": "a"} else Approved({"to": "c"})

    await told.run([once, "x"], planner=planners.direct(), aggregator=aggregators.first(), tools=[mail], approve=decide)


async def verifying(told: Told) -> None:
    def judge(request: ModelRequest) -> Reply:
        if request.output_schema is None:
            return "a solution"
        found = next(faults)
        return json.dumps({"steps": [{"step": "s", "why": "w", "fault": each} for each in found]})

    faults = iter([["gap", "critical"], ["none"]])
    await told.run(judge, planner=planners.verified(lines=1, passes=1), aggregator=aggregators.first())
    endless = ModelResponse(message=Message.assistant("and so on"), finish="length", usage=Usage(calls=1), model="m")
    faults = iter([["none"]])
    replies: Iterator[Reply] = iter([endless, "a solution", endless])
    await told.run(
        lambda request: next(replies, None) or judge(request),
        planner=planners.verified(lines=1, passes=1),
        aggregator=aggregators.first(),
    )
    programs: list[Reply] = ["```python\nprint(3)\n```", "```python\nprint('CORRECT')\n```"]
    written = ["a solution", programs[0], "a solution", programs[1]]
    planner = planners.verified(strategies.code, lines=1, passes=1)
    await told.run(written, planner=planner, aggregator=aggregators.first())


async def long_work(told: Told) -> None:
    turns = [each for n in range(60) for each in (calls(("f", {"n": n})), Message.tool("c0", "r" * 900))]
    request = ModelRequest((Message.user("q"), *turns), prompts=told.prompts)
    for room in (1200, 9000):
        told.texts += [each.text for each in shortened(request, room).request.messages]


async def conversations(told: Told) -> None:
    chat = [Message.system("s"), Message.user("a"), calls(("f", {})), Message.tool("c0", "r"), Message.assistant("b")]
    history = History([*chat, *(Message.user("x" * 3000) for _ in range(50))], told.prompts)
    told.texts += [each.text for each in history.as_messages(2000, images=True, tools=False).messages]
    told.texts += [
        each.text for each in History(chat, told.prompts).as_messages(2000, images=True, tools=False).messages
    ]
    told.texts += [history.as_transcript(2000, images=True).text]
    model = ScriptedModel("yes")
    mind = Contemplator(model, mode="instant", prompts=told.prompts, instructions="i")
    await mind.run("q", history=chat)
    told.texts += [each.text for each in model.requests[0].messages]


RUNS = (
    plans,
    ready_modes,
    merging,
    choosing,
    trying_again,
    delegating,
    orchestrating_programs,
    programs,
    tools,
    results_for_others,
    cut_off,
    dialects,
    serving,
    revising,
    asking_again,
    waiting,
    verifying,
    long_work,
    conversations,
)


async def all_told(prompts: Prompts) -> str:
    """Return all that is told in all runs with `prompts`."""
    told = Told(prompts)
    for run in RUNS:
        try:
            await run(told)
        except Exception as error:
            raise AssertionError(run.__name__) from error
    return "\n".join(told.texts)
