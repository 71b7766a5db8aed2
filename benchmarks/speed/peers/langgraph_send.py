"""langgraph: a graph that maps with `Send`, over langchain's `ChatOpenAI`."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from . import KEY, MODEL, QUESTION, Ways, parts


class State(TypedDict):
    """What flows through the graph."""

    n: int
    answers: Annotated[list[str], operator.add]
    output: str


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ways]:
    """Ask `url`."""
    model = ChatOpenAI(model=MODEL, base_url=url, api_key=KEY)

    async def plan(state: State) -> dict[str, Any]:
        await model.ainvoke(QUESTION)
        return {}

    def spread(state: State) -> list[Send]:
        return [Send("work", part) for part in parts(state["n"])]

    async def work(prompt: str) -> dict[str, Any]:
        return {"answers": [(await model.ainvoke(prompt)).text]}

    async def aggregate(state: State) -> dict[str, Any]:
        return {"output": (await model.ainvoke("\n".join(state["answers"]))).text}

    whole = StateGraph(State).add_node(plan).add_node(work).add_node(aggregate).add_edge(START, "plan")
    whole.add_conditional_edges("plan", spread, ["work"]).add_edge("work", "aggregate").add_edge("aggregate", END)
    graph = whole.compile()
    reader = StateGraph(State).add_node(work).add_conditional_edges(START, spread, ["work"]).compile()

    async def fan_out(n: int) -> None:
        assert (await graph.ainvoke({"n": n}))["output"]

    async def stream(n: int) -> int:
        pieces = reader.astream({"n": n}, stream_mode="messages")
        return len([piece async for piece, _ in pieces if isinstance(piece, AIMessageChunk) and piece.text])

    yield fan_out, stream
