"""What models and servers may say, mutated, and read by every parser: `python -m benchmarks.fuzz --inputs 1000000`.

Whatever the input: only typed errors come out, the cuts between its pieces change nothing, every task that is cut out
of a plan is a valid `Draft`, and no input takes long. The same seed gives the same inputs.
"""

# ruff: noqa: RUF001 -- look-alikes are what is tried here

from __future__ import annotations

import argparse
import json
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import process_time
from typing import Any

from pydantic import BaseModel

from contemplate import answers
from contemplate.errors import OutputError
from contemplate.messages import Message
from contemplate.models import Delta, ModelRequest, ModelResponse, ToolSpec
from contemplate.models.openai.answer_text import AnswerText
from contemplate.models.openai.completion import BadCompletion
from contemplate.models.openai.endpoint import Endpoint
from contemplate.models.openai.errors import model_error
from contemplate.models.openai.json_lines import JsonLines
from contemplate.models.openai.response import ResponseCollector, whole_response
from contemplate.models.openai.responses import ResponsesCollector
from contemplate.models.openai.sse import EventStream
from contemplate.models.openai.streaming import Collector
from contemplate.models.openai.transport import BadStatus
from contemplate.planners.plan_parser import Draft, DraftReader
from contemplate.run.output_type import OutputType

REQUEST = ModelRequest((Message.user("hello"),), tools=tuple(ToolSpec(name, "", {"type": "object"}) for name in "fg"))
SECONDS_PER_INPUT = 1.0
SECONDS_PER_CHARACTER = 20e-6
MOST_CHARACTERS = 20_000


class Point(BaseModel):
    """A typed output."""

    x: int
    label: str = ""
    more: list[float] = []


POINT, NUMBERS = OutputType(Point), OutputType(list[int])

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "m"}


