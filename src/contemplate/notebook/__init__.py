"""Runs in a notebook: `watch` shows a run in a cell while it goes on, in place.

watching    making a run, and showing it
view        what shows it: a cell's output where there is one, else lines on standard error
cell        the run in the output of a cell
lines       the run as lines
"""

from .watching import watch, watch_sync

__all__ = ["watch", "watch_sync"]
