"""The exit codes of the command; a signal other than Ctrl-C ends it with 128 and the signal's number."""

from __future__ import annotations

ANSWERED = 0
FAILED = 1
USAGE = 2
LIMITED = 3
INTERRUPTED = 130
