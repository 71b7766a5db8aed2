"""The command line: `contemplate ask`, `models`, `serve`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


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
    from .exits import guarded

    return guarded(options)
