"""LiteLLM's proxy, as a process.

It is never a dependency: `python -m venv VENV && VENV/bin/pip install 'litellm[proxy]'`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

KEY = "sk-proxy"
SECONDS_TO_START = 180
ENVIRON = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "127.0.0.1",
    # It ends streams that say the same again and again, as those of scripted models do.
    "REPEATED_STREAMING_CHUNK_LIMIT": "1000000",
}


@contextmanager
def litellm_proxy(command: Path, models: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """The address and the process id of a proxy in front of `models`, its `litellm_params` by their names.

    Raises:
        SystemExit: it did not start.
    """
    settings = {
        "model_list": [{"model_name": name, "litellm_params": dict(given)} for name, given in models.items()],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ENVIRON
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.json")
        # JSON is YAML, too.
        config.write_text(json.dumps(settings))
        process = subprocess.Popen(
            [command, "--config", config, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(f"{address}/health/liveliness", process)
            yield address, process.pid
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise SystemExit("the proxy did not start")
