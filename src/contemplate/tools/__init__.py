"""Tools that subagents may call.

tool           functions as tools
embedded_json  JSON in texts, where a list or an object is wanted
tool_context   what a tool may know of its call; context_parameter, where a function wants that
approval       what a call needs before it is made
external       tools that somebody else runs
user_code      calls of functions that users wrote
toolset        tools that exist only while something runs, such as a server
sandbox        untrusted programs, in a separate process
mcp            tools of MCP servers
"""

from __future__ import annotations

from .external import external_tool
from .tool import Tool, as_tool, tool
from .tool_context import ToolContext
from .toolset import Toolset

__all__ = ["Tool", "ToolContext", "Toolset", "as_tool", "external_tool", "tool"]
