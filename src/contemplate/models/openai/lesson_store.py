"""What was learnt of each endpoint and model: in the process, and in a file in the user's cache directory.

The file holds URLs without secrets, names of models, and lessons with their dates; never a key.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..cache import cache_directory
from .lessons import Lesson

FILE = "lessons.json"
OFF = "CONTEMPLATE_NO_LESSONS"
# Servers change: what is true is learnt again for one refused request.
KEPT_DAYS = 14
MOST_PLACES = 500
LOCK_SECONDS = 2.0

Places = dict[str, list[dict[str, Any]]]


@dataclass(eq=False, slots=True)
class ModelLessons:
    """What is known of a model at an endpoint.

    Attributes:
        key: the endpoint and the model; empty for what is kept by nobody else, nor in the file.
        lessons: all of them, from the first to the last; replaced, never changed.
        proven: whether a request was accepted since the last of them. Until then only one call tries.
        remembered: whether they come from the file, and nobody has been told of them.
    """

    key: str
    lessons: tuple[Lesson, ...] = ()
    proven: bool = True
    remembered: bool = False

    def add(self, lesson: Lesson, *, proven: bool = False) -> None:
        """Add a lesson, after which a call has to try whether it is enough, unless it is known to be."""
        with _lock:
            kept = [each for each in self.lessons if not lesson.replaces(each)]
            self.lessons, self.proven, self.remembered = (*kept, lesson), proven, False

    def forget(self) -> None:
        """Drop all lessons: the server is another one."""
        with _lock:
            self.lessons, self.proven, self.remembered = (), True, False


_lock = threading.Lock()
_pages: dict[str, ModelLessons] = {}
_read = False


def page_of(place: str, model: str) -> ModelLessons:
    """Return the page of `model` at the endpoint `place`, which all its objects in this process share."""
    global _read
    key = f"{place}#{model}"
    with _lock:
        if not _read:
            _read = True
            for each, lessons in _from_file().items():
                _pages.setdefault(each, ModelLessons(each, lessons, remembered=True))
        return _pages.setdefault(key, ModelLessons(key))


def forget_lessons() -> None:
    """Forget what was learnt in this process; the file stays, and is read again."""
    global _read
    with _lock:
        _pages.clear()
        _read = False


def forget(part: str = "") -> dict[str, int]:
    """Forget what was learnt of the endpoints and models whose "URL#MODEL" contains `part`, in the file too.

    Returns:
        How many lessons were forgotten of each.

    Raises:
        OSError: the file cannot be written.
    """
    path = _path()
    forgotten: dict[str, int] = {}
    if path.exists():
        with _locked(path):
            places = _current(path)
            forgotten = {key: len(lessons) for key, lessons in places.items() if part in key}
            _replace(path, _written({key: lessons for key, lessons in places.items() if key not in forgotten}))
    with _lock:
        pages = [page for key, page in _pages.items() if part in key and page.lessons]
    for page in pages:
        forgotten.setdefault(page.key, len(page.lessons))
        page.forget()
    return forgotten


def write_down(page: ModelLessons) -> None:
    """Keep a page in the file, beside those of others. What cannot be written is kept in this process only."""
    if os.environ.get(OFF) or not page.key:
        return
    path = _path()
    with suppress(OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            places = _current(path)
            today = date.today().isoformat()
            dates = {
                json.dumps(each.get("changes"), sort_keys=True): each.get("date") for each in places.pop(page.key, [])
            }
            entries = [each.model_dump(mode="json") for each in page.lessons]
            if entries:
                places[page.key] = [
                    {"date": dates.get(json.dumps(each["changes"], sort_keys=True), today), **each} for each in entries
                ]
            _replace(path, _written(dict(list(places.items())[-MOST_PLACES:])))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing the file.

    Raises:
        OSError: another one does so for too long, or it cannot be written.
    """
    from filelock import FileLock

    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS, mode=0o600):
        yield


def _written(places: Places) -> str:
    return json.dumps({"version": 1, "places": places}, indent=1)


def _path() -> Path:
    return cache_directory() / FILE


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _current(path: Path) -> Places:
    """Return what the file holds and is not too old; nothing if it cannot be read."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["places"]
        oldest = (date.today() - timedelta(days=KEPT_DAYS)).isoformat()
        return {
            str(key): kept
            for key, lessons in places.items()
            if (kept := [each for each in lessons if str(each["date"]) >= oldest])
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _from_file() -> dict[str, tuple[Lesson, ...]]:
    found: dict[str, tuple[Lesson, ...]] = {}
    if os.environ.get(OFF):
        return found
    for key, lessons in _current(_path()).items():
        with suppress(ValidationError, TypeError, KeyError):
            found[key] = tuple(Lesson(changes=each["changes"], words=each["words"]) for each in lessons)
    return found
