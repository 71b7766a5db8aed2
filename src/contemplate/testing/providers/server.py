"""`Provider`, an imitation of a provider on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import anyio.lowlevel

from ...usage import NOTHING, Usage
from ..faulty import Exchange, FaultyServer
from ..faulty.chat_answer import wait_for_gate
from ..faulty.exchange import Reply
from ..faulty.http import HttpConnection
from ..token_counts import CHARACTERS_PER_TOKEN, text_tokens
from .answers import ProviderAnswer
from .counting import PrefixCache, prompt_text, prompt_tokens
from .dialect import ProviderDialect
from .refusals import Body, Rejection
from .responses import ENCRYPTED, ResponsesAnswer, chat_body, responses_problems
from .responses import PATH as RESPONSES
from .script import AskedRequest, Said, Script, able

# What a model thinks if the script does not say: wrong at first, and with JSON that is not the answer.
THOUGHTS = 'Attempt {}: is it {{"answer": "13", "tasks": []}}? No, that is wrong.\nAnswer: 13\nOnce more, with care.'


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was refused, and why."""

    body: Body
    refusals: tuple[Rejection, ...]

    @property
    def message(self) -> str:
        """The server's words, of the first fault."""
        return self.refusals[0].message


class Provider:
    """An imitation of a provider: a server on loopback that refuses what it refuses, and answers as it answers.

    `with Provider(providers.GROQ) as server: OpenAIModel(server.model, base_url=server.url)`

    Args:
        dialect: the provider.
        script: what its model says: a text, or a function of what was asked, which runs in the server's thread. If
            None, a model that answers everything with "42" (`able`).
        key: the API key that it wants; None takes any.
        port: the port; 0 for a free one.

    Attributes:
        refused: those that were refused, and why.
        billed: what it counted for the others: the truth that reported usage can be compared with.
        most_at_once: the largest number of requests in flight at one moment.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        dialect: ProviderDialect,
        script: str | Script | None = None,
        *,
        key: str | None = None,
        port: int = 0,
    ) -> None:
        self.dialect = dialect
        self.refused: list[Refused] = []
        self.billed = NOTHING
        self.most_at_once = 0
        self._at_once = 0
        self._script = _script(script)
        self._key = key
        self._cache = PrefixCache()
        self._server = FaultyServer(self._reply_to, port=port)

    @property
    def url(self) -> str:
        """The base URL, with `/v1`."""
        return self._server.url

    @property
    def model(self) -> str:
        """The name of a model that it has."""
        return self.dialect.model

    @property
    def requests(self) -> list[Body]:
        """The body of every request, in order."""
        return [each.body for each in self._server.exchanges]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Wait until `condition` holds, for at most `seconds`, and return whether it does. Blocks."""
        return self._server.wait_for(condition, seconds)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, where)

    def _reply_to(self, exchange: Exchange) -> Reply:
        if self._key is not None and exchange.headers.get("authorization") != f"Bearer {self._key}":
            return self._refuse(exchange, [Rejection("Incorrect API key provided.", 401, code="invalid_api_key")])
        body = exchange.body
        if exchange.path == RESPONSES:
            if not self.dialect.responses:
                return self._refuse(exchange, [Rejection(f"Invalid URL (POST {RESPONSES})", 404)])
            if problems := list(responses_problems(body)):
                return self._refuse(exchange, problems)
            body = chat_body(body)
        if not isinstance(body.get("messages"), list):
            return self._refuse(exchange, [Rejection("Missing required parameter: 'messages'.", 400, "messages")])
        for rule in self.dialect.rules:
            if found := rule.problems(body):
                return self._refuse(exchange, found)
        answer = self._answer(body, exchange.number)
        if exchange.path == RESPONSES:
            encrypted = ENCRYPTED in (exchange.body.get("include") or ())
            form = replace(answer.form, done=False)
            answer = ResponsesAnswer(form, body, answer.number, answer.said, answer.usage, encrypted)
        return _Answering(self, answer)

    def _refuse(self, exchange: Exchange, problems: Sequence[Rejection]) -> Reply:
        self.refused.append(Refused(exchange.body, tuple(problems)))
        return _Refusing(problems[0].status, self.dialect.refusal(problems))

    def _answer(self, body: Body, number: int) -> ProviderAnswer:
        form = self.dialect.answer
        asked = _held_to(form.schema, body, number)
        said = self._script(asked)
        said = said if isinstance(said, Said) else Said(said)
        if form.thinks and said.reasoning is None:
            said = replace(said, reasoning=THOUGHTS.format(number))
        if not form.thinks:
            said = replace(said, reasoning=None)
        said = _cut(said, body)
        thought = text_tokens(said.reasoning or "")
        written = text_tokens(said.text) + sum(text_tokens(name + given) for name, given in said.tool_calls)
        read = prompt_tokens(body)
        usage = Usage(
            calls=1,
            input_tokens=read,
            cached_input_tokens=min(read, self._cache.read(prompt_text(body))) if form.usage.cached else 0,
            output_tokens=max(1, written + thought),
            reasoning_tokens=thought,
        )
        return ProviderAnswer(form, body, number, said, usage)

    async def send(self, answer: ProviderAnswer, connection: HttpConnection) -> None:
        """Send an answer, and count it."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if answer.said.gate is not None:
                await wait_for_gate(answer.said.gate)
            if not answer.body.get("stream"):
                # Before it is sent, so that who has it can look.
                self.billed += answer.usage
                await connection.json(answer.whole())
                return
            await connection.begin_stream()
            for event in answer.events():
                await (connection.chunk(event) if isinstance(event, bytes) else connection.event(event))
                # A client that hangs up is noticed between two events.
                await anyio.lowlevel.checkpoint()
            self.billed += answer.usage
            await connection.end_stream(done=answer.form.done)
        finally:
            self._at_once -= 1


@dataclass(frozen=True, slots=True)
class _Answering:
    provider: Provider
    answer: ProviderAnswer

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the answer."""
        await self.provider.send(self.answer, connection)


@dataclass(frozen=True, slots=True)
class _Refusing:
    status: int
    body: Any

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the refusal."""
        await connection.json(self.body, self.status)


def _script(script: str | Script | None) -> Script:
    if script is None:
        return able()
    return (lambda _: script) if isinstance(script, str) else script


def _held_to(how: str, body: Body, number: int) -> AskedRequest:
    """Return the request as a model sees it whose server holds it to a schema, to JSON, or to nothing."""
    asked: Mapping[str, Any] = body.get("response_format") or {}
    kind = asked.get("type", "text")
    if kind == "text" or how == "ignored":
        return AskedRequest(body, number)
    schema = (asked.get("json_schema") or {}).get("schema") if how == "schema" else None
    return AskedRequest(body, number, schema, json=True)


def _cut(said: Said, body: Body) -> Said:
    """Cut what is said at the request's stop strings and at its most tokens, reasoning included."""
    text = said.text
    stops = body.get("stop") or ()
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop)[0]
    said = replace(said, text=text)
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    calls = json.dumps(said.tool_calls) if said.tool_calls else ""
    if most is None or text_tokens(said.reasoning or "") + text_tokens(text + calls) <= most:
        return said
    left = most * CHARACTERS_PER_TOKEN
    reasoning = (said.reasoning or "")[:left]
    return replace(
        said, text=text[: left - len(reasoning)], reasoning=reasoning or None, tool_calls=(), finish="length"
    )
