"""The command line: `contemplate ask`, `runs`, `show`, `resume`, `replay`, `reaggregate`, `models`, `serve`.

arguments   what can be said; --help comes from here
exits       from errors to lines that help, and to exit codes
ask         one question: the run, watched
estimate    what a run may take
place       where runs are written down
runs        the runs that were: the list, and one as a tree
again       one of them once more: resume, replay, reaggregate
views       how it is shown: lines, JSON; live is the view on a terminal
record      what a run has reached, for when it is interrupted
signals     Ctrl-C
models      local models: the list, and fetching one
serve       the backend
words       what all of them say in the same words
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`, the process's own arguments if None, and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        # Nothing else is imported: asking for the version is instant.
        from .._version import __version__

        sys.stdout.write(f"contemplate {__version__}\n")
        return 0
    from .arguments import parse

    options = parse(arguments)
    try:
        from .exits import guarded

        return guarded(options)
    except KeyboardInterrupt:
        return INTERRUPTED