def _chunk(delta: object, finish: str | None = None, **more: object) -> str:
    return json.dumps({**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


_CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"n"'}}
_SNAPSHOT = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}}
_SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
CHANNEL = "<|start|>assistant<|channel|>commentary"
# Calls as models write them, whole and in parts; tests/models/test_calls_in_text.py has all forms.
IN_TEXT = (
    '[TOOL_CALLS][{"name": "f", "arguments": {"n": 1}}]',
    '[TOOL_CALLS]g[ARGS]{"n": 1}',
    "[f(n=1), g(n='a\\'s', m={\"x\": [True, None]})]",
    "<|python_start|>[f(n=1)]<|python_end|>",
    'commentary to=functions.f json{"n": 1}',
    '<|python_tag|>{"name": "f", "parameters": {"n": "a"}}; ',
    '{"name": "g", "parameters": {}}',
    "<tool_call>\n<function=f>\n<parameter=n>\n1\n</parameter>\n</function>\n</tool_call>\n",
    '<invoke name="g">\n<parameter name="n">a',
    "</parameter></invoke>",
    "<tool_call>f<arg_key>n</arg_key><arg_value>1</arg_value></tool_call>",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{}<|tool_call_end|>",
    "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>g<\uff5ctool\u2581sep\uff5c>{}",
    "<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>",
)
# What servers say in dialects of the format; tests/models/test_openai_reader.py has more of them.
DIALECTS = (
    _chunk({"content": "<think>\nwell"}),
    _chunk({"content": "</think>\n\nAnswer"}),
    _chunk({"content": "<|channel|>analysis<|message|>well<|end|><|start|>assistant<|channel|>final<|message|>4"}),
    _chunk({"content": "<|channel|>analysis<|message|>well<|channel|>final<|message|>4<|return|>"}),
    _chunk({"content": f'{CHANNEL} to=functions.f <|constrain|>json<|message|>{{"n": 1}}<|call|>'}),
    _chunk({"content": "analysisWell."}),
    _chunk({"content": "assistantfinalAnswer"}),
    _chunk({"content": 'assistantcommentary to=functions.f json{"n": 1}'}),
    _chunk({"content": '\n<tool_call>\n{"name": "f", "arguments": {"n": 1}}\n</tool_call>'}),
    _chunk({"content": '\n<tool_call>{"name": "g", "arg'}),
    _chunk({"content": 'uments": "{}"}</tool_'}),
    _chunk({"content": "call>"}),
    *(_chunk({"content": said}) for said in IN_TEXT),
    _chunk(
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}]}
    ),
    _chunk({"reasoning": {"content": "a"}, "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]}),
    _chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 1}]}),
    _chunk({"content": None, "refusal": "I cannot."}, "refusal"),
    _chunk({"tool_calls": [{**_SNAPSHOT, **_SIGNED}]}),
    _chunk({"tool_calls": [{"index": None, "id": "", "function": {"name": "g", "arguments": {"n": 1}}}]}),
    _chunk({"function_call": {"name": "f", "arguments": '{"n"'}}),
    _chunk({"content": "4"}, "MAX_TOKENS", x_groq={"usage": {"prompt_tokens": "3", "completion_tokens": 5.0}}),
    _chunk({"content": "4"}, "network_error"),
    json.dumps({**HEAD, "choices": [{"message": {"content": "Añswer 🙂: 4", "tool_calls": [_SNAPSHOT]}}]}),
    json.dumps(
        {"choices": None, "error": {"code": 429, "message": "Please try again in 1m2.5s", "metadata": {"raw": "{}"}}}
    ),
    json.dumps([{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"retryDelay": "34s"}]}}]),
    json.dumps({"usage": {"input_tokens": 3, "output_tokens": 5, "total_tokens": 80, "cost": {"total_cost": "0.1"}}}),
    "ping",
)
EVENTS = (
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"content": "Añswer 🙂: 4"}),
    _chunk({"reasoning_content": "well"}),
    _chunk({"tool_calls": [_CALL]}),
    _chunk({"tool_calls": [{**_CALL, "index": 2, "id": "b"}]}),
    _chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
    _chunk({"images": [{"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}),
    _chunk({}, "stop"),
    _chunk({}, "length", usage={"prompt_tokens": 3, "completion_tokens": 5, "cost": 0.1}),
    json.dumps({**HEAD, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}),
    json.dumps({"error": {"message": "overloaded"}}),
    "[DONE]",
    *DIALECTS,
)


def _item(**more: object) -> dict[str, object]:
    return {"id": "i1", "status": "completed", **more}


def _said(text: str) -> dict[str, object]:
    return _item(type="message", content=[{"type": "output_text", "text": text}])


_CALLED = _item(type="function_call", call_id="c1", name="f", arguments='{"n": 1}')
_REASONED = _item(type="reasoning", summary=[{"text": "well"}], encrypted_content="x")
RESPONSES = (
    *(
        json.dumps({"type": "response.output_text.delta", "delta": said})
        for said in ("Añswer 🙂: 4", "<think>", *IN_TEXT)
    ),
    json.dumps({"type": "response.output_text.delta", "delta": "Hm.</think>4"}),
    json.dumps({"type": "response.reasoning_summary_text.delta", "delta": "well"}),
    json.dumps({"type": "response.refusal.delta", "delta": "I cannot."}),
    json.dumps({"type": "response.output_item.done", "output_index": 0, "item": _REASONED}),
    json.dumps({"type": "response.output_item.done", "output_index": 1, "item": _said("4")}),
    json.dumps({"type": "response.output_item.done", "output_index": 2, "item": _CALLED}),
    json.dumps({"type": "response.completed", "response": {"status": "completed", "output": [], "usage": {}}}),
    json.dumps({"type": "response.completed", "response": {"output": [_REASONED, _said("Añswer 🙂: 4"), _CALLED]}}),
    json.dumps({"type": "response.incomplete", "response": {"status": "incomplete", "output": [_said(IN_TEXT[4])]}}),
    json.dumps({"type": "response.failed", "response": {"status": "failed", "error": {"code": "x", "message": "y"}}}),
    json.dumps({"type": "error", "code": "rate_limit_exceeded", "message": "Please try again in 1s"}),
)
KEY = "sk-secret-0123456789"
ACCOUNT = Endpoint("http://localhost/v1", KEY)
FIELDS = ("", "", "", ": ping\n", "event: x\n", "id: 1\nretry: 5\n")
BODIES = (
    json.dumps(
        {"error": {"message": f"This model's maximum context length is 4,096 tokens {KEY}", "code": "x", "type": "y"}}
    ),
    json.dumps({"error": {"message": "Provider returned error", "metadata": {"raw": '{"error": {"message": "a"}}'}}}),
    json.dumps({"detail": [{"loc": ["body", 1], "msg": "no"}], "errors": [{"message": {"error": "x"}}]}),
    json.dumps([{"error": {"code": 429, "details": [{"retryDelay": "34s"}, {"retry_after": "1e3"}]}}]),
    "<html><head><title>502 Bad &amp; Gateway</title></head></html>",
    "Rate limit: Limit 30000, Requested 49372. Please try again in 1h2m3.5s",
)
WHOLE = json.dumps(
    {
        **HEAD,
        "choices": [
            {
                "message": {"role": "assistant", "content": "Answer: 4", "tool_calls": [_CALL]},
                "finish_reason": "stop",
                "logprobs": {"content": [{"token": "4", "logprob": -0.1, "top_logprobs": []}]},
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}},
    }
)
TASKS = [{"title": f"T{i}", "prompt": f'Do "{i}" {{x}} [é]\\n', "needs": list(range(1, i))} for i in range(1, 5)]
PLANS = (
    json.dumps({"tasks": TASKS}),
    json.dumps(TASKS, indent=2),
    "Here it is:\n```json\n" + json.dumps({"thought": "a {b", "tasks": TASKS}, ensure_ascii=False) + "\n```\nGood luck",
    json.dumps({"tasks": [{"title": "", "prompt": "", "needs": [0, -1, 10**20]}, {"prompt": "x" * 8001}]}),
)
SAID = (
    "So it is.\n\nAnswer: **1,234.50**",
    r"Hence \boxed{\frac{3}{4}} and \boxed{\sqrt{2} + x^{2}}.",
    "The answer is (B) because A is wrong.",
    "#### 42",
    r"Answer: $x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$",
    "Final answer: 12% of €3.5 million, i.e. 1e9",
    "answer: ((1+2)*3)/4 - 5^2",
    "ＡＮＳＷＥＲ：４２ \u200b\u202e",
)
TYPED = (
    '{"x": 1, "label": "a", "more": [1.5, 2]}',
    'Sure:\n```json\n{"x": 3}\n```',
    '{"value": [1, 2, 3]}',
    '{"x": "NaN", "more": [1e999, -0]}',
)
DICTIONARY = (
    *('"', "\\", "{", "}", "[", "]", ",", ":", "\n", "\r", "\r\n", "\n\n", "data:", "data: ", "event: x\n", ": ping\n"),
    *(
        "\x00",
        "\ufeff",
        "\u2028",
        "\u202e",
        "\ud800",
        "é",
        "🙂",
        "null",
        "true",
        "-1",
        "1e999",
        "NaN",
        "9" * 400,
        "\\u12",
    ),
    *("<tool_call>", "</tool_call>", "<|call|>", "<|channel|>", "assistantfinal", "</think>", "```", "<"),
    *("[TOOL_CALLS]", "<|python_tag|>", "<function=f>", "</function>", "<parameter=n>", "`"),
    *("[f(", "n='", ")]", "commentary to=functions."),
    *("Answer:", "####", "\\boxed{", "\\frac{", "^", "**", "(" * 50, "[" * 200, "{" * 200, "}" * 50, "]}", "$", "0/0"),
)


TEXTS = ("I look.\n", "So, ", "`", "```\n", "<think>", "hm</think>", "\n\n", "The form is ", ".", "[1] <b>")
Collects = ResponseCollector | ResponsesCollector


class Broken(Exception):
    """A promise that an input broke."""


def mutated(rng: random.Random, said: str) -> str:
    """`said`, with up to six wounds."""
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        start = rng.randrange(len(said) + 1)
        end = min(len(said), start + rng.choice((0, 1, 1, 4, 30)))
        piece, kind = said[start:end], rng.randrange(6)
        if kind == 0:
            piece = ""
        elif kind == 1:
            piece *= rng.choice((2, 3, 50))
        elif kind == 2:
            piece = chr(rng.randrange(0x250))
        elif kind == 3:
            return said[:start] or said
        else:
            piece += rng.choice(DICTIONARY) * rng.choice((1, 1, 1, 2, 20))
        said = (said[:start] + piece + said[end:])[:MOST_CHARACTERS]
    return said


def cut(rng: random.Random, length: int) -> Iterator[slice]:
    """Any way to cut something of this length into pieces; also into single ones."""
    most = rng.choice((1, 3, 20, 200, MOST_CHARACTERS))
    start = 0
    while start < length:
        end = start + rng.randint(1, most)
        yield slice(start, end)
        start = end


def events_of(pieces: list[bytes], stream: EventStream | JsonLines) -> list[bytes]:
    """The events of a stream, or its lines."""
    found = [data for piece in pieces for data in stream.feed(piece)]
    return found + list(stream.flush())


def heard(deltas: list[Delta]) -> str:
    """The text that a listener has at the end."""
    starts = [place for place, delta in enumerate(deltas) if delta.restart]
    return "".join(delta.text for delta in deltas[starts[-1] if starts else 0 :])


def _completed(pieces: list[bytes], form: type[EventStream | JsonLines], api: type[Collects]) -> object:
    """What the stream of these pieces comes to: its response, or its error and what was heard before it."""
    collector = _collector(api)
    deltas: list[Delta] = []
    try:
        for data in events_of(pieces, form()):
            if data != b"[DONE]" and not collector.is_over:
                deltas.extend(collector.add(data))
        deltas.extend(collector.end())
        response = collector.response()
    except BadCompletion as error:
        model_error(error, "m", ACCOUNT)
        return type(error), str(error), heard(deltas)
    if api is ResponseCollector and heard(deltas) != response.message.text:
        raise Broken("the pieces are not the whole")
    ModelResponse.model_validate_json(response.model_dump_json())
    # As text: a logprob may be NaN, which equals nothing.
    return repr(response)


def stream(rng: random.Random) -> str:
    """A stream of chat completion chunks."""
    return _stream(rng, EVENTS, ResponseCollector)


def responses(rng: random.Random) -> str:
    """A stream of events of the Responses API."""
    return _stream(rng, RESPONSES, ResponsesCollector)


def _stream(rng: random.Random, known: Sequence[str], api: type[Collects]) -> str:
    events = rng.choices(known, k=rng.randint(1, 5))
    end = rng.choice(("\n\n", "\r\n\r\n", "\r\r"))
    whole_events = [f"{rng.choice(FIELDS)}data: {event}{end}" for event in events]
    said = mutated(rng, "".join(whole_events))
    body = bytearray(said.encode(errors="surrogatepass"))
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        place = rng.randrange(len(body) or 1)
        body[place : place + 1] = bytes([rng.randrange(256)])
    whole = bytes(body)
    for form, sent in ((EventStream, whole), (JsonLines, whole.replace(b"data: ", b""))):
        if _completed([sent], form, api) != _completed([sent[piece] for piece in cut(rng, len(sent))], form, api):
            raise Broken("the cuts between pieces change the outcome")
    _keeps_what_stood(rng, [event.encode(errors="surrogatepass") for event in whole_events], whole, api)
    return said


def _keeps_what_stood(rng: random.Random, events: list[bytes], damage: bytes, api: type[Collects]) -> None:
    """Check that no damage takes away the text of the events before it."""
    before = b"".join(events[: rng.randrange(len(events) + 1)])
    alone, damaged = _texts(before, api), _texts(before + b"data: " + damage, api)
    if not _same_start(damaged, alone):
        raise Broken("text that stood before the damage is lost")


def _texts(raw: bytes, api: type[Collects]) -> list[Delta]:
    """The deltas of a stream until its error, if it has one."""
    collector, events = _collector(api), EventStream()
    deltas: list[Delta] = []
    with suppress(BadCompletion):
        for data in events.feed(raw):
            deltas += collector.add(data)
    return deltas


def _collector(api: type[Collects]) -> Collector:
    return api(REQUEST, model="m", provider="host")


def _same_start(longer: list[Delta], shorter: list[Delta]) -> bool:
    return longer[: len(shorter)] == shorter


def text(rng: random.Random) -> str:
    """A text with calls and thoughts in it: whatever is cut from it, or added to it, no letter is lost."""
    said = mutated(rng, "".join(rng.choices((*IN_TEXT, *TEXTS), k=rng.randint(1, 5))))
    whole, pieces = _read([said]), _read([said[piece] for piece in cut(rng, len(said))])
    if whole != pieces:
        raise Broken("the cuts between pieces change the outcome")
    answer, calls = whole
    more, none = _read([said + "\nSo it is."])
    if none:
        raise Broken("a call that something follows")
    # Tags of thoughts are no text.
    if "think" not in said.lower() and (
        more != said + "\nSo it is." or not said.startswith(answer) or (said != answer and not calls)
    ):
        raise Broken("text is lost")
    return said


def _read(pieces: list[str]) -> tuple[str, str]:
    """The text and the calls in an answer."""
    reader = AnswerText({tool.name: tool.parameters for tool in REQUEST.tools})
    deltas = [delta for piece in pieces for delta in reader.add(piece)] + list(reader.end(elsewhere=False))
    # As text: an argument may be NaN, which equals nothing.
    return heard(deltas), repr(reader.calls) if reader.calls else ""


def error(rng: random.Random) -> str:
    """The body of an error."""
    said = mutated(rng, rng.choice(BODIES))
    headers = {"retry-after": mutated(rng, "12")} if rng.randrange(2) else {}
    told = model_error(BadStatus(rng.choice((400, 402, 413, 429, 500)), headers, _bytes(said)), "m", ACCOUNT)
    if told.retry_after is not None and not told.retry_after >= 0:
        raise Broken(f"a wait of {told.retry_after}")
    if KEY in str(told):
        raise Broken("a secret is told")
    return said


def completion(rng: random.Random) -> str:
    """A whole chat completion."""
    said = mutated(rng, rng.choice((WHOLE, *EVENTS)))
    try:
        whole_response(_bytes(said), REQUEST, model="m", provider="host").model_dump_json()
    except BadCompletion as error:
        model_error(error, "m", ACCOUNT)
    return said


def _bytes(said: str) -> bytes:
    return said.encode(errors="surrogatepass")


def plan(rng: random.Random) -> str:
    """A plan, read while it is written."""
    said = mutated(rng, rng.choice(PLANS))
    whole, reader = DraftReader().feed(said), DraftReader()
    if whole != [each for piece in cut(rng, len(said)) for each in reader.feed(said[piece])]:
        raise Broken("the cuts between pieces change the plan")
    for each in whole:
        if isinstance(each, Draft) and Draft.model_validate(each.model_dump()) != each:
            raise Broken("a task that is no valid draft")
    return said


KEYS: dict[str, Callable[[str], str | None]] = {
    "final": answers.final,
    "math": answers.math,
    "text": answers.text,
    "choice": answers.choice({"A": "a cat", "B": "42"}),
}


def key(rng: random.Random) -> str:
    """An answer's keys."""
    said = mutated(rng, rng.choice(SAID))
    for name, key_of in KEYS.items():
        found = key_of(said)
        if found is not None and not isinstance(found, str):
            raise Broken(f"answers.{name} gave {found!r}")
        if found != key_of(said):
            raise Broken(f"answers.{name} gives two keys to one text")
    return said


def typed(rng: random.Random) -> str:
    """A typed output."""
    said = mutated(rng, rng.choice(TYPED))
    for output in (POINT, NUMBERS):
        kind: OutputType[Any] = output
        try:
            value = kind.parse(said)
        except OutputError:
            continue
        answers.typed(value)
        kind.dump(value)
    return said


KINDS: dict[str, Callable[[random.Random], str]] = {
    "streams": stream,
    "responses": responses,
    "texts": text,
    "completions": completion,
    "errors": error,
    "plans": plan,
    "answer keys": key,
    "typed outputs": typed,
}


@dataclass
class Tally:
    """What came of the inputs of one kind."""

    inputs: int = 0
    crashes: int = 0
    slow: int = 0
    slowest: float = 0.0
    seconds: float = 0.0
    examples: list[str] = field(default_factory=list)


def one(name: str, number: int, seed: int, tally: Tally) -> None:
    """One input: made, and read."""
    rng = random.Random(f"{seed}/{name}/{number}")
    began, said = process_time(), ""
    try:
        said = KINDS[name](rng)
    except Exception:
        tally.crashes += 1
        if len(tally.examples) < 5:
            tally.examples.append(f"{name} {number}: {traceback.format_exc(limit=-3)}")
    seconds = process_time() - began
    tally.inputs += 1
    tally.seconds += seconds
    tally.slowest = max(tally.slowest, seconds)
    tally.slow += seconds > SECONDS_PER_INPUT + SECONDS_PER_CHARACTER * len(said)


def fuzz(inputs: int, seed: int, only: Sequence[str] = ()) -> dict[str, Tally]:
    """So many inputs, of every kind in turn, or of some; fewer if it is interrupted."""
    names = list(only or KINDS)
    tallies = {name: Tally() for name in names}
    with suppress(KeyboardInterrupt):
        _all(inputs, seed, tallies)
    return tallies


def _all(inputs: int, seed: int, tallies: dict[str, Tally]) -> None:
    names = list(tallies)
    for number in range(inputs):
        name = names[number % len(names)]
        one(name, number, seed, tallies[name])


def show(tallies: dict[str, Tally]) -> bool:
    """Print the table, and say whether every promise was kept."""
    print("| kind          |  inputs | crashes | too slow | slowest, ms | seconds |")
    print("|---------------|---------|---------|----------|-------------|---------|")
    whole = Tally(
        inputs=sum(each.inputs for each in tallies.values()),
        crashes=sum(each.crashes for each in tallies.values()),
        slow=sum(each.slow for each in tallies.values()),
        slowest=max(each.slowest for each in tallies.values()),
        seconds=sum(each.seconds for each in tallies.values()),
    )
    for name, each in {**tallies, "all": whole}.items():
        print(
            f"| {name:13} | {each.inputs:7} | {each.crashes:7} | {each.slow:8} | {each.slowest * 1000:11.1f} "
            f"| {each.seconds:7.1f} |"
        )
    for each in tallies.values():
        for example in each.examples:
            print(example, file=sys.stderr)
    return not (whole.crashes or whole.slow)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=tuple(KINDS), default=(), help="these kinds alone")
    options = parser.parse_args()
    sys.exit(0 if show(fuzz(options.inputs, options.seed, options.only)) else 1)
