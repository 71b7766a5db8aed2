"""Tools of an MCP server: a run starts it, its subagents use it, and it ends with the run.

Needs `pip install 'contemplate-ai[mcp]'`. This file is the server, too: started with "serve" it offers one tool.
"""

from __future__ import annotations

import sys

from contemplate import Contemplator, mcp_tools


def serve() -> None:
    """Be the server, over standard input and output."""
    from mcp.server import MCPServer

    server = MCPServer("harbour", log_level="ERROR")

    @server.tool()
    def depth(harbour: str) -> str:
        """Look up how deep a harbour is."""
        return {"bergen": "11 metres", "oslo": "9 metres"}.get(harbour.lower(), "not known")

    server.run()


def main() -> None:
    """Ask a question that takes the server's tool."""
    harbour = mcp_tools([sys.executable, __file__, "serve"], name="harbour")
    result = Contemplator(mode="instant", tools=[harbour]).run_sync("Use the tool: how deep is the harbour of Bergen?")
    for message in result.tasks[0].messages:
        for call in message.tool_calls:
            print(f"called {call.name}({call.arguments})")
    print(result.output)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
