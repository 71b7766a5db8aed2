"""Thoughts that a model writes into its answer, in tags at the beginning, split off while they arrive.

Servers without a parser for a model's reasoning leave it in the text. The chat templates of some models, such as
DeepSeek-R1's and Qwen3-Thinking's, write the opening tag themselves, so that the text has only the closing one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ..base import Delta

# Opening tags, and what closes each; without anything the mark only precedes the answer.
# gpt-oss: https://cookbook.openai.com/articles/openai-harmony; [THINK]: Mistral's Magistral; <seed:think>: Seed-OSS;
# START_THINKING: Cohere's Command A Reasoning; the triangles: Kimi; <|channel> and <unused94>: Gemma and MedGemma;
# begin_of_thought: Sky-T1 and OpenThinker.
_NAMES = ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think", "longcat_think", "mm:think")
# The end of a channel's message, which may be missing before the next one.
_ENDS, _NEXT = ("<|end|>", "<|return|>"), ("<|start|>", "<|channel|>")
# What may end the answer after a mark that precedes it.
_LAST = (*_ENDS, "<|end_of_solution|>", "<|end_response|>")
_CHANNELS = {"analysis": (*_ENDS, *_NEXT), "commentary": (*_ENDS, *_NEXT), "final": (), "final <|constrain|>json": ()}
_TAGS: dict[str, tuple[str, ...]] = {
    **{f"<{name}>": (f"</{name}>",) for name in _NAMES},
    **{
        f"{start}<|channel|>{name}<|message|>": closings
        for name, closings in _CHANNELS.items()
        for start in ("", "<|start|>assistant")
    },
    "[think]": ("[/think]",),
    "<|start_thinking|>": ("<|end_thinking|>",),
    "\u25c1think\u25b7": ("\u25c1/think\u25b7",),
    "<|channel>thought\n": ("<channel|>",),
    "<unused94>thought\n": ("<unused95>",),
    "<|begin_of_thought|>": ("<|end_of_thought|>",),
    "<|begin_of_solution|>": (),
    "<|start_response|>": (),
}
# What may close a thought whose opening tag stands in the prompt.
_ORPHANS = ("</think>", "</thinking>", "</thought>", "</reasoning>", "[/think]")
# What is left of the channels where the special tokens are not shown: "analysisHm.assistantfinalParis". The call of a
# tool goes on in the text.
_BARE, _BARE_FINAL, _BARE_CALL = "analysis", "assistantfinal", "assistantcommentary to="
_SPEAKER = len("assistant")
_MOST_MENTIONS = 20
_LONGEST = max(map(len, _TAGS))
_FIRST = frozenset(tag[0] for tag in _TAGS)


def _any_of(tags: Collection[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, tags)), re.IGNORECASE | re.ASCII)


_OPENING, _ORPHAN = _any_of(_TAGS), _any_of(_ORPHANS)
_CLOSING = {opening: _any_of(closings) for opening, closings in _TAGS.items() if closings}
_BARE_BEGINNING = re.compile(rf"{_BARE}[^\W\d_]")
_ORPHAN_OR_BARE = re.compile(f"{_ORPHAN.pattern}|(?-i:{_BARE_FINAL}|{_BARE_CALL})", re.IGNORECASE | re.ASCII)
_END = re.compile(rf"(?:{'|'.join(map(re.escape, _LAST))})\s*\Z", re.IGNORECASE)
_QUOTES = frozenset("`'\"\u2018\u2019\u201c\u201d")
_MID_SENTENCE = re.compile(r"[\w,;:] \Z")


class Thoughts:
    """Splits the text of one answer, in pieces of any size, into reasoning and text.

    An opening tag counts only at the beginning; a closing tag without one counts where it is not merely mentioned: in
    quotes, in a block of code, or within a sentence. The same holds for what is left of gpt-oss's channels where their
    marks were dropped. Nothing is held back but what may be a part of a tag.

    Attributes:
        unclosed: whether the text ended within a thought, so that there is no answer.
    """

    def __init__(self) -> None:
        self.unclosed = False
        self._within: str | None = None
        self._at_beginning = True
        self._found = False
        self._is_final = self._is_bare = False
        # Whether nothing but a tag can end the text that is read.
        self._is_text = False
        self._mentions = 0
        self._held = ""
        self._written: list[str] = []

    def add(self, text: str) -> Iterator[Delta]:
        """Yield what `text` adds. A delta with `restart` says that all text before it was a thought."""
        if self._is_text and not self._held and "<" not in text and "[" not in text:
            self._written.append(text)
            return iter((Delta(text),))
        return self._read(self._held + text, last=False)

    def end(self) -> Iterator[Delta]:
        """Yield what was held back, at the end of the answer."""
        yield from self._read(self._held, last=True)
        self.unclosed = self._within is not None

    def _read(self, text: str, *, last: bool) -> Iterator[Delta]:
        self._held = ""
        while text:
            if self._within is not None:
                said, text = self._thought(text, last=last)
                if said:
                    yield Delta(reasoning=said)
            elif self._at_beginning:
                text = self._beginning(text, last=last)
            else:
                said, text, is_thought = self._answer(text, last=last)
                if is_thought:
                    yield from self._taken_back(said)
                elif said:
                    self._written.append(said)
                    yield Delta(said)

    def _thought(self, text: str, *, last: bool) -> tuple[str, str]:
        """Return the rest of a thought, and what follows it."""
        opening = str(self._within)
        closing = _CLOSING[opening].search(text)
        if closing is None:
            return self._held_back(text, 0 if last else _partial(text, _TAGS[opening])), ""
        self._within = None
        # The mark of the next channel is yet to be read.
        following = closing.start() if closing[0].lower() in _NEXT else closing.end()
        return text[: closing.start()], text[following:]

    def _beginning(self, text: str, *, last: bool) -> str:
        """Look for an opening tag, and return what follows it."""
        begun = text.lstrip()
        if not self._found and begun and (_BARE.startswith(begun[: len(_BARE)])):
            if len(begun) <= len(_BARE) and not last:
                return self._held_back(text, len(text))
            self._is_bare = _BARE_BEGINNING.match(begun) is not None
        if begun and begun[0].lower() not in _FIRST:
            self._at_beginning = False
            return begun if self._found else text
        opening = _OPENING.match(begun)
        if opening is not None:
            self._found = True
            tag = opening[0].lower()
            self._within = tag if _TAGS[tag] else None
            self._is_final = not _TAGS[tag]
            self._at_beginning = self._within is not None
            return begun[opening.end() :]
        if not last and len(begun) < _LONGEST and any(tag.startswith(begun.lower()) for tag in _TAGS):
            return self._held_back(text, len(text))
        self._at_beginning = False
        return begun if self._found else text

    def _answer(self, text: str, *, last: bool) -> tuple[str, str, bool]:
        """Return text of the answer, what follows, and whether all text until there was a thought."""
        if self._is_final:
            return self._without_end(text, last=last), "", False
        plain = not self._is_bare and "<" not in text and "[" not in text
        if self._found or self._mentions > _MOST_MENTIONS or plain:
            self._is_text = True
            return text, "", False
        for closing in (_ORPHAN_OR_BARE if self._is_bare else _ORPHAN).finditer(text):
            if closing.end() == len(text) and not last:
                # What follows decides whether it is only mentioned.
                return self._held_back(text, len(text) - closing.start()), "", False
            if not self._is_mentioned(text, closing):
                self._found = self._at_beginning = True
                self._is_text = False
                self._is_bare = closing[0] in (_BARE_FINAL, _BARE_CALL)
                following = closing.start() + _SPEAKER if closing[0] == _BARE_CALL else closing.end()
                return text[: closing.start()], text[following:], True
            self._mentions += 1
            return text[: closing.end()], text[closing.end() :], False
        tags = (*_ORPHANS, _BARE_FINAL, _BARE_CALL) if self._is_bare else _ORPHANS
        return self._held_back(text, 0 if last else _partial(text, tags)), "", False

    def _without_end(self, text: str, *, last: bool) -> str:
        """Return text of the last channel without the mark of its end."""
        end = _END.search(text)
        if end is None:
            return self._held_back(text, 0 if last else _partial(text, _LAST))
        return text[: end.start()] if last else self._held_back(text, len(text) - end.start())

    def _is_mentioned(self, text: str, tag: re.Match[str]) -> bool:
        before, following = "".join((*self._written, text[: tag.start()])), text[tag.end() : tag.end() + 1]
        if before[-1:] in _QUOTES or following in _QUOTES or following in tuple(".,;:!?)"):
            return True
        if following == " " and _MID_SENTENCE.search(before):
            return True
        return before.count("```") % 2 == 1 or _OPENING.search(before) is not None

    def _taken_back(self, said: str) -> Iterator[Delta]:
        """Yield what makes reasoning of all text so far."""
        if self._written:
            yield Delta(restart=True)
        thought = "".join((*self._written, said))
        if self._is_bare:
            thought = thought.lstrip().removeprefix(_BARE)
        self._written.clear()
        if thought:
            yield Delta(reasoning=thought)

    def _held_back(self, text: str, length: int) -> str:
        """Hold back so many characters at the end of `text`, and return the rest."""
        rest = len(text) - length
        self._held = text[rest:]
        return text[:rest]


def _partial(text: str, tags: Collection[str]) -> int:
    """Return the length of the longest end of `text` that is the beginning of one of `tags`, but no whole one."""
    first, tail = {tag[0] for tag in tags}, text[-_LONGEST:].lower()
    for place, letter in enumerate(tail):
        if letter in first and any(tag.startswith(tail[place:]) and len(tag) > len(tail) - place for tag in tags):
            return len(tail) - place
    return 0
