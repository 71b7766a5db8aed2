"""What runs on workers go through, and come out of: `python -m benchmarks.cluster_faults kills|outages|stops`.

mind      what workers answer with, which writes down what is asked
scene     workers on a database, questions to them, and what came of these
outages   the database crashes, cannot be reached, or is slow
kills     workers are killed at random moments
stops     workers stand still for longer than their lease
"""
