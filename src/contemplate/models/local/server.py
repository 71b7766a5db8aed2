"""The llama.cpp servers of this process: one for each model file, started on demand, ended with the process."""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigurationError, MissingDependencyError
from .slots import Slots

SLOTS = 8
CONTEXT_TOKENS = 32_768


@dataclass(frozen=True, slots=True)
class LocalServer:
    """The URL of a running server, the key that keeps other users of this machine out, and the server's slots."""

    base_url: str
    api_key: str
    slots: Slots

    def __repr__(self) -> str:
        return f"LocalServer({self.base_url!r})"


_lock = threading.Lock()
_running: dict[tuple[Path, int, int | None], tuple[LocalServer, Any]] = {}


def local_server(path: Path, *, context: int = CONTEXT_TOKENS, threads: int | None = None) -> LocalServer:
    """Return the server of the model at `path`. Blocks; the first call loads the model, which takes seconds.

    The server runs in threads of this process, so that it cannot outlive it. Its eight slots share one context.

    Raises:
        MissingDependencyError: the extra "local" is not installed.
        ConfigurationError: llama.cpp cannot load the file.
    """
    key = path.resolve(), context, threads
    with _lock:
        if key not in _running:
            _running[key] = _start(*key)
        return _running[key][0]


def _start(path: Path, context: int, threads: int | None) -> tuple[LocalServer, Any]:
    try:
        import xllamacpp
    except ImportError:
        raise MissingDependencyError("a local model", "local") from None
    key = secrets.token_urlsafe(24)
    slots = Slots()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    # Else it tells its path, which is nobody's business, as the name of the model.
    params.model_alias = {path.stem}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.n_ctx = context
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.cont_batching = True
    params.cache_prompt = True
    # Idle slots keep their prompt cache; otherwise the next call would clear it.
    params.cache_idle_slots = False
    params.slot_save_path = f"{slots.folder}{os.sep}"
    params.ui = False
    params.verbosity = -1
    try:
        server = xllamacpp.Server(params)
    except Exception as error:
        raise ConfigurationError(f"llama.cpp cannot load {path.name}: {error}", hint="is the file complete?") from error
    slots.serve(server.listening_address, key)
    return LocalServer(f"{server.listening_address}/v1", key, slots), server
