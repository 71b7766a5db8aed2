"""An MCP server that follows the protocol only so far. Its last two words: what noise it makes, and its odd tools.

It speaks JSON-RPC over stdio by hand, as no package would let it be so careless.
"""

from __future__ import annotations

import json
import sys
from typing import Any

NOISE = {
    "latin-1": "Verbindung geöffnet\n".encode("latin-1"),
    "cut": b"\xe2\x82\n",
    "bytes": bytes(range(256)) + b"\n",
    "text": b"listening ...\n",
    "none": b"",
}
FINE = {"name": "fine", "description": "Works.", "inputSchema": {"type": "object", "properties": {}}}
ODD: dict[str, list[Any]] = {
    "no schema": [{"name": "odd"}],
    "null schema": [{"name": "odd", "inputSchema": None}],
    "empty schema": [{"name": "odd", "inputSchema": {}}],
    "wrong schema": [{"name": "odd", "inputSchema": {"type": "string"}}],
    "odd fields": [{"name": "odd", "description": 5, "annotations": "none", "icons": 1, "outputSchema": {}}],
    "no name": [{"description": "nameless"}, {"name": ""}, {"name": 5}, "odd", None],
}


def answer(method: str, noise: bytes, tools: list[Any]) -> dict[str, Any]:
    if method == "initialize":
        about = {"name": "odd", "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [*tools, FINE]}
    # In the middle of its work.
    sys.stdout.buffer.write(noise)
    return {"content": [{"type": "text", "text": "done"}]}


def main() -> None:
    noise, tools = NOISE[sys.argv[-2]], ODD.get(sys.argv[-1], [])
    sys.stdout.buffer.write(noise)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if "id" in request and "method" in request:
            result = answer(request["method"], noise, tools)
            reply = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result})
            sys.stdout.buffer.write(f"{reply}\n".encode())
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
