"""Tools that somebody else runs, known by their schema only."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import JsonValue

from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..models import ToolSpec
from .tool import TOOL_NAME, Tool, never_called
from .toolset import DescribedTool


@checked_arguments
def external_tool(
    name: str,
    description: str = "",
    parameters: Mapping[str, JsonValue] | None = None,
    *,
    side_effects: bool = False,
) -> Tool:
    """Return a tool that somebody else runs: a browser, the caller of an API, a person.

    A call of it waits for its result, `Returned(value)`: from `approve=`, or after the run was suspended.

    Args:
        name: its name for the model: letters, digits, "_" and "-", at most 64.
        description: its description for the model.
        parameters: the JSON schema of its arguments, of type object; none if None.
        side_effects: whether several subagents that answer the same question must not each call it.

    Raises:
        ConfigurationError: the name cannot be that of a tool, or the schema is not that of an object.
    """
    if not re.fullmatch(TOOL_NAME, name):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a tool", hint='use letters, digits, "_" and "-", at most 64'
        )
    schema: dict[str, JsonValue] = {"properties": {}} if parameters is None else dict(parameters)
    if schema.get("type", "object") != "object":
        raise ConfigurationError(f"external_tool({name!r}): its parameters are not the schema of an object")
    made = DescribedTool(ToolSpec(name, description, {"type": "object", **schema}), never_called)
    made.external, made.side_effects = True, side_effects
    return made
