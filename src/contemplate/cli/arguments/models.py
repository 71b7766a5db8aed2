"""The options of `models` and `prompts`."""

from __future__ import annotations

from .common import FORMS
from .values import Commands, above_zero


def add_models(commands: Commands) -> None:
    """Add `models` and what it does with one."""
    models = commands.add_parser("models", help="list local models and providers; fetch, check or forget one")
    actions = models.add_subparsers(dest="action", metavar="ACTION")
    pull = actions.add_parser("pull", help="fetch a local model")
    pull.add_argument("name", help="its name, as in the list")
    check = actions.add_parser(
        "check",
        help="find out what a model can do, and how it wants to be asked",
        description="Make about thirty small calls, and print what works, the profile as code, and the cost.",
    )
    check.add_argument("model", nargs="?", metavar="MODEL", help=FORMS)
    check.add_argument(
        "--seconds", type=above_zero(float), default=60.0, metavar="S", help="for each thing (default: %(default)g)"
    )
    check.add_argument("--json", action="store_true", help="print one JSON document")
    forget = actions.add_parser(
        "forget",
        help="forget what was learnt from refusals",
        description="Forget what was learnt of how endpoints want to be asked, and print of which.",
    )
    forget.add_argument("part", nargs="?", default="", metavar="PART", help="only of URL#MODEL that contain it")
    for parser in (models, pull, check, forget):
        parser.set_defaults(log_level=None)
        parser.add_argument("--traceback", action="store_true", help="show where an error came from")


def add_prompts(commands: Commands) -> None:
    """Add `prompts`."""
    prompts = commands.add_parser(
        "prompts",
        help="list the prompts, each with its placeholders",
        description="List the prompts, each with its placeholders, and the words in it that code reads in answers.",
    )
    prompts.add_argument("--copy-to", metavar="DIR", help="write the defaults there; nothing is overwritten")
    prompts.set_defaults(log_level=None)
    prompts.add_argument("--traceback", action="store_true", help="show where an error came from")
