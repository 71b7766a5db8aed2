"""A contemplating mode for any chat model: plan, fan out to parallel subagents, merge or vote.

The map of the package, from the roof down; each line imports only from those below it:

    cli, notebook                  the command line; runs in the cells of a notebook
    server, cluster                an OpenAI-compatible backend; runs on many machines
    comparison                     several ways on the same questions: accuracy, intervals, cost
    contemplator                   ask(), and Contemplator, which assembles the parts
    batch                          many questions, a few at a time
    estimate, samples              the expected cost of a run; a task's samples and the vote on them
    modes, stream                  ready pairs of planner and aggregator; a run as a stream of events
    progress                       how far a run is, by its events
    planners, aggregators          async generators of tasks; async functions over results
    agents, strategies             one subagent's loop of model and tools; instructions on how to solve a question
    run                            the machinery of one run: a stream of tasks in, a stream of results out
    views, budget                  events and results as text; what several runs may spend together
    journal, tools, testing        recorded calls; the tools of subagents; test doubles
    models                         the one-method model protocol, its implementations, and wrappers around them
    prompts, answers, images, arguments     every prompt; the keys that votes count; loading of images; argument checks
    accounts                       what is spent and reserved of a budget
    errors, events, result, plan, messages, settings, limits, usage, decisions            plain frozen data
    data, event_loops, redaction, boot_clock        its base class; threads and event loops; secrets in texts; a clock

Names are imported on first use, so that importing the package is fast.
"""

from __future__ import annotations

from ._version import __version__

# Type checkers treat it as typing.TYPE_CHECKING; importing typing would take longer than starting the interpreter.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import aggregators, answers, cluster, errors, events, journal, models, modes, planners, strategies, testing
    from .agents.agent import Agent
    from .agents.checks import checked
    from .agents.self_refine import refined
    from .batch import BatchItem, BatchProgress, BatchResult
    from .budget import Budget
    from .comparison import ComparisonReport, Example, compare, compare_sync
    from .contemplator import Contemplator, ask, ask_sync
    from .decisions import Approved, Denied, PendingCall, Returned
    from .errors import ContemplateError
    from .limits import Limits
    from .messages import ImagePart, Message
    from .plan import Plan, Task
    from .progress import Progress, ProgressMeter
    from .prompts import Prompts
    from .result import Conclusion, RunResult, TaskResult
    from .run.context import RunContext
    from .run.protocols import Answer
    from .run.task_context import TaskContext
    from .settings import ModelSettings
    from .stream import RunStream
    from .tools.external import external_tool
    from .tools.mcp import mcp_tools
    from .tools.tool import Tool, tool
    from .tools.tool_context import ToolContext
    from .usage import Price, Usage

_HOMES = {
    "Agent": "agents",
    "Answer": "run.protocols",
    "TaskContext": "run.task_context",
    "ask": "contemplator",
    "ask_sync": "contemplator",
    "checked": "agents",
    "refined": "agents",
    "BatchItem": "batch",
    "BatchProgress": "batch",
    "BatchResult": "batch",
    "Budget": "budget",
    "ComparisonReport": "comparison",
    "Example": "comparison",
    "compare": "comparison",
    "compare_sync": "comparison",
    "Contemplator": "contemplator",
    "RunContext": "run.context",
    "ContemplateError": "errors",
    "Approved": "decisions",
    "Denied": "decisions",
    "PendingCall": "decisions",
    "Returned": "decisions",
    "external_tool": "tools",
    "mcp_tools": "tools.mcp",
    "ImagePart": "messages",
    "Message": "messages",
    "Plan": "plan",
    "Task": "plan",
    "Progress": "progress",
    "ProgressMeter": "progress",
    "Prompts": "prompts",
    "Conclusion": "result",
    "RunResult": "result",
    "TaskResult": "result",
    "ModelSettings": "settings",
    "RunStream": "stream",
    "Tool": "tools",
    "ToolContext": "tools",
    "tool": "tools",
    "Limits": "limits",
    "Price": "usage",
    "Usage": "usage",
}
_MODULES = (
    "aggregators",
    "answers",
    "cluster",
    "errors",
    "events",
    "journal",
    "models",
    "modes",
    "planners",
    "strategies",
    "testing",
)

__all__ = [
    "Agent",
    "Answer",
    "Approved",
    "BatchItem",
    "BatchProgress",
    "BatchResult",
    "Budget",
    "ComparisonReport",
    "Conclusion",
    "ContemplateError",
    "Contemplator",
    "Denied",
    "Example",
    "ImagePart",
    "Limits",
    "Message",
    "ModelSettings",
    "PendingCall",
    "Plan",
    "Price",
    "Progress",
    "ProgressMeter",
    "Prompts",
    "Returned",
    "RunContext",
    "RunResult",
    "RunStream",
    "Task",
    "TaskContext",
    "TaskResult",
    "Tool",
    "ToolContext",
    "Usage",
    "__version__",
    "aggregators",
    "answers",
    "ask",
    "ask_sync",
    "checked",
    "cluster",
    "compare",
    "compare_sync",
    "errors",
    "events",
    "external_tool",
    "journal",
    "mcp_tools",
    "models",
    "modes",
    "planners",
    "refined",
    "strategies",
    "testing",
    "tool",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
