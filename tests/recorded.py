"""What the small local model once answered: docs and examples are tried on it, unless the model itself is wanted.

A request that was not recorded, as when a prompt, a page or an example has changed, goes to the real model:

    python -m pytest tests/test_examples.py            replays, and asks the model what is not recorded
    python -m pytest tests/test_examples.py --record   the same, and records it
    python -m pytest tests/test_examples.py --real     asks the model everything; with --record, records it anew
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from contemplate.errors import ModelRequestError
from contemplate.journal.entries import request_digest, request_pieces
from contemplate.models import DeltaSink, LocalModel, Model, ModelRequest, ModelResponse
from contemplate.models.wrappers.base import Wrapper
from contemplate.models.wrappers.prompted_tools import PromptedTools
from contemplate.testing import ScriptedModel

# As long as a call waits that was cancelled when it was recorded: only where the run goes otherwise, it waits in vain.
CANCELLED_SECONDS = 20.0

Answers = dict[str, list[ModelResponse | None]]


class Recording:
    """A file with the answers to each request, by its digest, in the order in which they were asked for.

    None stands for a call that was cancelled, as those are that can no longer change a vote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.answers: Answers = {}
        for line in lines:
            digest, *answers = json.loads(line)
            self.answers[digest] = [each and ModelResponse.model_validate(each) for each in answers]
        self.used: set[str] = set()

    def write(self, *, of_all: bool) -> None:
        """Write it; if all were tried, without what belongs to nothing that is still there."""
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("w", encoding="utf-8") as file:
            for digest, answers in sorted(self.answers.items(), key=lambda each: each[0]):
                if digest in self.used or not of_all:
                    plain = [each and each.model_dump(mode="json", exclude_none=True) for each in answers]
                    file.write(json.dumps([digest, *plain], ensure_ascii=False) + "\n")


class Replay:
    """A block or an example that runs on a recording. `missed`: whether it asked for what was not recorded."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._asked: Counter[str] = Counter()
        self.missed = False

    def answer_for_local_models(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have local models answer from the recording, without a file or a server."""

        def start(model: LocalModel) -> PromptedTools:
            return PromptedTools(ScriptedModel(lambda request: self._answer(model, request), name=model.name))

        monkeypatch.setattr(LocalModel, "_start", start)

    async def _answer(self, model: LocalModel, request: ModelRequest) -> ModelResponse:
        digest = digest_in(request, model)
        nth = self._asked[digest]
        self._asked[digest] += 1
        self._recording.used.add(digest)
        answers = self._recording.answers.get(digest, [])
        if nth < len(answers):
            if (found := answers[nth]) is not None:
                return found
            await anyio.sleep(CANCELLED_SECONDS)
        self.missed = True
        raise ModelRequestError("this was not recorded", model=model.name)


class Take:
    """A block or an example that runs on the real model, whose answers are kept if it went well."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._answers: Answers = {}

    def record_local_models(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Note what local models answer."""
        started: Callable[[LocalModel], PromptedTools] = LocalModel._start

        def start(model: LocalModel) -> PromptedTools:
            inner = started(model).inner
            return PromptedTools(_Recorder(inner, lambda request: self._place(digest_in(request, model))))

        monkeypatch.setattr(LocalModel, "_start", start)

    def keep(self) -> None:
        """Keep the answers in the recording."""
        self._recording.answers.update(self._answers)
        self._recording.used |= self._answers.keys()

    def _place(self, digest: str) -> tuple[list[ModelResponse | None], int]:
        answers = self._answers.setdefault(digest, [])
        answers.append(None)
        return answers, len(answers) - 1


class _Recorder(Wrapper):
    def __init__(self, inner: Model, place: Callable[[ModelRequest], tuple[list[ModelResponse | None], int]]) -> None:
        super().__init__(inner)
        self._place = place

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        answers, nth = self._place(request)
        answers[nth] = response = await self.inner.request(request, on_delta)
        return response


def digest_in(request: ModelRequest, model: LocalModel) -> str:
    """The digest of a request to a model with settings of its own."""
    return request_digest(request_pieces(model.name, replace(request, settings=request.settings.over(model.settings))))


def number_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give runs the same ids each time: what is shuffled or fenced by them is asked as it was recorded."""
    numbers = itertools.count(1)
    for home in ("run", "journaled_runs"):
        monkeypatch.setattr(f"contemplate.run.{home}.new_run_id", lambda: f"run-{next(numbers)}")
