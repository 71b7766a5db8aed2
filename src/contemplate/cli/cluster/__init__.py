"""`contemplate worker`, `submit` and `cluster`: runs on many machines.

worker    a worker, until a signal ends it
submit    a question for workers
status    workers, queues, limits and runs at a glance
"""
