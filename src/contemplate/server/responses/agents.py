"""The multi-agent beta of the Responses API: the tasks of a run as agents, for clients that ask for it.

`/root` is the run. Each task is an agent below it, which is spawned, sent messages, waited for, and tells its result;
what it runs within itself is below it. Only what happens before the answer begins is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...data import to_json_text
from ...events import TaskFinished, TaskPlanned, TaskStarted, TaskTold
from ...result import TaskResult
from ...views.event_lines import task_end
from ..deltas import ReplyDelta
from . import events
from .items import Agent, AgentAction, AgentCall, AgentCallOutput, AgentItem, AgentMessage, Message
from .parts import OutputText
from .resource import Response
from .writer import ResponseWriter

BETA = "responses_multi_agent=v1"
ROOT = "/root"
AGENT_ITEMS = frozenset({"multi_agent_call", "multi_agent_call_output", "agent_message"})


class MultiAgentWriter(ResponseWriter):
    """Writes a response in which the tasks are agents."""

    def __init__(self, response: Response, *, encrypted: bool = False, events: int = 0) -> None:
        super().__init__(response, encrypted=encrypted, events=events)
        self._agent = Agent(agent_name=ROOT)
        # By the path of the run and the id of the task.
        self._names: dict[tuple[str, str], str] = {}
        self._calls = 0

    def say(self, delta: ReplyDelta) -> Iterator[events.Event]:
        """Add to the reasoning, to the answer, or to what the agents do."""
        match delta.event:
            case TaskPlanned(task=task, path=path):
                told = self._spawn(path, task.id, task.label, task.prompt)
            case TaskStarted(task_id=id_, path=path):
                told = iter(()) if (path, id_) in self._names else self._spawn(path, id_, id_, "")
            case TaskTold(task_id=id_, text=text, path=path) if (path, id_) in self._names:
                told = self._tell(path, id_, text)
            case TaskFinished(result=result, path=path) if (path, result.id) in self._names:
                told = self._finish(path, result)
            case _:
                yield from super().say(delta)
                return
        if self._open is Message and delta.turn:
            yield from self._close("completed", "commentary")
        if self._open is not Message:
            yield from told

    def _spawn(self, path: str, id_: str, label: str, prompt: str) -> Iterator[events.Event]:
        parent = self._run_name(path)
        name = self._new_name(parent, label, id_)
        self._names[path, id_] = name
        asked = {"task_name": name.rpartition("/")[2], "message": prompt}
        yield from self._action(parent, "spawn_agent", asked, {"task_name": name})

    def _tell(self, path: str, id_: str, text: str) -> Iterator[events.Event]:
        parent, name = self._run_name(path), self._names[path, id_]
        message = AgentMessage(author=parent, recipient=name, content=(OutputText(text=text),), agent=_agent(parent))
        yield from self._action(parent, "send_message", {"target": name, "message": text}, {"target": name}, message)

    def _finish(self, path: str, result: TaskResult) -> Iterator[events.Event]:
        parent, name = self._run_name(path), self._names[path, result.id]
        if result.outcome == "cancelled":
            yield from self._action(parent, "interrupt_agent", {"target": name}, {"previous_status": "running"})
            return
        text = result.text if result.answered else f"{task_end(result)}\n\n{result.text}".strip()
        message = AgentMessage(author=name, recipient=parent, content=(OutputText(text=text),), agent=_agent(name))
        told = {"message": f"{name}: {result.outcome}", "timed_out": False}
        yield from self._action(parent, "wait_agent", {}, told, message)

    def _action(
        self, agent: str, action: AgentAction, arguments: object, output: object, meanwhile: AgentMessage | None = None
    ) -> Iterator[events.Event]:
        yield from self._close("completed", "commentary")
        self._calls += 1
        id_ = f"call_{self._owner}{self._calls}"
        said = to_json_text(arguments)
        yield from self._item(AgentCall(call_id=id_, action=action, arguments=said, agent=_agent(agent)))
        if meanwhile is not None:
            yield from self._item(meanwhile)
        texts = (OutputText(text=to_json_text(output)),)
        yield from self._item(AgentCallOutput(call_id=id_, action=action, output=texts, agent=_agent(agent)))

    def _item(self, item: AgentItem) -> Iterator[events.Event]:
        item = item.model_copy(update={"id": self._next(item.type)})
        yield self._numbered(events.ItemAdded(output_index=self._index, item=item, agent=item.agent))
        done = self._done(item)
        done.__dict__["agent"] = item.agent
        yield done

    def _run_name(self, path: str) -> str:
        """Return the name of the agent that a run is: the task in which it is, or a part of its path."""
        if not path:
            return ROOT
        before, _, id_ = path.rpartition("/")
        return self._names.get((before, id_)) or f"{self._run_name(before)}/{_slug(id_)}"

    def _new_name(self, parent: str, label: str, id_: str) -> str:
        name = f"{parent}/{_slug(label)}"
        return name if name not in self._names.values() else f"{name}_{_slug(id_)}"


def without_agents(response: Response) -> Response:
    """Return a response without what only clients of the beta know; others take an unknown item for a message."""
    output = tuple(each.model_copy(update={"agent": None}) for each in response.output if each.type not in AGENT_ITEMS)
    return response.model_copy(update={"output": output})


def _agent(name: str) -> Agent:
    return Agent(agent_name=name)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40] or "agent"
