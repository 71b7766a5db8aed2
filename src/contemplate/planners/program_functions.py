"""What a program that organises a run may call: each call becomes tasks, and their results its value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from textwrap import shorten
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, JsonValue, ValidationError
from pydantic_core import to_json

from ..answers.final import final
from ..data import Data, Text
from ..errors import ToolError, validation_problems
from ..plan import Task
from ..prompts import fence_mark, fenced
from ..result import TaskResult
from ..run.context import RunContext
from ..tools.program_steps import ProgramCall
from .program_schemas import schema_of

TITLE_CHARACTERS = 48

# Reasons come first, so that a verdict follows from them.
_CHECKED: Final = {"why": str, "holds": bool}
_JUDGED: Final = {"why": str, "best": int}


@dataclass(frozen=True, slots=True)
class PendingValue:
    """What a call asks for: tasks, and how their results make its value; a call without tasks has it at once."""

    tasks: tuple[Task, ...]
    value: Callable[[Sequence[TaskResult]], JsonValue]


class AskArguments(Data):
    """What `ask` takes."""

    prompt: Text = Field(min_length=1)
    data: Any = None
    output: Annotated[dict[str, JsonValue] | None, BeforeValidator(schema_of)] = None
    role: Text | None = None
    samples: int = Field(default=1, ge=1)
    title: Text | None = None
    tools: tuple[str, ...] | None = None


class ProgramFunctions:
    """The functions of one program.

    A task is named by what it asks for, and by how many equal ones there were before. So a program that is run again,
    after it was mended or when a run is resumed, finds what was asked in the same words.

    Args:
        ctx: the run.
        max_tasks: maximum number of subagents, samples included.

    Attributes:
        answer: what the program gave as the final answer.
        refused: why a limit left no room for what it asked.
    """

    NAMES: Final = ("ask", "parallel", "vote", "check", "judge", "note", "answer")

    def __init__(self, ctx: RunContext, max_tasks: int) -> None:
        self.answer: str | None = None
        self.refused: str | None = None
        self._ctx = ctx
        self._max_tasks = max_tasks
        self._equal: Counter[str] = Counter()
        self._subagents = 0

    def called(self, call: ProgramCall) -> PendingValue:
        """Return what `call` asks for.

        Raises:
            ToolError: its arguments are wrong, or a limit leaves no room for it; the message is for the program.
        """
        functions: dict[str, Callable[..., PendingValue]] = {
            "ask": self._ask,
            "parallel": self._parallel,
            "vote": self._vote,
            "check": self._check,
            "judge": self._judge,
            "note": self._note,
            "answer": self._set_answer,
        }
        try:
            asked = functions[call.name](*call.args, **call.kwargs)
        except TypeError as error:
            raise ToolError(str(error).replace(f"{type(self).__name__}._", "")) from None
        self._take_room(asked.tasks)
        return asked

    def _take_room(self, tasks: Sequence[Task]) -> None:
        new = [task for task in tasks if not self._ctx.is_planned(task.id)]
        self._subagents += sum(task.samples for task in tasks)
        # One task is for what the program has found.
        if len(new) > self._ctx.tasks_left - 1:
            self.refused = "Limits.tasks leaves no room for more experts"
        elif self._subagents > self._max_tasks:
            self.refused = f"all {self._max_tasks} experts are busy or done (max_tasks)"
        else:
            return
        raise ToolError(self.refused)

    def _ask(self, prompt: object, *args: object, **options: object) -> PendingValue:
        task = self._task(_request(prompt, *args, **options))
        return PendingValue((task,), lambda results: _value(results[0]))

    def _parallel(self, calls: object) -> PendingValue:
        if not isinstance(calls, list | tuple):
            raise ToolError("parallel takes a list of prompts, or of dicts of what ask takes")
        requests = [_request(**each) if isinstance(each, dict) else _request(each) for each in calls]
        return PendingValue(
            tuple(self._task(each) for each in requests), lambda results: [_value_or_none(each) for each in results]
        )

    def _vote(self, prompt: object, samples: object = 5, **options: object) -> PendingValue:
        if isinstance(prompt, list | tuple):
            winner = _most_frequent([str(each) for each in prompt if each is not None])
            return PendingValue((), lambda _: winner)
        return self._ask(prompt, samples=samples, **options)

    def _check(
        self, text: object, criterion: object = None, data: object = None, role: str | None = None, samples: int = 1
    ) -> PendingValue:
        shown = {"text": text} if data is None else {"text": text, "data": data}
        return self._about("program_check", shown, criterion, _CHECKED, f"Check: {text}", role=role, samples=samples)

    def _judge(
        self, candidates: object, criterion: object = None, role: str | None = None, samples: int = 1
    ) -> PendingValue:
        if not isinstance(candidates, list | tuple) or not candidates:
            raise ToolError("judge takes a list of candidates, and needs at least one")
        given = list(candidates)
        if len(given) == 1:
            return PendingValue((), lambda _: given[0])
        shown = {f"candidate {number}": each for number, each in enumerate(given, 1)}
        asked = self._about("program_judge", shown, criterion, _JUDGED, "Judge", role=role, samples=samples)

        def best(results: Sequence[TaskResult]) -> JsonValue:
            verdict = asked.value(results)
            number = verdict["best"] if isinstance(verdict, dict) else None
            if not isinstance(number, int) or not 1 <= number <= len(given):
                raise ToolError(f"the judge named candidate {number!r}; there are 1 to {len(given)}")
            chosen: JsonValue = given[number - 1]
            return chosen

        return PendingValue(asked.tasks, best)

    def _about(
        self,
        prompt: str,
        shown: Mapping[str, object],
        criterion: object,
        output: Mapping[str, type],
        title: str,
        *,
        role: str | None,
        samples: int,
    ) -> PendingValue:
        text = self._ctx.prompts.render(prompt)
        if criterion is not None:
            text += "\n\n" + self._ctx.prompts.render("program_criterion", criterion=str(criterion))
        return self._ask(text, data=shown, output=output, title=_brief(title), role=role, samples=samples)

    def _note(self, text: object) -> PendingValue:
        self._ctx.note(text_of(text))
        return PendingValue((), lambda _: None)

    def _set_answer(self, text: object) -> PendingValue:
        self.answer = text_of(text)
        return PendingValue((), lambda _: None)

    def _task(self, request: AskArguments) -> Task:
        prompt = request.prompt
        if request.data is not None:
            texts = _labelled(request.data)
            mark = fence_mark(texts)
            prompt = self._ctx.prompts.render("program_data", prompt=prompt, mark=mark, data=fenced(texts, mark))
        known = [prompt, request.output, request.role, request.samples, request.tools]
        key = f"ask-{blake2b(to_json(known), digest_size=5).hexdigest()}"
        self._equal[key] += 1
        return Task(
            id=key if self._equal[key] == 1 else f"{key}-{self._equal[key]}",
            prompt=prompt,
            title=_brief(request.title or request.prompt),
            instructions=self._ctx.prompts.render("program_role", role=request.role) if request.role else None,
            samples=request.samples,
            tools=request.tools,
            output_schema=request.output,
            held=True,
        )


def _request(*args: object, **options: object) -> AskArguments:
    try:
        return AskArguments.model_validate({**dict(zip(AskArguments.model_fields, args, strict=False)), **options})
    except ValidationError as error:
        raise ToolError(f"ask: {validation_problems(error)}") from None


def _value(result: TaskResult) -> JsonValue:
    """Return what a subagent answered.

    Raises:
        ToolError: it has no answer.
    """
    if result.answered or (result.outcome == "capped" and result.text and result.task.output_schema is None):
        value: JsonValue = result.text if result.task.output_schema is None else result.output
        return value
    why = result.error.message if result.error is not None else result.outcome
    raise ToolError(f"the expert on {result.task.label!r} has no answer: {why}")


def _value_or_none(result: TaskResult) -> JsonValue:
    try:
        return _value(result)
    except ToolError:
        return None


def _most_frequent(answers: Sequence[str]) -> str:
    """Return the answer that is given most often, by its key; the first of several, in the words of who gave it first.

    Raises:
        ToolError: there is none.
    """
    if not answers:
        raise ToolError("vote needs at least one answer")
    keys = [final(each) or each for each in answers]
    return answers[keys.index(Counter(keys).most_common(1)[0][0])]


def _labelled(data: object) -> list[tuple[str, str]]:
    if isinstance(data, dict):
        return [(str(name), text_of(each)) for name, each in data.items()]
    if isinstance(data, list | tuple):
        return [(f"text {number}", text_of(each)) for number, each in enumerate(data, 1)]
    return [("text", text_of(data))]


def text_of(value: object) -> str:
    """Return `value` as text: JSON, if it is none."""
    return value if isinstance(value, str) else to_json(value, fallback=str).decode()


def _brief(text: str) -> str:
    return shorten(text, TITLE_CHARACTERS, placeholder=" ...")
