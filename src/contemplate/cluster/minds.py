"""The contemplators of a worker, by name. A name travels, a contemplator never does."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from ..contemplator import Contemplator
from ..errors import ConfigurationError, error_info

_FORM = re.compile(r"[\w.]+:[\w.]+")
HINT = "name it as module:attribute, such as app:mind, or register(name, mind) it in the worker's program"

_registered: dict[str, Contemplator[Any]] = {}


def register(name: str, mind: Contemplator[Any]) -> None:
    """Let workers of this process know `mind` by `name`, where it is not the attribute of a module.

    Raises:
        ConfigurationError: it is no contemplator, or the name is another one's.
    """
    if not isinstance(mind, Contemplator):
        raise ConfigurationError(f"register({name!r}, ...): a {type(mind).__name__}", hint="give a Contemplator")
    if _registered.setdefault(name, mind) is not mind:
        raise ConfigurationError(f"register({name!r}, ...): there is one of that name", hint="choose another name")


def mind_named(name: str) -> Contemplator[Any]:
    """Return the contemplator of this name: one that was registered, or an attribute of a module.

    Raises:
        ConfigurationError: there is none.
    """
    if name in _registered:
        return _registered[name]
    if not _FORM.fullmatch(name):
        raise ConfigurationError(f"there is no contemplator {name!r}", hint=HINT)
    module, _, path = name.partition(":")
    try:
        found: object = import_module(module)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except Exception as error:
        # Whatever the module of a user's does when it is imported.
        raise ConfigurationError(f"contemplator {name!r}: {error_info(error).message}", hint=HINT) from error
    if not isinstance(found, Contemplator):
        raise ConfigurationError(f"{name!r} is a {type(found).__name__}, not a Contemplator", hint=HINT)
    return found
