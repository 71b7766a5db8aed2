"""`LocalModel`: a model in this process."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import anyio.to_thread

from ...errors import MissingDependencyError
from ...settings import ModelSettings
from ...usage import FREE
from ..base import DeltaSink, ModelRequest, ModelResponse
from ..openai import OpenAIModel
from ..wrappers.prompted_tools import PromptedTools
from ..wrappers.retry import Retry
from .catalogue import LocalFile, find
from .pull import PullProgress, pull
from .server import CONTEXT_TOKENS, local_server
from .spread import Spread

# A small model that loops would otherwise fill its whole context before it stops.
DEFAULT_SETTINGS = ModelSettings(max_tokens=1024)


class LocalModel:
    """A GGUF model, run by llama.cpp in this process and shared by all who name the same file.

    A known model is fetched on first use, and the server starts with the first request.

    Args:
        model: a known name, such as "qwen2.5-coder-1.5b", or the path of a GGUF file.
        settings: the usual settings of its calls; at most 1,024 tokens are written if they say nothing else.
        on_pull: is told how the fetching goes; by default a line is logged.

    Raises:
        ConfigurationError: the name is not known, or there is no GGUF file at the path.
        MissingDependencyError: the extra "local" is not installed.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        settings: ModelSettings | None = None,
        on_pull: Callable[[PullProgress], None] | None = None,
    ) -> None:
        self.name = f"local:{model}"
        self._file = find(str(model))
        # Before a gigabyte is fetched that nothing could run.
        if find_spec("xllamacpp") is None:
            raise MissingDependencyError("a local model", "local")
        self.price = FREE
        self._settings = (settings or ModelSettings()).over(DEFAULT_SETTINGS)
        self._on_pull = on_pull
        self._ready: PromptedTools | None = None

    def __repr__(self) -> str:
        return f"LocalModel({self.name.removeprefix('local:')!r})"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Start the server if it does not run, and keep the connections to it until the context ends.

        Raises:
            DownloadError: the model cannot be fetched.
            ConfigurationError: llama.cpp cannot load it.
        """
        model = await self._started()
        async with model.connect():
            yield

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`.

        Raises:
            ModelError: the call failed.
            DownloadError: the model cannot be fetched.
            ConfigurationError: llama.cpp cannot load it.
        """
        model = await self._started()
        response = await model.request(request, on_delta)
        return response.model_copy(update={"usage": FREE.priced(response.usage)})

    async def _started(self) -> PromptedTools:
        if self._ready is None:
            started = await anyio.to_thread.run_sync(self._start)
            # Others may have started it meanwhile.
            self._ready = self._ready or started
        return self._ready

    def _start(self) -> PromptedTools:
        path = self._file if isinstance(self._file, Path) else self._fetched(self._file)
        server = local_server(path)
        served = OpenAIModel(
            path.stem,
            base_url=server.base_url,
            api_key=server.api_key,
            settings=self._settings,
            name=self.name,
            price=FREE,
        )
        # Like others, this server may hang up on a connection at the moment in which it is used again.
        return PromptedTools(Retry(Spread(served, server.slots, CONTEXT_TOKENS)))

    def _fetched(self, file: LocalFile) -> Path:
        if not file.present and self._on_pull is None:
            log = logging.getLogger("contemplate")
            log.warning("fetching %s (%.2f GB, %s) to %s", file.name, file.size / 1e9, file.licence, file.path.parent)
        return pull(file, self._on_pull)
