"""One request to a server, in whatever API and dialect it is made, streamed or whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_json

from ...errors import ModelRequestError
from ..base import Delta, DeltaSink, ModelRequest, ModelResponse
from ..tokens import request_tokens
from ..wrappers.prompted_tools import PromptedTools
from .endpoint import Endpoint
from .profile import Api, Profile
from .request import body_of
from .response import ResponseCollector
from .responses import ResponsesCollector, responses_body
from .schema_forms import form_of, is_streamed, plain_answer, takes_no_notice
from .stream_timeouts import StreamTimeouts
from .streaming import Collector, read_stream, read_whole
from .transport import Transport

_Write = Callable[..., dict[str, Any]]
_Collect = Callable[..., Collector]
_APIS: Mapping[Api, tuple[_Write, _Collect]] = {
    "chat": (body_of, ResponseCollector),
    "responses": (responses_body, ResponsesCollector),
}


class ChatCall:
    """A request that can be made in any dialect.

    Args:
        model: the server's name for the model.
        name: the model's name in errors.
        account: the server, and the key for it.
        transport: the connections to it.
        request: the request.
        on_delta: receives each piece of the answer; None for an answer in one.

    Attributes:
        begun: whether a piece of the answer was passed on.
        unheeded: whether the answer shows that the server takes no notice of schemas.
    """

    def __init__(
        self,
        model: str,
        name: str,
        account: Endpoint,
        transport: Transport,
        request: ModelRequest,
        on_delta: DeltaSink | None,
    ) -> None:
        self.model = model
        self.begun = self.unheeded = False
        self._name = name
        self._provider = account.provider
        self._key = account.api_key
        self._transport = transport
        self._request = self._sent = request
        self._on_delta = on_delta

    @property
    def prompt_estimate(self) -> int:
        """How many tokens the prompt is estimated to have."""
        return request_tokens(self._sent)

    def body(self, profile: Profile) -> Mapping[str, Any]:
        """Return the request as it is written in a dialect: the one that was made last."""
        stream = self._on_delta is not None
        write, _ = _APIS[profile.api]
        return write(self._sent, model=self.model, stream=stream, profile=profile, provider=self._provider)

    async def send(self, profile: Profile) -> ModelResponse:
        """Make the request in a dialect.

        Raises:
            TransportFailure: the call failed.
            BadCompletion: it failed, or its answer is not one.
        """
        sink = None if self._on_delta is None else self._pass_on
        if self._request.tools and profile.tool_form == "prompted":
            return await PromptedTools(_WithoutTools(self, profile)).request(self._request, sink)
        return await self.make(self._request, profile, sink)

    async def make(self, request: ModelRequest, profile: Profile, on_delta: DeltaSink | None) -> ModelResponse:
        """Make `request`, which is the one of this call, or the same in other words.

        Raises:
            TransportFailure: the call failed.
            BadCompletion: it failed, or its answer is not one.
            ModelRequestError: it has images, which the model does not see.
        """
        if not profile.images and any(each.images for each in request.messages if each.role == "user"):
            raise ModelRequestError(
                "it does not understand images",
                model=self._name,
                hint="ask a model that does; if this one does, say so in its profile, and `contemplate models forget`",
            )
        self._sent = request
        streams = on_delta is not None and is_streamed(request, profile)
        write, collect = _APIS[profile.api]
        body = to_json(write(request, model=self.model, stream=streams, profile=profile, provider=self._provider))
        collector = collect(request, model=self.model, provider=self._provider, profile=profile)
        form = form_of(request, profile)
        await request.before_sending()
        if on_delta is None or not streams:
            response = read_whole(await self._transport.post(body, self._key, profile.api), collector)
        else:
            with StreamTimeouts(request.settings, self._name) as timeouts:
                async with self._transport.stream(body, self._key, profile.api) as stream:
                    response = await read_stream(stream, collector, on_delta, timeouts)
        answer = response if form is None else plain_answer(response, request, form)
        self.unheeded = form is not None and takes_no_notice(answer, form)
        # Not streamed, or streamed as the arguments of a tool.
        if on_delta is not None and (not streams or (answer.message.text and not response.message.text)):
            reasoning = "" if streams else answer.reasoning
            if answer.message.text or reasoning:
                on_delta(Delta(answer.message.text, reasoning))
        return answer

    def _pass_on(self, delta: Delta) -> None:
        assert self._on_delta is not None  # noqa: S101
        self.begun = True
        self._on_delta(delta)


class _WithoutTools:
    """The server as a model for calls without tools."""

    def __init__(self, call: ChatCall, profile: Profile) -> None:
        self.name = call.model
        self._call = call
        self._profile = profile

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`."""
        return await self._call.make(request, self._profile, on_delta)
