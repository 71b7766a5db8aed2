"""What a run is made with, as the command's options name it: the model and the limits."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from ..errors import ConfigurationError, MissingDependencyError
from ..limits import Limits
from ..models import Model, resolve
from ..modes import Mode, Preset, program
from ..prompts import DEFAULTS, Prompts
from .arguments.common import MODE

# The options by the fields of `Limits`.
LIMIT_OPTIONS = {
    "seconds": "max_seconds",
    "total_tokens": "max_tokens",
    "output_tokens": "max_output_tokens",
    "cost_usd": "max_cost",
    "calls": "max_calls",
    "concurrency": "concurrency",
}


def model_named(name: str | None) -> Model:
    """Return the model called `name`, or the default one if None."""
    try:
        return resolve(name)
    except MissingDependencyError as error:
        if name is not None:
            raise
        raise ConfigurationError(error.message, hint=f"{error.hint}, set OPENAI_API_KEY, or choose a --model") from None


def limits_in(options: argparse.Namespace) -> Limits:
    """Return the limits that were given."""
    return Limits(**{limit: getattr(options, option) for limit, option in LIMIT_OPTIONS.items()})


def program_in(options: argparse.Namespace) -> str | None:
    """Return the program that was given; None if none was. Its file may be a pipe, which can be read only once.

    Raises:
        ConfigurationError: its file cannot be read.
    """
    if options.program is None:
        return None
    try:
        return Path(options.program).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--program {options.program}: it cannot be read: {error}") from None


def mode_in(options: argparse.Namespace, source: str | None) -> Mode | Preset:
    """Return the mode that was given, or that of the program `source`."""
    return cast("Mode", options.mode or MODE) if source is None else program(source)


def prompts_in(options: argparse.Namespace, labels: Mapping[str, JsonValue] | None = None) -> Prompts:
    """Return the prompts of the folder that was given, else of the folder that a run's `labels` name."""
    folder = options.prompts or (labels or {}).get("prompts")
    return Prompts.from_folder(folder) if isinstance(folder, str) else DEFAULTS
