"""What a refusal teaches: a change of the profile with which the same request may be accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_core import to_json

from ...data import Data
from ..tokens import BYTES_PER_TOKEN
from .context_overflow import overflow
from .lesson_rules import MAX_TOKENS, possible_changes
from .output_bound import LEAST_ROOM
from .profile import Profile
from .refusals import Refusal

# What lessons add to, instead of replacing it.
_ADDED = {"left_out", "at_most"}
_REQUESTED = re.compile(r"requested (?:a total of |about )?(\d+)", re.IGNORECASE)
_SUM = re.compile(r"(\d+) \+ \d+ > (\d+)")


class Lesson(Data):
    """What was learnt from a refusal.

    Args:
        changes: new values of the profile's fields; what is left out and what is at most accepted comes on top.
        words: what happened, for people. Never the server's own words, which may repeat secrets.
    """

    changes: Mapping[str, JsonValue]
    words: str

    def replaces(self, earlier: Lesson) -> bool:
        """Return whether nothing is left of an earlier lesson after this one."""
        return earlier.changes.keys() <= self.changes.keys() and not earlier.changes.keys() & _ADDED

    def applied_to(self, profile: Profile) -> Profile:
        """Return `profile` as the server takes it; unchanged if the lesson does not fit its fields."""
        said: dict[str, Any] = dict(self.changes)
        if isinstance(said.get("left_out"), list):
            said["left_out"] = profile.left_out.union(map(str, said["left_out"]))
        if isinstance(said.get("at_most"), dict):
            said["at_most"] = {**profile.at_most, **said["at_most"]}
        try:
            return Profile.model_validate({**profile.model_dump(), **said})
        except ValidationError:
            return profile


def lesson_from(
    refusal: Refusal, body: Mapping[str, Any], profile: Profile, tried: Sequence[Profile] = ()
) -> Lesson | None:
    """Return what a refusal of `body` teaches; None if nothing that is understood.

    Args:
        refusal: what the server said.
        body: the request that it refused.
        profile: the dialect that the request was written in.
        tried: dialects that were refused as well, and are not to be tried again.
    """
    if not refusal.is_about_the_form or refusal.is_too_long:
        return None
    for changes, words in possible_changes(refusal, body, profile):
        lesson = Lesson(changes=changes, words=words)
        changed = lesson.applied_to(profile)
        goes_back = any(all(getattr(each, name) == getattr(changed, name) for name in changes) for each in tried)
        if changed != profile and not goes_back:
            return lesson
    return None


def context_lesson(refusal: Refusal, estimate: int, profile: Profile) -> Lesson | None:
    """Return what a refused prompt teaches of the model's context; None if nothing that is not known.

    Args:
        refusal: what the server said.
        estimate: the tokens that the prompt was estimated to have.
        profile: the dialect in force.
    """
    sizes = overflow(refusal.error)
    if sizes is None or sizes.of_account or not sizes.context_tokens:
        return None
    return size_lesson(sizes.context_tokens, sizes.prompt_tokens, estimate, profile)


def size_lesson(context: int, prompt: int | None, estimate: int, profile: Profile) -> Lesson | None:
    """Return what the sizes in a refusal teach of the model's context; None if nothing that is not known.

    Args:
        context: the tokens that fit.
        prompt: the tokens of the prompt that did not; None if the server did not say.
        estimate: the tokens that it was estimated to have.
        profile: the dialect in force.
    """
    changes: dict[str, JsonValue] = {"context_tokens": context}
    if prompt and prompt > context and estimate:
        changes["tokens_per_estimate"] = round(prompt / estimate, 2)
    known = profile.context_tokens == context
    if known and (profile.tokens_per_estimate is not None or len(changes) == 1):
        return None
    lesson = Lesson(changes=changes, words=f"{context:,} tokens fit into the context")
    return lesson if lesson.applied_to(profile) != profile else None


def room_left(refusal: Refusal, body: Mapping[str, Any]) -> int | None:
    """Return how many tokens an answer may have, where prompt and answer together were too long; None if unknown."""
    sent = next((body[name] for name in MAX_TOKENS if name in body), None)
    sizes = overflow(refusal.error)
    if sent is None or sizes is None:
        return None
    text = re.sub(r"(?<=\d),(?=\d{3})", "", refusal.text)
    context, prompt, asked = sizes.context_tokens, sizes.prompt_tokens, _REQUESTED.search(text)
    if (sum_of := _SUM.search(text)) is not None:
        prompt, context = int(sum_of[1]), int(sum_of[2])
    elif asked is not None and prompt in (None, int(asked[1])):
        prompt = int(asked[1]) - sent
    elif prompt is None and re.search(r"max_|completion|output", text):
        prompt = len(to_json(body.get("messages"))) // BYTES_PER_TOKEN
    if context is None or prompt is None:
        return None
    room = context - prompt
    return room if LEAST_ROOM <= room < sent else None
