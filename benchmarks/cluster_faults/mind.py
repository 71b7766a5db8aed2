"""A contemplator whose calls are scripted: a plan, subagents of several turns with a tool, and a conclusion.

What a call answers follows from what it is asked; how long it takes does not. Each is written to a file when it begins
and when it is answered. Whatever a subagent says, and what its tool returns, has its name in it and that of its run.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from pathlib import Path
from typing import NamedTuple

import anyio

from contemplate import Contemplator, Message, planners, tool
from contemplate.messages import ToolCall
from contemplate.models import Limit, Model, ModelRequest
from contemplate.testing import ScriptedModel

NAME = "benchmarks.cluster_faults.mind:mind"
# Where calls are written down; the shortest and the longest that one takes, in seconds; and how many a process makes at
# once, others having to wait: in the environment.
LOG, SECONDS, AT_ONCE = "CONTEMPLATE_FAULTS_LOG", "CONTEMPLATE_FAULTS_SECONDS", "CONTEMPLATE_FAULTS_AT_ONCE"
AGENTS = ("ana", "bob", "cyd", "dan")
TURNS = 3


class Call(NamedTuple):
    """A line of the file.

    Args:
        what: "began" or "answered".
        key: what was asked, as a digest.
        run: the run's question.
        agent: the subagent's name; empty if it is none.
        foreign: how many messages of the conversation are not the subagent's own.
        process: who has made the call.
        at: when, in seconds since 1970.
    """

    what: str
    key: str
    run: str
    agent: str
    foreign: int
    process: int
    at: float


def calls_in(log: Path) -> list[Call]:
    """Return what was written down. Of whoever is killed, no line is half."""
    return [Call(*json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def run_of(request: ModelRequest) -> str:
    """Return the question of the run: "run-7"."""
    texts = " ".join(message.text for message in request.messages[:2])
    return next(word for word in texts.split() if word.startswith("run-"))


def key_of(request: ModelRequest) -> str:
    """Return a name for what is asked."""
    said = "\n".join(message.model_dump_json(exclude_none=True) for message in request.messages)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def answer_to(request: ModelRequest) -> Message:
    """Return the answer, in which the key is."""
    key, run = key_of(request), run_of(request)
    if request.output_schema is not None:
        tasks = [{"title": agent, "prompt": f"I am {agent} of {run}.", "needs": []} for agent in AGENTS]
        return Message.assistant(json.dumps({"tasks": tasks, "key": key}))
    if not request.tools:
        return Message.assistant(f"{run} is {key}.")
    agent, turn = _agent(request), sum(message.role == "tool" for message in request.messages)
    text = f"{agent} of {run}, turn {turn}, is {key}."
    if turn == TURNS:
        return Message.assistant(text)
    call = ToolCall(id=f"c{turn}", name="look", arguments=json.dumps({"who": f"{agent} of {run}", "turn": turn}))
    return Message.assistant(text, (call,))


def _agent(request: ModelRequest) -> str:
    return request.messages[1].text.partition("I am ")[2].partition(" of ")[0]


def foreign(request: ModelRequest) -> int:
    """Return how many messages of a subagent's conversation are not its own."""
    mine = f"{_agent(request)} of {run_of(request)}"
    said = [message for message in request.messages[2:] if message.role in ("assistant", "tool")]
    calls = [call.arguments for message in said for call in message.tool_calls]
    return sum(mine not in text for text in [*(message.text for message in said), *calls])


def _write_down(what: str, request: ModelRequest) -> None:
    if LOG not in os.environ:
        return
    agent = _agent(request) if request.tools else ""
    others = foreign(request) if agent else 0
    line = json.dumps(Call(what, key_of(request), run_of(request), agent, others, os.getpid(), time.time()))
    with open(os.environ[LOG], "a") as file:
        file.write(f"{line}\n")


async def _answer(request: ModelRequest) -> Message:
    _write_down("began", request)
    if SECONDS in os.environ:
        shortest, longest = map(float, os.environ[SECONDS].split("-"))
        await anyio.sleep(random.uniform(shortest, longest))
    _write_down("answered", request)
    return answer_to(request)


@tool
async def look(who: str, turn: int) -> str:
    """Look."""
    await anyio.sleep(0.001 * random.random())
    return f"{who} saw {turn}"


def _limited(model: Model) -> Model:
    return Limit(model, concurrency=int(os.environ[AT_ONCE])) if AT_ONCE in os.environ else model


mind = Contemplator(_limited(ScriptedModel(_answer)), planner=planners.model(), tools=[look])
