"""Tools: what subagents may call.

tool       functions as tools
toolset    tools that are there only while something runs, such as a server
sandbox    programs that nobody has looked at, in a process of their own
mcp        tools of MCP servers
"""

from __future__ import annotations

from .tool import Tool, as_tool, tool
from .toolset import Toolset

__all__ = ["Tool", "Toolset", "as_tool", "tool"]
