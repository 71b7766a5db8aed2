"""What each feature asks of a client, and what must come of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .scripts.given import IMAGE, WEATHER

Outcome = Mapping[str, Any]
Log = Sequence[Mapping[str, Any]]

SALT = "Rivers carry salt into the sea, and only water leaves it again."
REFUSAL = "HTTP 400: flumphs cannot be weighed"
OUTAGE = "HTTP 503: the flumph scales are out of order"
CITY = {"name": "Paris", "country": "France", "population": 2102650}
PARTS = {"tools": ("Paris", "Oslo"), "edit": ("Greeting", "Farewell")}
REPOSITORY = {"greeting.py": 'print("helo")\n'}
EDITS = {
    "Greeting": "sed -i s/helo/hello/ greeting.py && echo greeted",
    "Farewell": "printf 'print(\"bye\")\\n' > farewell.py && echo parted",
}
WRITTEN = {"greeting.py": 'print("hello")\n', "farewell.py": 'print("bye")\n'}

# A client may ask again, as for any server that failed; each time is a whole run.
MOST_REPEATS = 8


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of a client.

    Args:
        name: in the table.
        question: what the client asks; the scripted model knows it by that.
        check: says what is wrong with what the client had and what the server saw; nothing if all is well.
        function: of the client's script.
    """

    name: str
    question: str
    check: Callable[[Outcome, Log], list[str]]
    function: str


def _chat(had: Outcome, log: Log) -> list[str]:
    return [*_text(had, SALT), *_contemplated(log)]


def _stream(had: Outcome, log: Log) -> list[str]:
    wrong = [] if len(had.get("pieces", ())) > 2 else [f"the answer came in {len(had.get('pieces', ()))} pieces"]
    return [*_text({"text": "".join(had.get("pieces", ()))}, SALT), *wrong, *_contemplated(log)]


def _tools(had: Outcome, log: Log) -> list[str]:
    called = sorted(had.get("calls", ()))
    wrong = [] if called == sorted(WEATHER) else [f"the tool was called for {called}"]
    missing = [
        f"{text!r} is not in the answer {had.get('text')!r}"
        for text in WEATHER.values()
        if text not in had.get("text", "")
    ]
    return [*wrong, *missing, *_contemplated(log)]


def _edit(had: Outcome, log: Log) -> list[str]:
    files = had.get("files", {})
    wrong = [f"{name} holds {files.get(name)!r}" for name, text in WRITTEN.items() if files.get(name) != text]
    return [*wrong, *_contemplated(log)]


def _structured(had: Outcome, log: Log) -> list[str]:
    # Some clients have a tool for the answer: a subagent's call of it is the answer, and nothing is merged.
    return [
        *([] if had.get("object") == CITY else [f"the object is {had.get('object')!r}"]),
        *_contemplated(log, "plan", "part"),
    ]


def _images(had: Outcome, log: Log) -> list[str]:
    digest = hashlib.sha256(IMAGE).hexdigest()
    reached = any(digest in each.get("images", ()) for each in log)
    wrong = [] if reached else ["the image's bytes did not reach the model"]
    return [*wrong, *_text(had, f"The image is {len(IMAGE)} bytes long.")]


def _error(message: str) -> Callable[[Outcome, Log], list[str]]:
    words = message.partition(": ")[2]

    def check(had: Outcome, log: Log) -> list[str]:
        said = " ".join((had.get("error") or "").split())
        runs = sum(each.get("call") in ("plan", "alone") for each in log)
        wrong = [] if words in said else [f"the error says {said[-300:]!r}"]
        return [*wrong, *([] if 0 < runs <= MOST_REPEATS else [f"it was asked {runs} times"])]

    return check


def _cancel(had: Outcome, log: Log) -> list[str]:
    waited = any("waiting" in each for each in log)
    ended = any("cancelled" in each for each in log)
    return ([] if waited else ["the run did not begin"]) + ([] if ended else ["the run goes on without its client"])


def _text(had: Outcome, expected: str) -> list[str]:
    return [] if expected in (had.get("text") or "") else [f"the answer is {had.get('text')!r}"]


def _contemplated(log: Log, *roles: str) -> list[str]:
    missing = set(roles or ("plan", "part", "merge")) - {each.get("call") for each in log}
    return [f"the run made no call of its {', '.join(sorted(missing))}"] if missing else []


FEATURES = (
    Feature("chat", "Why is the sea salty?", _chat, "chat"),
    Feature("stream", "Why is the sea so salty?", _stream, "stream"),
    Feature("tools", "What is the weather in Paris, and in Oslo?", _tools, "tools"),
    Feature("edit", "Mend greeting.py, and add farewell.py.", _edit, "edit"),
    Feature("structured", "Which city is the capital of France?", _structured, "structured"),
    Feature("images", "How large is this image?", _images, "images"),
    Feature("errors", "What does a flumph weigh?", _error(REFUSAL), "errors"),
    Feature("outage", "How tall is a flumph?", _error(OUTAGE), "errors"),
    Feature("cancel", "Count all the stars.", _cancel, "cancel"),
)


def asked_in(text: str) -> str | None:
    """Return the name of the feature whose question stands in `text`; None if none does."""
    return next((each.name for each in FEATURES if each.question in text), None)
