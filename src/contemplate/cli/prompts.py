"""`contemplate prompts`: the prompts, and copies of them to begin with."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigurationError
from ..prompts.fixed_words import FIXED_WORDS
from ..prompts.templates import SUFFIX, names, template
from .console import say, write
from .exit_codes import ANSWERED


def prompts(options: argparse.Namespace) -> int:
    """List the prompts, or write copies of them, and return the exit code."""
    if options.copy_to is not None:
        _copy_to(Path(options.copy_to))
        return ANSWERED
    for name in names():
        words = [f"${each}" for each in template(name).get_identifiers()]
        words += [each for each in FIXED_WORDS.get(name, ()) if "$" not in each]
        write(f"{name:28} {' '.join(words)}".rstrip() + "\n")
    return ANSWERED


def _copy_to(folder: Path) -> None:
    """Write the default prompts, if none of the files is there.

    Raises:
        ConfigurationError: one is there, or nothing can be written.
    """
    files = {folder / f"{name}{SUFFIX}": template(name).template for name in names()}
    there = next((path for path in files if path.exists()), None)
    if there is not None:
        raise ConfigurationError(f"{there} is there already; nothing was written", hint="name another directory")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"--copy-to {str(folder)!r}: {error.strerror or error}", hint="name a directory that can be written to"
        ) from None
    say(f"{len(files)} prompts are in {folder}; delete those that you do not change")
