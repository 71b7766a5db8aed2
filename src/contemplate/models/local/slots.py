"""The slots of a llama.cpp server: each caches the prompt that it processed, which can be copied to the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener
from uuid import uuid4
from weakref import finalize

SECONDS = 60.0
# The server is this process.
_DIRECTLY = build_opener(ProxyHandler({}))


class Slots:
    """The slots of one server.

    Each slot has its own prompt cache. To share one, a slot saves it to a file that the others restore, which takes
    milliseconds, where processing the prompt takes seconds or minutes. Only this user can read the file, and it is
    deleted afterwards.
    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md

    Attributes:
        folder: where the server saves such files.
        out: how many calls are in flight for each prompt prefix.
        copies: how many slots hold the prefix that was copied last, unless other prompts have replaced it.
    """

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="contemplate-"))
        finalize(self, rmtree, self.folder, ignore_errors=True)
        self.out: Counter[bytes] = Counter()
        self.copies = 0
        self._url = self._key = ""

    def serve(self, url: str, api_key: str) -> None:
        """Set the server's `url`, without "/v1", and its key."""
        self._url, self._key = url, api_key

    def idle(self) -> list[int]:
        """Return the ids of the idle slots. Blocks.

        Raises:
            OSError: the server does not answer.
        """
        slots = self._call("GET", "/slots")
        return [slot["id"] for slot in slots if not slot["is_processing"]]

    def copy(self, source: int, targets: Sequence[int]) -> int:
        """Copy the prompt cache of `source` to `targets`, and return how many of them took it. Blocks.

        Raises:
            OSError: the server does not answer, or cannot save the cache.
        """
        name = uuid4().hex
        done = 0
        try:
            self._call("POST", f"/slots/{source}?action=save", name)
            for target in targets:
                try:
                    self._call("POST", f"/slots/{target}?action=restore", name)
                except URLError:
                    # The context that all slots share is full.
                    break
                done += 1
        finally:
            (self.folder / name).unlink(missing_ok=True)
        return done

    def _call(self, method: str, path: str, filename: str | None = None) -> list[dict[str, int]]:
        body = None if filename is None else json.dumps({"filename": filename}).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = Request(self._url + path, body, headers, method=method)  # noqa: S310
        with _DIRECTLY.open(request, timeout=SECONDS) as response:
            answer: list[dict[str, int]] = json.load(response)
        return answer
