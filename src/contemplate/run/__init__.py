"""The machinery of one run: two streams meet, tasks in and results out.

protocols       what planners, agents and aggregators are
engine, graph   dispatch, deadlines, cancellation; which task may start
state           how far a run has come: what the engine alone writes
context         what planners and aggregators may touch of it; task_context, what agents may
calls           the one door for model and tool calls, and for runs within runs; metering, what a call costs
budget          limits: reserved before a call, settled after it
run             from a question to a result; recorded, with a journal around it; nesting, within another run
listeners, log  who is told of events
"""
