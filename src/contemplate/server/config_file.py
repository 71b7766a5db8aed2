"""A Python file that says what is served: `minds`, or one `mind`, and if it likes `settings`."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contemplator import Contemplator
from ..errors import ConfigurationError
from .offer import OfferedMinds
from .settings import ServerSettings

ONLY_NAME = "contemplate"
_EXAMPLE = 'minds = {"contemplate": Contemplator("openai:gpt-5")}'


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What a file says.

    Args:
        minds: contemplators, or their own names, by the names by which clients ask for them.
        settings: the server's.
    """

    minds: OfferedMinds
    settings: ServerSettings


def read_config(path: str | Path) -> ServerConfig:
    """Run the Python file at `path`, and return what it says.

    Raises:
        ConfigurationError: there is no such file, it fails, or it does not say what to serve.
    """
    try:
        said = runpy.run_path(str(path), run_name="contemplate_config")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}", hint="give --config a Python file") from None
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{path} failed: {type(error).__name__}: {error}") from error
    return ServerConfig(_minds(path, said), _settings(path, said))


def _minds(path: str | Path, said: Mapping[str, Any]) -> OfferedMinds:
    if "minds" in said and "mind" in said:
        raise ConfigurationError(f"{path} has both `minds` and `mind`", hint="give it one of them")
    minds = said.get("minds", {ONLY_NAME: said["mind"]} if "mind" in said else None)
    if not isinstance(minds, Mapping) or not minds:
        raise ConfigurationError(f"{path} does not say what to serve", hint=_EXAMPLE)
    for name, mind in minds.items():
        if not isinstance(name, str) or not isinstance(mind, Contemplator | str):
            raise ConfigurationError(f"{path}: minds[{name!r:.80}] is a {type(mind).__name__}", hint=_EXAMPLE)
    return dict(minds)


def _settings(path: str | Path, said: Mapping[str, Any]) -> ServerSettings:
    settings = said.get("settings", ServerSettings())
    if not isinstance(settings, ServerSettings):
        raise ConfigurationError(
            f"{path}: settings is a {type(settings).__name__}", hint="settings = ServerSettings(...)"
        )
    return settings
