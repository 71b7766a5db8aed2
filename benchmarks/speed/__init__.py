"""What contemplate adds to the models' time, side by side with its peers: `python -m benchmarks.speed --help`.

Each contender is a short file in `peers/`, written as its documentation tells, and runs in an environment of its own.
All ask one cheap server, in a process of its own too. They are measured in turn, in one run: only ratios mean anything.
"""
