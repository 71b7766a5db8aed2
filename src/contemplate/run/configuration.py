"""What a run is made of, in words: for its record in the journal, and for `repr`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import blake2b
from types import FunctionType, MethodType
from typing import Any

from pydantic import BaseModel

from ..events import EVERYONE
from ..redaction import redact
from .run import Parts

PACKAGE = __name__.partition(".")[0]
DEEPEST = 6
LONGEST = 200
LONGEST_TEXT = 80

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def configuration_of(parts: Parts) -> dict[str, str]:
    """Return what decides how a question is answered: each part by its name. Limits may change, and are left out."""
    described = {
        "model": parts.model.name,
        # What gives a planner its bounds, and what answers a task several times, say nothing by themselves.
        "planner": describe(getattr(parts.planner, "plan", parts.planner)),
        "agent": describe(getattr(parts.agent, "agent", parts.agent)),
        "aggregator": describe(parts.aggregator),
        "output_type": "str" if parts.output is None else parts.output.name,
    }
    if frozenset(parts.images_to) != EVERYONE:
        described["images_to"] = describe(sorted(parts.images_to))
    if parts.settings is not None:
        described["all_settings"] = describe(parts.settings)
    if parts.seed is not None:
        described["seed"] = str(parts.seed)
    if parts.prompts.texts:
        described["prompts"] = ", ".join(f"{name} ({digest})" for name, digest in parts.prompts.digests.items())
    if parts.instructions:
        described["instructions"] = describe(parts.instructions)
    return {name: redact(text) for name, text in described.items()}


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return in which parts two configurations differ, and how; "" if they are equal."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(_differs(name, before.get(name, "not there"), now.get(name, "not there")) for name in names)


def _differs(name: str, before: str, now: str) -> str:
    # Both from shortly before the place where they differ.
    alike = next((place for place, (one, other) in enumerate(zip(before, now, strict=False)) if one != other), 0)
    start = max(0, alike - LONGEST // 2)
    was, now_is = (f"{'...' if start else ''}{_short(text[start:])}" for text in (before, now))
    return f"{name} was {was}, and is {now_is}"


def describe(value: object, depth: int = 0) -> str:
    """Return `value` in words that stay the same from process to process.

    What this package makes is described by its arguments; a function or an object of the user's by its name, or by
    `repr` if its class has one.
    """
    if depth > DEEPEST:
        return "..."
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {describe(each, depth + 1)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(describe(each, depth + 1) for each in value) + "]"
    if isinstance(value, set | frozenset):
        return "[" + ", ".join(sorted(describe(each, depth + 1) for each in value)) + "]"
    if isinstance(value, type):
        return value.__qualname__
    if isinstance(value, partial):
        return _call(describe(value.func, depth + 1), {**dict(enumerate(value.args)), **value.keywords}, depth)
    if isinstance(value, FunctionType | MethodType):
        return _function(value, depth)
    return _object(value, depth)


def _text(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return repr(text)
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{text[: LONGEST_TEXT - 3] + '...'!r} ({digest})"


def _function(function: FunctionType | MethodType, depth: int) -> str:
    name = function.__qualname__
    if isinstance(function, FunctionType) and _ours(function):
        # Made by a function of this package: the planner of `sample(5)` is known by what it keeps of its arguments.
        contents = map(_content, function.__closure__ or ())
        kept = dict(zip(function.__code__.co_freevars, contents, strict=True))
        return _call(name.partition(".<locals>")[0], kept, depth)
    return name


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _object(value: object, depth: int) -> str:
    name = getattr(value, "name", None)
    kind = type(value)
    if isinstance(name, str):
        # A model, a tool, a server of tools.
        return name
    if isinstance(value, BaseModel):
        return _call(kind.__qualname__, {each: getattr(value, each) for each in sorted(value.model_fields_set)}, depth)
    if _ours(kind):
        names = [each.name for each in fields(value)] if is_dataclass(value) else getattr(value, "__dict__", ())
        return _call(kind.__qualname__.lstrip("_"), {each: getattr(value, each) for each in names}, depth)
    return kind.__qualname__ if kind.__repr__ is object.__repr__ else _ADDRESS.sub("", repr(value))


def _call(name: str, arguments: Mapping[Any, object], depth: int) -> str:
    given = {str(key).lstrip("_"): each for key, each in arguments.items() if not _says_nothing(each)}
    return f"{name}({', '.join(f'{key}={describe(each, depth + 1)}' for key, each in given.items())})"


def _says_nothing(value: object) -> bool:
    if isinstance(value, BaseModel):
        return all(getattr(value, each) is None for each in value.model_fields_set)
    return value is None or (isinstance(value, str | tuple | list | Mapping) and not value)


def _ours(what: Callable[..., object] | type) -> bool:
    return what.__module__.partition(".")[0] == PACKAGE


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
