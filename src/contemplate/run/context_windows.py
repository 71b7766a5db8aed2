"""Prompts that do not fit into a model's context: shortened beforehand if that is known, else asked again with less."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ModelContextError
from ..models import DeltaSink, Model, ModelRequest, ModelResponse
from ..models.context_size import check_fit
from ..models.tokens import request_tokens
from .shortened_prompts import Shortened, shortened

MAX_TRIES = 3
# How much of the context an answer may need where nobody says so.
MAX_ANSWER_TOKENS = 8192
MARGIN = 0.95


@dataclass(frozen=True, slots=True)
class _Window:
    """What a refusal taught, in estimated tokens: a prompt that did not fit, and what is likely to fit."""

    refused: int
    room: int


class ContextWindows:
    """What is known of the models' contexts in a run. A refused prompt costs nothing.

    What a refusal taught is kept by the model's name and by how much it may write, which needs room as well. Before
    the first one counts what the model says of its context, with a margin.
    """

    def __init__(self) -> None:
        self._windows: dict[tuple[str, int | None], _Window] = {}

    def fitted(self, model: Model, request: ModelRequest) -> Shortened:
        """Return `request`, shortened if it is known that it does not fit."""
        window = self._windows.get((model.name, request.settings.max_tokens))
        if window is not None:
            fits = request_tokens(request) < window.refused
            return Shortened(request) if fits else shortened(request, window.room)
        try:
            check_fit(model, request)
        except ModelContextError as error:
            return shortened(request, room_after(error, request))
        return Shortened(request)

    def room(self, model: str, request: ModelRequest) -> float:
        """Return how many tokens a prompt like `request` may have, by the estimate; `math.inf` if nothing is known."""
        window = self._windows.get((model, request.settings.max_tokens))
        return math.inf if window is None else window.room

    async def ask(
        self, model: Model, request: ModelRequest, sent: Shortened, on_delta: DeltaSink | None, begun: Callable[[], int]
    ) -> tuple[ModelResponse, Shortened]:
        """Return the answer and what it answers: `sent`, or `request` shortened further, after three tries at most.

        Args:
            model: the model.
            request: the whole request.
            sent: what is asked first.
            on_delta: receives each delta.
            begun: whether an answer has begun, after which nothing is asked again.

        Raises:
            ModelError: the call failed. A `ModelContextError`: what may be shortened is not enough.
        """
        for left in range(MAX_TRIES, -1, -1):
            try:
                return await model.request(sent.request, on_delta), sent
            except ModelContextError as error:
                room = room_after(error, sent.request)
                size = request_tokens(sent.request)
                self._learn((model.name, sent.request.settings.max_tokens), size, room)
                shorter = shortened(request, room)
                if not left or begun() or request_tokens(shorter.request) >= size:
                    raise
                await request.before_sending()
                sent = shorter
        raise AssertionError("unreachable")

    def _learn(self, key: tuple[str, int | None], refused: int, room: int) -> None:
        known = self._windows.get(key)
        if known is None or refused <= known.refused:
            self._windows[key] = _Window(refused, room)


def room_after(error: ModelContextError, request: ModelRequest) -> int:
    """Return how many tokens, by the estimate, a prompt may have after one was refused: fewer than that one's.

    The sizes that the server named say how far the estimate is off. Without them, it is half of what was refused.
    """
    sent, context, prompt = request_tokens(request), error.context_tokens, error.prompt_tokens
    if not context:
        return sent // 2
    room = _room(context, prompt / sent if prompt and sent else 1, request)
    return room if room < sent else sent // 2


def _room(context: int, per_estimate: float, request: ModelRequest) -> int:
    """Return how many tokens, by the estimate, a prompt may have that leaves room for an answer."""
    answer = min(context // 4, MAX_ANSWER_TOKENS)
    if request.settings.max_tokens is not None:
        answer = min(request.settings.max_tokens, context // 2)
    return int((context - answer) * MARGIN / per_estimate)


def told(response: ModelResponse, sent: Shortened, whole: ModelRequest, asker: str, room: float) -> ModelResponse:
    """Return `response` with what `asker` is told of its request, if that was shortened, and of the `room` there is.

    What follows from it follows again when the call is recalled from a journal, where nothing is known of the model.
    """
    if room < math.inf:
        response = response.model_copy(update={"room": int(room)})
    if sent.is_whole:
        return response
    notes = (*response.notes, words_for(sent, whole, asker))
    return response.model_copy(update={"notes": notes, "shortened": sent.unread, "condensed": sent.condensed})


def words_for(sent: Shortened, whole: ModelRequest, asker: str) -> str:
    """Return what is told of a request that was shortened; the same for all turns in which only old turns are."""
    if not sent.unread:
        return f"{asker}: the conversation does not fit into the context; what is old in it is shown condensed"
    before, after = request_tokens(whole), request_tokens(sent.request)
    return (
        f"{asker}: the prompt does not fit into the context; {sent.texts} of the texts in it are shortened, "
        f"from about {before:,} to {after:,} tokens in all"
    )
