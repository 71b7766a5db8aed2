"""A model that answers from a script, without a network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio.lowlevel

from ..messages import Message
from ..models import Delta, DeltaSink, ModelRequest, ModelResponse
from ..models.base import Finish
from ..usage import FREE, Price, Usage
from .token_counts import CHARACTERS_PER_TOKEN, text_tokens

Reply = str | Message | ModelResponse | Exception
Script = Callable[[ModelRequest], Reply | Awaitable[Reply]]


class ScriptedModel:
    """A model that answers each request with the next reply, or with a function of the request.

    A reply is a text, a message (for tool calls and images), a whole response, or an exception to raise. Every four
    characters count as one token. A response with log-probabilities is streamed token by token.

    Args:
        script: a text for every request, replies in order, or a function, which may be async.
        name: the model's name.
        chunk: the number of characters in each piece of a streamed text.
        price: the price of its tokens; None if it is not known.

    Attributes:
        requests: every request so far, in order.
    """

    def __init__(
        self,
        script: str | Iterable[Reply] | Script,
        *,
        name: str = "scripted",
        chunk: int = 16,
        price: Price | None = FREE,
    ) -> None:
        self.price = price
        self.name = name
        self.requests: list[ModelRequest] = []
        self._chunk = chunk
        self._script: Script
        if isinstance(script, str):
            self._script = lambda _: script
        elif callable(script):
            self._script = script
        else:
            self._script = _one_by_one(list(script))

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Return the scripted reply to `request`.

        Raises:
            Exception: the reply is an exception, or no reply is left (`LookupError`).
        """
        self.requests.append(request.unheard())
        reply = self._script(request)
        if isinstance(reply, Awaitable):
            reply = await reply
        if isinstance(reply, Exception):
            raise reply
        response = reply if isinstance(reply, ModelResponse) else self._response(request, reply)
        text = response.message.text
        tokens = response.logprobs or ()
        if on_delta is not None and tokens and "".join(each.token for each in tokens) == text:
            for token in tokens:
                await anyio.lowlevel.checkpoint()
                on_delta(Delta(token.token, logprobs=(token,)))
        elif on_delta is not None:
            for start in range(0, len(text), self._chunk):
                await anyio.lowlevel.checkpoint()
                on_delta(Delta(text[start : start + self._chunk]))
        await anyio.lowlevel.checkpoint()
        return response

    def _response(self, request: ModelRequest, reply: str | Message) -> ModelResponse:
        message = Message.assistant(reply) if isinstance(reply, str) else reply
        usage = Usage(
            calls=1,
            input_tokens=sum(len(each.text) for each in request.messages) // CHARACTERS_PER_TOKEN,
            output_tokens=text_tokens(message.text),
            cost_usd=None,
        )
        finish: Finish = "tool_calls" if message.tool_calls else "stop"
        if self.price is not None:
            usage = self.price.priced(usage)
        return ModelResponse(message=message, finish=finish, usage=usage, model=self.name)


def _one_by_one(replies: list[Reply]) -> Script:
    left = iter(replies)

    def script(request: ModelRequest) -> Reply:
        for reply in left:
            return reply
        raise LookupError(f"the script has only {len(replies)} replies, but one more was requested")

    return script
