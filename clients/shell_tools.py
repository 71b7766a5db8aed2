"""The shell, as coding clients offer it to a model: each under a name and with arguments of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from contemplate.messages import ToolCall
from contemplate.models import ToolSpec

NAMES = ("exec_command", "shell_command", "shell", "Bash", "bash")


def shell_call(tools: Sequence[ToolSpec], command: str) -> ToolCall | None:
    """Return a call of the shell among `tools` that runs `command`; None if there is no shell."""
    for tool in tools:
        if tool.name in NAMES:
            return ToolCall(id="shell", name=tool.name, arguments=json.dumps(_arguments(tool, command)))
    return None


def _arguments(tool: ToolSpec, command: str) -> dict[str, Any]:
    properties = tool.parameters.get("properties")
    fields = properties if isinstance(properties, dict) else {}
    if "cmd" in fields:
        return {"cmd": command}
    wanted = fields.get("command")
    as_list = isinstance(wanted, dict) and wanted.get("type") == "array"
    said: dict[str, Any] = {"command": ["bash", "-c", command] if as_list else command}
    return said | ({"description": "Write a file"} if "description" in fields else {})
