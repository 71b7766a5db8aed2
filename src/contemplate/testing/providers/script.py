"""What a provider's model says: the script of a test, or a model that can do everything asked of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .counting import images_in, prompt_text
from .refusals import Body
from .schema_values import value_for

# Tools that stand for an answer, not for something to be found out: their names or descriptions.
_ANSWER_TOOL = re.compile(r"(^|_)(final|answer|output|respond|result|reply)|final answer", re.IGNORECASE)
_WORD_ASKED = re.compile(r"with the word (\w+) and nothing else")
_COUNT_ASKED = re.compile(r"Count from 1 to (\d+)")
# Tools that are told about in words, and their results, as `models.PromptedTools` writes them.
_TOOLS_TOLD = '{"tool": "<name>"'
_TOOL_TOLD = re.compile(r"^- (\S+): .*\n  arguments: (\{.*\})$", re.MULTILINE)
_RESULT_TOLD = re.compile(r"<<result of (\S+) (\w+)>>\n(.*?)\n<<end \2>>", re.DOTALL)
_JSON_ASKED = re.compile(r"JSON only|as JSON|JSON (object|value|schema)", re.IGNORECASE)


@dataclass(frozen=True)
class AskedRequest:
    """A request, as the provider's model sees it.

    Args:
        body: the request, as chat completions write it.
        number: its number at this server, from 0.
        schema: the schema that the server holds the answer to; None if it does not.
        json: whether the server holds the answer to some JSON.
    """

    body: Body
    number: int
    schema: Mapping[str, Any] | None = None
    json: bool = False

    @cached_property
    def prompt(self) -> str:
        """All that there is to read."""
        return prompt_text(self.body)

    @property
    def images(self) -> int:
        """The number of images."""
        return images_in(self.body)

    @property
    def tools(self) -> dict[str, Mapping[str, Any]]:
        """The tools that may be called, with `description` and `parameters`, by their names."""
        if self.body.get("tool_choice") == "none":
            return {}
        functions = [tool["function"] for tool in self.body.get("tools") or ()]
        return {each["name"]: each for each in functions}

    @property
    def tool_results(self) -> list[str]:
        """What tools returned since the last user's message."""
        found: list[str] = []
        for message in self.body["messages"]:
            if message["role"] == "user":
                found = []
            elif message["role"] == "tool":
                found.append(str(message.get("content")))
        return found


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says to a request.

    Args:
        text: the answer.
        reasoning: what it thought before, if the provider's model thinks.
        tool_calls: pairs of a tool's name and its arguments, which are JSON.
        finish: why it stopped, in OpenAI's words; None for what follows from the rest.
        gate: an event that the answer waits for, for tests that control the order.
    """

    text: str = ""
    reasoning: str | None = None
    tool_calls: tuple[tuple[str, str], ...] = ()
    finish: str | None = None
    gate: threading.Event | None = None


Script = Callable[[AskedRequest], "Said | str"]


def able(answer: str = "42") -> Script:
    """Return the script of a model that answers every question with `answer`, in whatever form it is asked for.

    It calls each tool once, or twice if it is told so, with arguments that fit, also tools that it is told of in words.
    It follows a schema that it is held to or finds in the prompt, plans where a plan is asked for, picks the first
    candidate, writes programs that print the answer, says a word that it is told to say, counts, and sees every image
    as red.
    """

    def script(asked: AskedRequest) -> Said | str:
        calls = _calls(asked, answer)
        if calls:
            return Said(tool_calls=calls)
        if _TOOLS_TOLD in asked.prompt:
            return json.dumps(_turn(asked, answer))
        schema = asked.schema or _schema_in(asked.prompt)
        if schema is not None:
            return json.dumps(value_for(schema, answer))
        if asked.json or _JSON_ASKED.search(asked.prompt):
            return json.dumps(_usual_value(asked.prompt, answer))
        if "```python" in asked.prompt and "prints" in asked.prompt:
            return f"```python\nprint({answer!r})\n```"
        if word := _WORD_ASKED.search(asked.prompt):
            return word[1]
        if count := _COUNT_ASKED.search(asked.prompt):
            return " ".join(map(str, range(1, int(count[1]) + 1)))
        if asked.images and "colour" in asked.prompt:
            return "Red."
        return _text(asked.tool_results, answer)

    return script


def _text(results: list[str], answer: str) -> str:
    told = f"The tools returned {', '.join(results)}. " if results else ""
    return f"{told}Two steps lead there, and both were checked.\nAnswer: {answer}"


def _turn(asked: AskedRequest, answer: str) -> Mapping[str, Any]:
    """Return a call of a tool that was told of in words, or the answer once all have returned something."""
    results = {found[1]: found[3] for found in _RESULT_TOLD.finditer(asked.prompt)}
    for name, parameters in _TOOL_TOLD.findall(asked.prompt):
        if name not in results:
            return {"tool": name, "arguments": value_for(json.loads(parameters), answer)}
    schema = asked.schema or {}
    for each in schema.get("anyOf", ()):
        wanted = each.get("properties", {}).get("answer", {"type": "string"})
        if "answer" in each.get("properties", {}) and wanted.get("type") != "string":
            return {"answer": value_for({**wanted, "$defs": schema.get("$defs", {})}, answer)}
    return {"answer": _text(list(results.values()), answer)}


def _calls(asked: AskedRequest, answer: str) -> tuple[tuple[str, str], ...]:
    described = {name: f"{name} {tool.get('description')}" for name, tool in asked.tools.items()}
    answering = {name for name, text in described.items() if _ANSWER_TOOL.search(text)}
    finding_out = asked.tools.keys() - answering
    wanted = answering if asked.tool_results or not finding_out else finding_out
    if asked.tool_results and not answering:
        return ()
    times = 2 if "tool twice" in asked.prompt else 1
    return times * tuple(
        (name, json.dumps(value_for(tool.get("parameters") or {}, answer)))
        for name, tool in asked.tools.items()
        if name in wanted
    )


def _schema_in(prompt: str) -> Mapping[str, Any] | None:
    """Return the last JSON schema that stands in `prompt`."""
    decoder, found, place = json.JSONDecoder(), None, prompt.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(prompt, place)
        except ValueError:
            end = place + 1
        else:
            if isinstance(value, dict) and ("properties" in value or "$defs" in value):
                found = value
        place = prompt.find("{", end)
    return found


def _usual_value(prompt: str, answer: str) -> Any:
    """Return what is asked for where only the names of fields are told."""
    if '"tasks"' in prompt:
        return {"tasks": [{"title": f"Part {i}", "prompt": f"Find part {i}.", "needs": []} for i in (1, 2)]}
    if '"best"' in prompt:
        return {"reason": "It is right.", "best": "1"}
    if '"same"' in prompt:
        return {"same": True}
    if '"steps"' in prompt:
        return {"steps": [{"step": "The result", "why": "It follows.", "fault": "none"}]}
    if '"solution"' in prompt:
        return {"reason": "All agree.", "support": [1], "solution": f"Answer: {answer}"}
    return {"answer": answer}
