"""The machinery of one run: a stream of tasks goes in, a stream of results comes out.

protocols       what planners, agents and aggregators are
engine, graph   dispatch, deadlines, cancellation; which task may start
state           the state of a run, written by the engine only
context         the part of it that planners and aggregators may use; task_context, that of agents
calls           the one door for model calls, and for runs within runs
single_call     one of these: recalled, or within limits and slots; metering, its cost
tool_calls      the one door for tool calls
budget, shares  limits: reserved before a call, settled after it; how what is left is divided
planning        whether the planner may hand out more tasks before it waits
run             from a question to a result; recorded, with a journal; nesting and task_run, within another run
current_run     where code runs: the one context variable; resources, what a run keeps open
listeners, log  who receives events
"""
