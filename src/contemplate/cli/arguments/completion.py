"""The options of `completion`."""

from __future__ import annotations

from .common import add_debugging
from .values import Commands


def add_completion(commands: Commands) -> None:
    """Add `completion`."""
    completion = commands.add_parser(
        "completion",
        help="print what completes commands and options in a shell",
        description="Print a script by which a shell completes commands and options. Try it: "
        'eval "$(contemplate completion bash)"',
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    add_debugging(completion)
