"""The engine: queues of runs, and which worker has which run. All that knows DBOS, and nothing else does.

One contemplation is one workflow without steps, by the name of the run. When it goes on elsewhere its body runs again,
and the journal answers what was answered before.

connection   its connections, what it writes in them, and what it logs
run_queue    the queues, as whoever stands outside sees them
executor     what a worker takes from them
"""
