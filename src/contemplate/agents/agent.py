"""The default subagent: a loop of model and tools over one task."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import anyio

from ..arguments import checked_arguments
from ..errors import ConfigurationError, ModelResponseError, ToolError
from ..messages import Message, Part, ToolCall, images_made
from ..models import ModelRequest, ModelResponse, ToolSpec
from ..models.tokens import BYTES_PER_TOKEN, request_tokens
from ..plan import Program, Task
from ..prompts.results import show_results
from ..run.context import RunContext
from ..run.output_type import OutputType
from ..run.protocols import Answer, ParsedAnswer
from ..run.shortened_prompts import shortened
from ..run.task_context import TaskContext
from ..run.tool_calls import ToolResult
from ..settings import ModelSettings
from ..tools.sandbox import require, run_program
from ..tools.tool import Tool, as_tool
from ..tools.tool_context import ToolContext
from ..tools.toolset import Toolset
from .large_results import KeptAside
from .output import parse_with_repair, with_schema
from .program import answer_with_program, program_instructions
from .tool_use import run_tool_call, with_own_ids
from .withheld_answers import check_given

# Of a context: a result that takes more is kept aside; for all results of a turn, twice as much.
SHARE_OF_A_RESULT = 1 / 4


class Agent:
    """The default subagent: it sees the question, its task and the results that the task needs, and may use tools.

    Args:
        tools: functions it may call, and toolsets such as `mcp_tools(...)`; calls of one turn run in parallel.
        instructions: added to the system message, which all subagents share.
        settings: settings of its model calls; a task's own settings override them.
        max_turns: maximum number of model calls per task, repairs excluded; the last must answer without tools. Turns
            that call nothing but external tools do not count: who answers them decides how many there are.
        context: maximum tokens of a prompt, by the estimate. Beyond it, the model is shown its oldest turns condensed;
            once that is not enough, it must answer without tools. A result that takes a quarter of it, or its share of
            half of it among several, is kept aside: the model sees beginning, end and size, and gets tools to read and
            search it. If None, what the run learns of the model's context.
        max_repairs: maximum number of repairs of an answer that does not match the output type.
        max_tool_calls: maximum number of tool calls in one turn; the model is told that the others were not made.

    Raises:
        ConfigurationError: two tools have the same name, or a number is too small.
    """

    @checked_arguments
    def __init__(
        self,
        *,
        tools: Sequence[Tool | Callable[..., Any] | Toolset] = (),
        instructions: str | None = None,
        settings: ModelSettings | None = None,
        max_turns: int = 8,
        context: int | None = None,
        max_repairs: int = 2,
        max_tool_calls: int = 32,
    ) -> None:
        if max_turns < 1 or max_repairs < 0 or max_tool_calls < 1:
            raise ConfigurationError(
                f"Agent({max_turns=}, {max_repairs=}, {max_tool_calls=}): max_repairs must be at least 0, "
                "the others at least 1"
            )
        self._toolsets = tuple(each for each in tools if isinstance(each, Toolset))
        self._set_tools([as_tool(each) for each in tools if not isinstance(each, Toolset)])
        self._instructions = instructions
        self._settings = settings or ModelSettings()
        self._max_turns = max_turns
        self._context = math.inf if context is None else context
        self._max_repairs = max_repairs
        self._max_tool_calls = max_tool_calls

    def _set_tools(self, tools: Sequence[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for each in tools:
            if self._tools.setdefault(each.name, each) is not each:
                raise ConfigurationError(
                    f"two tools have the same name: {each.name!r}",
                    hint="name one of them: @tool(name=...), or mcp_tools(..., prefix=...)",
                )
        self._specs = _specs(self._tools)

    async def prepare(self, run: RunContext) -> None:
        """Open the toolsets before any model call, so that a failure costs nothing.

        Raises:
            ToolServerError: a server cannot be started or reached.
            ConfigurationError: two tools have the same name.
        """
        agent = await self._with_toolsets(run) if self._toolsets else self
        run.declare_tools(agent._specs, [name for name, each in agent._tools.items() if each.side_effects])

    async def _with_toolsets(self, run: RunContext) -> Agent:
        """Return a copy of this agent that includes the tools of its toolsets."""
        agent = copy(self)
        agent._toolsets = ()
        agent._set_tools(
            [*self._tools.values(), *[tool for each in self._toolsets for tool in await run.tools_of(each)]]
        )
        return agent

    def _with_only(self, tools: Sequence[str], task: Task) -> Agent:
        """Return a copy of this agent that has only the tools named by `task`."""
        for name in tools:
            if name not in self._tools:
                hint = f"the agent's tools: {', '.join(self._tools)}" if self._tools else "the agent has no tools"
                raise ConfigurationError(f"task {task.label!r} names {name!r}, which is not a tool", hint=hint)
        agent = copy(self)
        agent._set_tools([tool for name, tool in self._tools.items() if name in tools])
        return agent

    @property
    def toolsets(self) -> tuple[Toolset, ...]:
        """Its toolsets, which an open contemplator keeps open."""
        return self._toolsets

    @property
    def waits(self) -> bool:
        """Whether calls of its tools may have to wait for an approval, or for their result."""
        own = any(each.approval or each.external for each in self._tools.values())
        return own or any(getattr(each, "approval", False) for each in self._toolsets)

    @property
    def needs_deps(self) -> tuple[str, ...]:
        """The names of its tools that cannot be used in a run without deps."""
        return tuple(name for name, each in self._tools.items() if each.needs_deps)

    @property
    def calls(self) -> tuple[int, int]:
        """Minimum and maximum number of model calls per task, repairs excluded."""
        return 1, self._max_turns if self._tools or self._toolsets else 1

    @property
    def max_repairs(self) -> int:
        """Maximum number of repairs of an answer that does not match the output type."""
        return self._max_repairs

    @property
    def max_tokens(self) -> int | None:
        """Maximum output tokens of each call; None if not set."""
        return self._settings.max_tokens

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        """Answer `task`.

        Raises:
            ConfigurationError: the task names an unknown tool.
            ModelError: a model call failed.
            OutputError: the answer does not match the output type, after all repairs.
            ProgramError: the task requires a program, and no program gave an answer.
            LimitExceeded: a limit does not allow another call.
        """
        return await self._work(task, ctx)

    async def go_on(self, task: Task, ctx: TaskContext, said: str) -> Answer:
        """Answer `task` anew, going on with its conversation so far after the user's message `said`.

        Raises:
            ContemplateError: as when it is called.
        """
        return await self._work(task, ctx, (*ctx.messages, Message.user(said)))

    async def _work(self, task: Task, ctx: TaskContext, conversation: tuple[Message, ...] = ()) -> Answer:
        agent = await self._with_toolsets(ctx.run) if self._toolsets else self
        if task.tools is not None:
            agent = agent._with_only(task.tools, task)
        return await agent._answered(task, ctx, conversation)

    async def _answered(self, task: Task, ctx: TaskContext, conversation: tuple[Message, ...]) -> Answer:
        output = ctx.output
        settings = self._settings if task.settings is None else task.settings.over(self._settings)
        if task.kind != "part":
            settings = ctx.run.settings_for_answer(settings)
        if task.program is not None:
            return await self._programmed(task.program, ctx, settings, output, conversation)
        opening = self._opening(task, ctx)
        return await self.converse(
            conversation or opening, ctx, settings=settings, output=output, earlier=_earlier(opening)
        )

    async def _programmed(
        self,
        program: Program,
        ctx: TaskContext,
        settings: ModelSettings,
        output: OutputType[Any] | None,
        conversation: tuple[Message, ...],
    ) -> Answer:
        require()
        waiting = [name for name, each in self._tools.items() if each.approval or each.external]
        if waiting:
            raise ConfigurationError(
                f"task {ctx.task.label!r} is to be answered by a program, which cannot wait for {', '.join(waiting)}",
                hint="leave these tools out (Task.tools), or let the model call them itself",
            )
        opening = self._opening(ctx.task, ctx, program_instructions(self._tools.values(), output, ctx.run.prompts))
        numbers = count(1)

        async def run(code: str) -> ToolResult:
            async def use(context: ToolContext[Any]) -> str:
                functions = {each.identifier: each.within(context).value for each in self._tools.values()}
                return await run_program(code, program, functions)

            call = ToolCall(id=f"program-{next(numbers)}", name="program", arguments=code)
            return await run_tool_call(call, ctx.run, ctx.task, use)

        request = ModelRequest(conversation or opening, settings, earlier=_earlier(opening))
        ask = partial(ctx.call, context=self._context)
        done = await answer_with_program(request, ask, run, program, output, ctx.run.prompts)
        ctx.keep(done.messages)
        return ParsedAnswer(done.text, done.output, outcome="answered" if done.complete else "capped")

    async def converse(
        self,
        messages: tuple[Message, ...],
        ctx: TaskContext,
        *,
        settings: ModelSettings,
        output: OutputType[Any] | None = None,
        earlier: int = 0,
    ) -> Answer:
        """Continue `messages` with model and tools until there is an answer, of the type `output` if given.

        `earlier` of the messages, after that of the system, are a conversation before the task.

        Raises:
            ModelError: a model call failed.
            OutputError: the answer does not match the output type, after all repairs.
            LimitExceeded: a limit does not allow another call.
        """
        prompts = ctx.run.prompts
        aside = KeptAside(_most_of(self._context), prompts)
        turns = 0
        while True:
            request = with_schema(
                ModelRequest(messages, settings, self._specs_with(aside), prompts=prompts, earlier=earlier), output
            )
            last = turns == self._max_turns - 1 or not self._has_room(request)
            if last and self._specs:
                request = replace(request, tool_choice="none")
            response = with_own_ids(await ctx.call(request, context=self._context), messages)
            if response.room is not None:
                aside.most = min(aside.most, _most_of(response.room))
            calls = response.message.tool_calls
            results = await self._use_tools(calls, ctx, aside) if calls and not last else ()
            received = () if last else _planner_messages(ctx)
            if not calls and not received:
                return await self._answer(response, request, ctx, output)
            if last:
                break
            messages = (*messages, response.message, *results, *received)
            ctx.keep(messages)
            turns += not (calls and all(self._is_external(call) for call in calls))
        return Answer(response.message.text, images=images_made(ctx.messages), outcome="capped")

    def _is_external(self, call: ToolCall) -> bool:
        return call.name in self._tools and self._tools[call.name].external

    def _specs_with(self, aside: KeptAside) -> tuple[ToolSpec, ...]:
        # The own tools keep their places and their names.
        return _specs({**self._tools, **aside.tools, **self._tools}) if aside.tools else self._specs

    def _has_room(self, request: ModelRequest) -> bool:
        """Return whether `request` fits with nothing shortened but what the model has read before."""
        if self._context == math.inf:
            return True
        sent = shortened(request, self._context)
        return not sent.unread and request_tokens(sent.request) <= self._context

    def _opening(self, task: Task, ctx: TaskContext, *more: str) -> tuple[Message, ...]:
        # The part that all subagents share comes first and is byte-identical, so that prefix caches hit.
        prompts = ctx.run.prompts
        inputs = [show_results(ctx.inputs, prompts)] if ctx.inputs else []
        if task.kind == "part":
            system = prompts.render("subagent", question=ctx.run.question)
            user = [*inputs, prompts.render("task", prompt=task.prompt)]
        else:
            # A task that is nothing but the question is a plain call, to which all others are compared.
            unspoken = not task.instructions if task.kind == "answer" else task.instructions == ""
            plain = unspoken and not ctx.inputs
            system = "" if plain else prompts.render("solver")
            user = [task.prompt, *inputs]
        shared = "\n\n".join(filter(None, (system, self._instructions)))
        own = "\n\n".join([*user, *filter(None, (task.instructions, *more))])
        return ctx.run.opening("subagent", shared, own, as_chat=task.kind != "part", tools=bool(self._specs))

    async def _answer(
        self, response: ModelResponse, request: ModelRequest, ctx: TaskContext, output: OutputType[Any] | None
    ) -> Answer:
        check_given(response)
        images = images_made((*request.messages, response.message))
        text = response.message.text
        if response.finish == "length":
            return Answer(text, images=images, outcome="capped")
        if output is None:
            if not text.strip() and not images:
                raise ModelResponseError("the answer is empty", model=response.model)
            return Answer(text, images=images)
        ask = partial(ctx.call, context=self._context)
        value, response = await parse_with_repair(
            response, request, ask, output, repairs=self._max_repairs, prompts=ctx.run.prompts
        )
        return ParsedAnswer(response.message.text, value, images)

    async def _use_tools(self, calls: Sequence[ToolCall], ctx: TaskContext, aside: KeptAside) -> tuple[Message, ...]:
        tools = {**aside.tools, **self._tools}
        results: dict[int, ToolResult] = {}

        # Before they start: an event loop may start equal calls in any order.
        places = [ctx.run.place_of_tool(ctx.task.id, call) for call in calls[: self._max_tool_calls]]

        async def use(number: int, call: ToolCall) -> None:
            tool, place = tools.get(call.name), places[number]
            results[number] = await run_tool_call(call, ctx.run, ctx.task, partial(_call, call, tools), tool, place)

        async with anyio.create_task_group() as group:
            for place, call in enumerate(calls[: self._max_tool_calls]):
                group.start_soon(use, place, call)
        too_many = ToolResult(ctx.run.prompts.render("tool_calls_too_many", most=str(self._max_tool_calls)))
        results |= dict.fromkeys(range(self._max_tool_calls, len(calls)), too_many)
        messages: list[Message] = []
        for place, call in enumerate(calls):
            text = results[place].text
            own = call.name in self._tools
            shown = aside.shown(text, among=len(calls)) if own or len(calls) > 2 else text
            if shown is not text:
                ctx.run.note(
                    f"task {ctx.task.id!r}: a result of {call.name}, {len(text):,} characters, is read in parts"
                )
            messages.append(Message.tool(call.id, shown, results[place].images))
        seen = tuple(image for place in range(len(calls)) for image in results[place].seen)
        if seen:
            # What tools return is text for most servers.
            messages.append(Message(role="user", parts=seen))
        return tuple(messages)


def _earlier(opening: Sequence[Message]) -> int:
    """Return how many messages of an opening are the conversation before the task."""
    return len(opening) - 1 - (opening[0].role == "system")


async def _call(call: ToolCall, tools: Mapping[str, Tool], context: ToolContext[Any]) -> str | tuple[Part, ...]:
    if call.name not in tools:
        raise ToolError(f"there is no tool {call.name!r}; there are: {', '.join(tools)}")
    return await tools[call.name].within(context).call(call.arguments)


def _most_of(room: float) -> float:
    """Return how many bytes of a result are shown in a context with `room` tokens."""
    return room * SHARE_OF_A_RESULT * BYTES_PER_TOKEN


def _specs(tools: Mapping[str, Tool]) -> tuple[ToolSpec, ...]:
    return tuple(ToolSpec(each.name, each.description, each.parameters) for each in tools.values())


def _planner_messages(ctx: TaskContext) -> tuple[Message, ...]:
    """Return the messages that the planner has sent to the running subagent."""
    prompts = ctx.run.prompts
    said = [prompts.render("message_from_planner", text=text) for text in ctx.messages_from_others()]
    return tuple(map(Message.user, said))
