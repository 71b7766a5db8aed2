"""The command line: `contemplate ask`, `batch`, `compare`, `runs`, `show`, `view`, `resume`, `models`, `serve`, ...

arguments        the options of each command; --help comes from here
commands         from a command's name to its function, and from errors to exit codes

ask              a question
batch            the rows of a file as questions
compare          the same in several ways, with a table of what came of them
rows             how these two read the rows, and how far they are
rerun            a run once more: resume, replay, reaggregate
runs             the list of runs, and one run as a tree (call_tree)
models           local models: the list, and fetching one
viewer           runs in a browser
serve            the server
cluster          workers, and questions for them

watch            making a run, and showing it
view             which view shows a run: live_view on a terminal, plain_view elsewhere, json_view
task_rows        the rows of the live view
footer           the lines below the rows
live_area        what is drawn in place, with what is printed above it
answer_view      the answer while it is written: as it is, or as Markdown (markdown_answer)
markdown         how a block looks; markdown_blocks, which takes a text apart while it is written
heartbeat        a line every few seconds, where nothing else shows that a run goes on
run_options      the model and the limits that the options name
journal_file     the file in which runs are written down, and finding a run in it
save_images      the images of an answer, as files
print_estimate   what a run may take
signals          Ctrl-C

errors           errors as lines and as exit codes
console          standard output and standard error
exit_codes       the exit codes
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    try:
        from .commands import run_command

        return run_command(options)
    except KeyboardInterrupt:
        from .exit_codes import INTERRUPTED

        return INTERRUPTED
