"""One subagent: a loop of model and tools over one task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from itertools import count
from typing import Any

import anyio

from ..errors import ConfigurationError, ModelResponseError, ToolError
from ..messages import Message, Part, ToolCall, images_made
from ..models import ModelRequest, ModelResponse, ToolSpec
from ..models.tokens import request_tokens
from ..plan import Program, Task
from ..prompts import render
from ..prompts.results import shown
from ..run.calls import ToolResult
from ..run.context import RunContext
from ..run.output_type import OutputType
from ..run.protocols import Answer
from ..run.task_context import TaskContext
from ..settings import ModelSettings
from ..tools.sandbox import require, run_program
from ..tools.tool import Tool, as_tool
from ..tools.toolset import Toolset
from .output import parsed, with_schema
from .program import how_to, printed
from .tool_calls import used


class Agent:
    """The usual subagent: it is shown the question, its task and what the task needs, and may use tools.

    Args:
        tools: functions it may call, and toolsets such as `mcp_tools(...)`; calls of one turn run at the same time.
        instructions: said to every subagent, in the system message, which all of them share.
        settings: of its model calls; a task's own go over them.
        max_turns: model calls for one task, repairs not counted; in the last one it must answer without tools.
        context: tokens; a conversation that has grown longer must be answered without tools, too. No limit if None.
        max_repairs: how often a model is told that its answer does not fit the output type.

    Raises:
        ConfigurationError: two tools have one name, or a number is too small.
    """

    def __init__(
        self,
        *,
        tools: Sequence[Tool | Callable[..., Any] | Toolset] = (),
        instructions: str | None = None,
        settings: ModelSettings | None = None,
        max_turns: int = 8,
        context: int | None = None,
        max_repairs: int = 2,
    ) -> None:
        if max_turns < 1 or max_repairs < 0:
            raise ConfigurationError(f"max_turns={max_turns}, max_repairs={max_repairs}: at least 1 and 0 are needed")
        self._toolsets = tuple(each for each in tools if isinstance(each, Toolset))
        self._equip([as_tool(each) for each in tools if not isinstance(each, Toolset)])
        self._instructions = instructions
        self._settings = settings or ModelSettings()
        self._max_turns = max_turns
        self._context = math.inf if context is None else context
        self._max_repairs = max_repairs

    def _equip(self, tools: Sequence[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for each in tools:
            if self._tools.setdefault(each.name, each) is not each:
                raise ConfigurationError(
                    f"two tools have the same name: {each.name!r}",
                    hint="name one of them: @tool(name=...), or mcp_tools(..., prefix=...)",
                )
        self._specs = tuple(ToolSpec(each.name, each.description, each.parameters) for each in self._tools.values())

    async def prepare(self, run: RunContext) -> None:
        """Open the toolsets, so that one that cannot be opened ends the run before anything is paid for.

        Raises:
            ToolServerError: a server cannot be started or reached.
            ConfigurationError: two tools have one name.
        """
        whole = await self._complete(run) if self._toolsets else self
        run.declare_tools(whole._specs)

    async def _complete(self, run: RunContext) -> Agent:
        """This agent, with the tools of its toolsets."""
        whole = copy(self)
        whole._toolsets = ()
        whole._equip([*self._tools.values(), *[tool for each in self._toolsets for tool in await run.tools_of(each)]])
        return whole

    def _with_only(self, tools: Sequence[str], task: Task) -> Agent:
        """This agent, with no other tools than these."""
        for name in tools:
            if name not in self._tools:
                there = f"the agent's tools: {', '.join(self._tools)}" if self._tools else "the agent has no tools"
                raise ConfigurationError(f"task {task.label!r} is to use {name!r}, which is no tool", hint=there)
        narrow = copy(self)
        narrow._equip([tool for name, tool in self._tools.items() if name in tools])
        return narrow

    @property
    def calls(self) -> tuple[int, int]:
        """How many model calls a task takes, from ... to ..., repairs not counted."""
        return 1, self._max_turns if self._tools or self._toolsets else 1

    @property
    def max_tokens(self) -> int | None:
        """The most tokens that each of its calls may write; None if that is not said."""
        return self._settings.max_tokens

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer `task`.

        Raises:
            ConfigurationError: the task names a tool that there is not.
            ModelError: a model call failed.
            OutputError: the answer does not fit the output type, after every repair.
            ProgramError: the task is to be answered by a program, and none gave an answer.
            LimitExceeded: a limit leaves no room for another call.
        """
        agent = await self._complete(ctx.run) if self._toolsets else self
        if task.tools is not None:
            agent = agent._with_only(task.tools, task)
        return await agent._work(task, ctx)

    async def _work(self, task: Task, ctx: TaskContext) -> Answer:
        output = None if task.kind == "part" else ctx.run.output
        settings = self._settings if task.settings is None else task.settings.over(self._settings)
        if task.program is not None:
            return await self._programmed(task.program, ctx, settings, output)
        return await self.converse(self._opening(task, ctx), ctx, settings=settings, output=output)

    async def _programmed(
        self, program: Program, ctx: TaskContext, settings: ModelSettings, output: OutputType[Any] | None
    ) -> Answer:
        require()
        opening = self._opening(ctx.task, ctx, how_to(self._tools.values(), output))
        functions = {each.identifier: each.value for each in self._tools.values()}

        numbers = count(1)

        async def run(code: str) -> ToolResult:
            call = ToolCall(id=f"program-{next(numbers)}", name="program", arguments=code)
            return await used(call, ctx.run, ctx.task.id, lambda: run_program(code, program, functions))

        request = ModelRequest(opening, settings)
        done = await printed(request, ctx.call, run, program, output, salt=ctx.run.run_id)
        ctx.keep(done.messages)
        return Answer(done.text, done.output, outcome="answered" if done.complete else "capped")

    async def converse(
        self,
        messages: tuple[Message, ...],
        ctx: TaskContext,
        *,
        settings: ModelSettings,
        output: OutputType[Any] | None = None,
    ) -> Answer:
        """Go on from `messages` with model and tools until there is an answer, in the type `output` if there is one.

        Raises:
            ModelError: a model call failed.
            OutputError: the answer does not fit the output type, after every repair.
            LimitExceeded: a limit leaves no room for another call.
        """
        for turn in range(self._max_turns):
            request = with_schema(ModelRequest(messages, settings, self._specs), output)
            last = turn == self._max_turns - 1 or (self._context < math.inf and request_tokens(request) > self._context)
            if last and self._specs:
                request = replace(request, tool_choice="none")
            response = await ctx.call(request)
            calls = response.message.tool_calls
            results = await self._use_tools(calls, ctx) if calls and not last else ()
            heard = () if last else _heard(ctx)
            if not calls and not heard:
                return await self._answer(response, request, ctx, output)
            if last:
                break
            messages = (*messages, response.message, *results, *heard)
            ctx.keep(messages)
        return Answer(response.message.text, images=images_made(ctx.messages), outcome="capped")

    def _opening(self, task: Task, ctx: TaskContext, *more: str) -> tuple[Message, ...]:
        # What all subagents share comes first and byte for byte the same, so that prefix caches hit; then what some do.
        inputs = [shown(ctx.inputs, ctx.run.run_id)] if ctx.inputs else []
        if task.kind == "part":
            system = render("subagent", question=ctx.run.question)
            said = [*inputs, render("task", prompt=task.prompt)]
        else:
            system = render("solver")
            said = [task.prompt, *inputs]
        for_all = "\n\n".join(filter(None, (system, self._instructions)))
        own = "\n\n".join([*said, *filter(None, (task.instructions, *more))])
        return Message.system(for_all), Message.user(own, ctx.run.images_for("subagent"))

    async def _answer(
        self, response: ModelResponse, request: ModelRequest, ctx: TaskContext, output: OutputType[Any] | None
    ) -> Answer:
        if response.finish == "content_filter":
            raise ModelResponseError("the provider's content filter stopped the answer", model=response.model)
        images = images_made((*request.messages, response.message))
        if response.finish == "length":
            return Answer(response.message.text, images=images, outcome="capped")
        if output is None:
            if not response.message.text.strip() and not images:
                raise ModelResponseError("the answer is empty", model=response.model)
            return Answer(response.message.text, images=images)
        value, response = await parsed(response, request, ctx.call, output, repairs=self._max_repairs)
        return Answer(response.message.text, output.dump(value), images)

    async def _use_tools(self, calls: Sequence[ToolCall], ctx: TaskContext) -> tuple[Message, ...]:
        said: dict[int, ToolResult] = {}

        async def use(place: int, call: ToolCall) -> None:
            said[place] = await used(call, ctx.run, ctx.task.id, lambda: self._call(call))

        async with anyio.create_task_group() as group:
            for place, call in enumerate(calls):
                group.start_soon(use, place, call)
        return tuple(Message.tool(call.id, said[place].text, said[place].images) for place, call in enumerate(calls))

    async def _call(self, call: ToolCall) -> str | tuple[Part, ...]:
        if call.name not in self._tools:
            raise ToolError(f"there is no tool {call.name!r}; there are: {', '.join(self._tools)}")
        return await self._tools[call.name].call(call.arguments)


def _heard(ctx: TaskContext) -> tuple[Message, ...]:
    """What others have said to the subagent while it was at work."""
    return tuple(Message.user(render("message_from_planner", text=text)) for text in ctx.messages_from_others())
