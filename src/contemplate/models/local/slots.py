"""The slots of a llama.cpp server: where a prompt that was read is kept, and how it gets from one to the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from urllib.error import URLError
from urllib.request import Request, urlopen
from uuid import uuid4
from weakref import finalize

SECONDS = 60.0


class Slots:
    """The slots of one server.

    Each slot reads prompts for itself: what one has read is of no use to another as long as they are not told of it.
    Telling is saving it to a file, from which the others take it; that takes milliseconds for what takes seconds or
    minutes to read. The file is readable by this user alone, and gone when that is done.
    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md

    Attributes:
        folder: where the server keeps such files.
        out: how many calls there are whose prompts have a beginning.
        copies: how many slots hold the beginning that was copied last, if nobody has used them for another.
    """

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="contemplate-"))
        finalize(self, rmtree, self.folder, ignore_errors=True)
        self.out: Counter[bytes] = Counter()
        self.copies = 0
        self._url = self._key = ""

    def serve(self, url: str, api_key: str) -> None:
        """The server is at `url`, without "/v1"."""
        self._url, self._key = url, api_key

    def idle(self) -> list[int]:
        """The slots that have nothing to do. Blocks.

        Raises:
            OSError: the server does not answer.
        """
        slots = self._asked("GET", "/slots")
        return [slot["id"] for slot in slots if not slot["is_processing"]]

    def copy(self, source: int, targets: Sequence[int]) -> int:
        """Let `targets` hold what `source` does, and say how many of them do. Blocks.

        Raises:
            OSError: the server does not answer, or cannot save it.
        """
        name = uuid4().hex
        done = 0
        try:
            self._asked("POST", f"/slots/{source}?action=save", name)
            for target in targets:
                try:
                    self._asked("POST", f"/slots/{target}?action=restore", name)
                except URLError:
                    # There is no more room in the context that all slots share.
                    break
                done += 1
        finally:
            (self.folder / name).unlink(missing_ok=True)
        return done

    def _asked(self, method: str, path: str, filename: str | None = None) -> list[dict[str, int]]:
        body = None if filename is None else json.dumps({"filename": filename}).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = Request(self._url + path, body, headers, method=method)  # noqa: S310
        with urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            answer: list[dict[str, int]] = json.load(response)
        return answer
