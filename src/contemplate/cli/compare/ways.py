"""The ways that the command compares: modes by their names, or those of a file of Python."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ... import answers
from ...comparison.metrics import Metric
from ...contemplator import Contemplator
from ...errors import ConfigurationError, ContemplateError
from ...modes import Mode
from ...run.answer_keys import Key
from ..approvals import tools_in
from ..run_options import limits_in, model_named, prompts_in

# Options that say what the modes are made of; what a file has was made there.
_OF_MODES = ("prompts", "mcp", "yes_to", "max_seconds", "max_tokens", "max_output_tokens", "max_cost", "max_calls")

_KEYS: Mapping[str, Key] = {
    "final": answers.final,
    "math": answers.math,
    "choice": answers.choice(),
    "text": answers.text,
}


@dataclass(frozen=True, slots=True)
class Ways:
    """Ways by their names, and how they are scored.

    Attributes:
        minds: the contemplators.
        metric, key: those of `contemplate.compare`; None if the file has none.
        use_model: whether they are made of the model that the options name.
    """

    minds: Mapping[str, Contemplator[Any]]
    metric: Metric | None = None
    key: Key | None = None
    use_model: bool = False


def ways_in(options: argparse.Namespace) -> Ways:
    """Return the ways that `--ways` names.

    Raises:
        ConfigurationError: there is no such mode or file, or the file has no ways.
    """
    given = options.ways
    modes = [each.strip() for each in given.split(",") if each.strip()]
    unknown = [each for each in modes if each not in get_args(Mode)]
    if unknown and (given.endswith(".py") or Path(given).is_file()):
        return _of_file(options)
    if unknown or not modes:
        raise ConfigurationError(
            f"--ways {given}: {', '.join(map(repr, unknown)) or 'nothing'} is neither a mode nor a file of Python",
            hint=f"modes, with commas: {', '.join(get_args(Mode))}; or a file *.py with ways = {{...}}",
        )
    model = model_named(options.model)
    parts: dict[str, Any] = {
        "limits": limits_in(options),
        "prompts": prompts_in(options),
        "tools": tools_in(options),
    }
    minds = {mode: Contemplator(model, mode=mode, **parts) for mode in modes}
    return Ways(minds, key=_key_named(options.key), use_model=True)


def _of_file(options: argparse.Namespace) -> Ways:
    path = Path(options.ways)
    for name in _OF_MODES:
        if getattr(options, name):
            raise ConfigurationError(
                f"--{name.replace('_', '-')} is for modes, and the ways are those of {path}", hint="say it in the file"
            )
    if not path.is_file():
        raise ConfigurationError(f"--ways {path}: there is no such file", hint="a file of Python with ways = {...}")
    # As for a script, so that it finds the files beside it.
    sys.path.insert(0, str(path.resolve().parent))
    try:
        names = runpy.run_path(str(path))
        minds: Any = names.get("ways")
        takes_model = callable(minds)
        if takes_model:
            minds = minds(model_named(options.model))
    except ContemplateError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{path}: {type(error).__name__}: {error}", hint="--traceback shows where") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    if not isinstance(minds, Mapping) or not minds:
        raise ConfigurationError(
            f"{path}: ways is {'not there' if minds is None else f'a {type(minds).__name__}'}",
            hint='ways = {"instant": Contemplator(mode="instant"), ...}, or a function that returns it for a model',
        )
    if options.model is not None and not takes_model:
        raise ConfigurationError(
            f"--model is for modes, and the ways are those of {path}", hint="def ways(model): return {...}"
        )
    metric, key = _function(path, names, "metric"), _function(path, names, "key")
    if options.key is not None and (metric or key):
        raise ConfigurationError(f"--key {options.key}: {path} says how answers are scored", hint="leave one out")
    return Ways(minds, metric, key or _key_named(options.key), takes_model)


def _key_named(name: str | None) -> Key | None:
    return None if name is None else _KEYS[name]


def _function(path: Path, names: Mapping[str, Any], name: str) -> Callable[..., Any] | None:
    found: Any = names.get(name)
    if found is not None and not callable(found):
        raise ConfigurationError(f"{path}: {name} is a {type(found).__name__}", hint="a function")
    return found  # type: ignore[no-any-return]
