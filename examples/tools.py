"""Tools are plain functions: the schema comes from the signature, the words from the docstring."""

from __future__ import annotations

from contemplate import Contemplator, tool


@tool
def population(country: str) -> int:
    """Look up how many people live in a country.

    Args:
        country: The country's English name, such as "Norway".
    """
    return {"norway": 5_550_000, "denmark": 5_960_000}[country.lower()]


mind = Contemplator(mode="instant", tools=[population], instructions="Call a tool rather than guess.")
result = mind.run_sync("Use the tool: how many people live in Norway?")

for message in result.tasks[0].messages:
    for call in message.tool_calls:
        print(f"called {call.name}({call.arguments})")
print(result.output)
