"""An MCP server that is there at once, for tests of when servers start and end. Its words: "slow", "stubborn".

It speaks JSON-RPC over stdio by hand, as the official package takes longer to import than such a test to run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

TOOLS: dict[str, dict[str, Any]] = {
    "add": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
    "places.list": {},
    "hang": {},
    "die": {},
    "child": {},
}


def spec(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    needed = [each for each, schema in properties.items() if "default" not in schema]
    schema = {"type": "object", "properties": properties, "required": needed}
    return {"name": name, "description": "As it is called.", "inputSchema": schema}


def use(name: str, given: dict[str, Any]) -> str | None:
    """What a tool returns; None if it never answers."""
    if name == "die":
        os._exit(3)
    if name == "child":
        return str(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", *sys.argv[1:]]).pid)
    if name == "add":
        return str(given["a"] + given.get("b", 1))
    return None if name == "hang" else "Lyon"


def answer(method: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        about = {"name": "quick", "version": "1"}
        return {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}}
    if method == "tools/list":
        return {"result": {"tools": [spec(name, properties) for name, properties in TOOLS.items()]}}
    if method != "tools/call":
        return {"error": {"code": -32601, "message": "Method not found"}}
    text = use(parameters["name"], parameters.get("arguments") or {})
    return None if text is None else {"result": {"content": [{"type": "text", "text": text}]}}


def main() -> None:
    if "slow" in sys.argv:
        # Until nobody speaks to it any more.
        sys.stdin.read()
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request and (reply := answer(request["method"], request.get("params") or {})):
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], **reply}) + "\n")
            sys.stdout.flush()
    if "stubborn" in sys.argv:
        time.sleep(300)


if __name__ == "__main__":
    main()
