"""`LocalModel`: a model that runs in this process."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import anyio.to_thread

from ...errors import ConfigurationError, MissingDependencyError
from ...settings import ModelSettings
from ...usage import FREE
from ..base import Brevity, DeltaSink, ModelRequest, ModelResponse
from ..context_size import ContextSize
from ..openai import OpenAIModel
from ..openai.profile import Profile
from ..wrappers.prompted_tools import PromptedTools
from ..wrappers.retry import Retry
from .catalogue import LocalFile, find
from .pull import PullProgress, pull
from .server import CONTEXT_TOKENS, local_server
from .spread import Spread

# A small model that repeats itself would otherwise fill its whole context.
DEFAULT_SETTINGS = ModelSettings(max_tokens=1024)
LEAST_CONTEXT_TOKENS = 512
# No projector for images is loaded.
PROFILE = Profile(schema_dialect="llama_cpp", images=False)
_BRIEF = Brevity()


class LocalModel:
    """A GGUF model that llama.cpp runs in this process, shared by all instances with the same file and resources.

    A known model is downloaded on first use, and the server starts with the first request.

    Args:
        model: a known name, such as "qwen2.5-coder-1.5b", or the path of a GGUF file.
        settings: the default settings of its calls; `max_tokens` is 1,024 unless they set it.
        threads: how many threads work for it; as many as there are physical cores if None.
        context: the tokens of the context that its eight slots share; memory is taken for them.
        brevity: how briefly it contemplates, as a processor without a GPU takes minutes for what a provider does in
            seconds; None for as many and as long parts as other models get.
        on_pull: called with the progress of a download; by default one line is logged.

    Raises:
        ConfigurationError: the name is not known, the path is not a GGUF file, or `threads` or `context` is too small.
        MissingDependencyError: the extra "local" is not installed.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        settings: ModelSettings | None = None,
        threads: int | None = None,
        context: int = CONTEXT_TOKENS,
        brevity: Brevity | None = _BRIEF,
        on_pull: Callable[[PullProgress], None] | None = None,
    ) -> None:
        self.name = f"local:{model}"
        self._file = find(str(model))
        # Checked before a gigabyte is downloaded that could not be run.
        if find_spec("xllamacpp") is None:
            raise MissingDependencyError("a local model", "local")
        if threads is not None and threads < 1:
            raise ConfigurationError(f"{self.name}: threads={threads}", hint="at least 1, or None")
        if context < LEAST_CONTEXT_TOKENS:
            raise ConfigurationError(f"{self.name}: context={context}", hint=f"at least {LEAST_CONTEXT_TOKENS} tokens")
        self.price = FREE
        self.brevity = brevity
        self._threads = threads
        self._context = context
        self.settings = (settings or ModelSettings()).over(DEFAULT_SETTINGS)
        self._on_pull = on_pull
        self._stated = PROFILE.model_copy(update={"context_tokens": context})
        self._model: PromptedTools | None = None
        self._served: OpenAIModel | None = None

    @property
    def profile(self) -> Profile:
        """The dialect of its server, with what was learnt since it was started."""
        return self._stated if self._served is None else self._served.profile

    @property
    def context_size(self) -> ContextSize | None:
        """How much fits into the context that its slots share."""
        return self.profile.context_size

    def with_profile(self, profile: Profile) -> Self:
        """Return the same model, at the same server, with another profile, on which nothing that was learnt comes."""
        model = copy(self)
        model._stated = profile
        model._model = model._served = None
        return model

    def __repr__(self) -> str:
        return f"LocalModel({self.name.removeprefix('local:')!r})"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Start the server if it is not running, and keep the connections to it open until the context ends.

        Raises:
            DownloadError: the model cannot be fetched.
            ConfigurationError: llama.cpp cannot load it.
        """
        model = await self._ready_model()
        async with model.connect():
            yield

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`.

        Raises:
            ModelError: the call failed.
            DownloadError: the model cannot be fetched.
            ConfigurationError: llama.cpp cannot load it.
        """
        model = await self._ready_model()
        response = await model.request(request, on_delta)
        return response.model_copy(update={"usage": FREE.priced(response.usage)})

    async def _ready_model(self) -> PromptedTools:
        if self._model is None:
            started = await anyio.to_thread.run_sync(self._start)
            # Another task may have started it in the meantime.
            self._model = self._model or started
        return self._model

    def _start(self) -> PromptedTools:
        path = self._file if isinstance(self._file, Path) else self._download(self._file)
        server = local_server(path, context=self._context, threads=self._threads)
        served = OpenAIModel(
            path.stem,
            base_url=server.base_url,
            api_key=server.api_key,
            settings=self.settings,
            name=self.name,
            price=FREE,
        )
        # What is learnt of a server of this process is of no use to others.
        self._served = served = served.with_profile(self._stated)
        # Like other servers, this one may close an idle connection at the moment that it is reused.
        return PromptedTools(Retry(Spread(served, server.slots, self._context)))

    def _download(self, file: LocalFile) -> Path:
        if not file.present and self._on_pull is None:
            log = logging.getLogger("contemplate")
            log.warning("fetching %s (%.2f GB, %s) to %s", file.name, file.size / 1e9, file.licence, file.path.parent)
        return pull(file, self._on_pull)
