"""A model that delegates with tools: it spawns tasks, reads their results, and spawns more."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..arguments import checked_arguments
from ..errors import ConfigurationError, LimitExceeded, ModelError, ToolError, error_info
from ..messages import Message, ToolCall
from ..models import Model, ModelRequest, ToolSpec
from ..plan import Task
from ..prompts import fence_mark, fenced
from ..prompts.results import result_text
from ..run.context import RunContext
from ..run.protocols import Planner
from ..settings import ModelSettings
from ..tools.tool import as_tool
from .planner_size import Sized


@checked_arguments
def orchestrate(
    max_tasks: int = 12,
    *,
    max_turns: int = 12,
    model: str | Model | None = None,
    settings: ModelSettings | None = None,
) -> Planner:
    """Let a model delegate with tools: spawn, wait, message, follow up, interrupt.

    Subagents run while it continues. It is done when a turn has no tool call; the aggregator, such as
    `aggregators.synthesize`, then receives all results. If it spawns no task, the question is asked directly. A
    follow-up is a new subagent that sees the earlier result.

    The orchestrator-workers pattern, Anthropic 2024, https://www.anthropic.com/engineering/building-effective-agents.
    Costs one call per turn, and those of the tasks; each wait adds to the depth.

    Args:
        max_tasks: maximum number of tasks, follow-ups included.
        max_turns: maximum number of calls of the orchestrator.
        model: the orchestrator's model; the run's model if None. It must support tools.
        settings: settings of the orchestrator's calls.

    Raises:
        ConfigurationError: `max_tasks` or `max_turns` is less than one.
    """
    if max_tasks < 1 or max_turns < 1:
        raise ConfigurationError(f"planners.orchestrate({max_tasks=}, {max_turns=}): both must be at least 1")

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        tools = _OrchestratorTools(ctx, max_tasks)
        rules = ctx.prompts.render("orchestrate", max_tasks=str(max_tasks))
        messages = ctx.opening("planner", rules, ctx.prompts.render("plan_question", question=question))
        for _ in range(max_turns):
            request = ModelRequest(messages, settings or ModelSettings(), tools.specs)
            try:
                response = await ctx.call("planner", request, model=model)
            except (ModelError, LimitExceeded) as error:
                if not ctx.planned:
                    raise
                ctx.note(f"no further tasks were planned: {error.message}")
                break
            if not response.message.tool_calls:
                break
            messages = (*messages, response.message)
            for call in response.message.tool_calls:
                messages = (*messages, Message.tool(call.id, await tools.call(call)))
                for task in tools.take_new_tasks():
                    yield task
        else:
            ctx.note(f"no further tasks were planned: max_turns={max_turns} is reached")
        if not ctx.planned:
            yield Task(id="answer", prompt=question, kind="answer", title="Answer")

    # Most questions are handed out in a few parts, in a turn or two, with one to wait and one to be done.
    likely = 3, min(5, max_turns) + min(6, max_tasks)
    return Sized(plan, calls=(1, max_turns), tasks=(1, max_tasks), likely=likely, models=(None, model))


class _OrchestratorTools:
    """The orchestrator's tools in one run, and the tasks that they created. The model reads the tools' docstrings."""

    def __init__(self, ctx: RunContext, max_tasks: int) -> None:
        methods = (self.spawn, self.wait, self.message, self.follow_up, self.interrupt)
        tools = tuple(as_tool(method) for method in methods)
        self._tools = {tool.name: tool for tool in tools}
        self.specs = tuple(ToolSpec(tool.name, tool.description, tool.parameters) for tool in tools)
        self._ctx = ctx
        self._max_tasks = max_tasks
        self._count = 0
        self._new: list[Task] = []

    async def call(self, call: ToolCall) -> str:
        """Return the result of a tool call, or its error as text."""
        try:
            if call.name not in self._tools:
                raise ToolError(f"there is no tool {call.name!r}; there are: {', '.join(self._tools)}")
            return str(await self._tools[call.name].call(call.arguments))
        except ToolError as error:
            info = error_info(error)
            return self._ctx.prompts.render("tool_error", kind=info.kind, message=info.message)

    def take_new_tasks(self) -> list[Task]:
        """Return the tasks created since the last call."""
        new, self._new = self._new, []
        return new

    async def spawn(self, title: str, prompt: str) -> str:
        """Hand out a task to an expert, who starts at once.

        Args:
            title: Two to five words.
            prompt: What to find out or to do, so that it can be understood by itself.
        """
        return self._add(title, prompt, ())

    async def follow_up(self, task: str, prompt: str) -> str:
        """Hand out a task to an expert who is shown the result of an earlier one.

        Args:
            task: The name of the earlier task.
            prompt: What is missing, doubtful, or to be done next.
        """
        self._check_names([task])
        return self._add(f"Follow-up of {task}", prompt, (task,))

    async def wait(self, tasks: list[str]) -> str:
        """Wait until all of these tasks are done, and see their results.

        Args:
            tasks: The names of the tasks.
        """
        self._check_names(tasks)
        results = [(task, await self._result_of(task)) for task in dict.fromkeys(tasks)]
        mark = fence_mark(results)
        return self._ctx.prompts.render("orchestrate_results", mark=mark, results=fenced(results, mark))

    async def _result_of(self, task: str) -> str:
        text = result_text(await self._ctx.finished(task), self._ctx.prompts)
        unheard = self._ctx.unheard(task)
        return f"{text}\n\n(It was done without having heard: {'; '.join(unheard)})" if unheard else text

    async def message(self, task: str, text: str) -> str:
        """Leave a message for an expert who is still at work, who takes it into account if another turn comes.

        Args:
            task: The name of the expert's task.
            text: What the expert has to know now.
        """
        self._check_names([task])
        if not self._ctx.tell(task, text):
            raise ToolError(f"{task} is not at work; hand out a follow-up if something is missing")
        return f"{task} hears it before its next turn, if there is one; its result tells what it did not hear."

    async def interrupt(self, task: str) -> str:
        """Stop a task whose result is no longer needed.

        Args:
            task: The name of the task.
        """
        self._check_names([task])
        return f"{task} is stopped." if self._ctx.interrupt(task) else f"{task} was not running."

    def _add(self, title: str, prompt: str, needs: tuple[str, ...]) -> str:
        if self._count == self._max_tasks:
            raise ToolError(f"all {self._max_tasks} tasks are handed out; wait for them, or be done")
        self._count += 1
        name = f"task-{self._count}"
        self._new.append(Task(id=name, prompt=prompt, needs=needs, title=title))
        return f"{name} is handed out."

    def _check_names(self, tasks: list[str]) -> None:
        known = [task.id for task in self._ctx.planned]
        for task in tasks:
            if task not in known:
                raise ToolError(f"there is no task {task!r}; there are: {', '.join(known) or 'none yet'}")
