"""Probes of plain answers, and of the settings that change them."""

from __future__ import annotations

import struct
import zlib

from ...messages import ImagePart, Message
from ...prompts import render
from ...settings import ModelSettings
from ..base import Delta, ModelRequest
from ..tokens import request_tokens
from .bench import Bench, Outcome

WORD = "PINEAPPLE"
SHOWN = 40
# Between what is counted and what can be: tokenizers differ, and chat templates add to a prompt.
PLAUSIBLE = 12
IMAGE_SIZE = 32


async def answer(bench: Bench) -> Outcome:
    """Ask for one word."""
    bench.plain = await bench.ask(render("probes/word"))
    text = bench.plain.message.text.strip()
    return Outcome("ok", repr(text[:SHOWN])) if text else Outcome("no", "the answer is empty")


async def usage(bench: Bench) -> Outcome:
    """See whether what that took was reported, and is possible; without a call."""
    if bench.plain is None:
        return Outcome("no", "there was no answer")
    told, notes = bench.plain.usage, [note for note in bench.plain.notes if "usage" in note or "token" in note]
    seen = f"{told.input_tokens} in, {told.output_tokens} out, {told.reasoning_tokens} of them reasoning"
    if notes:
        return Outcome("no", notes[0])
    expected = request_tokens(ModelRequest((Message.user(render("probes/word")),)))
    possible = expected / PLAUSIBLE <= told.input_tokens <= expected * PLAUSIBLE + bench.plain.usage.cached_input_tokens
    return Outcome("ok" if possible else "no", seen)


async def reasoning(bench: Bench) -> Outcome:
    """See whether that answer came with thoughts, or a number of tokens for them; without a call."""
    plain = bench.plain
    if plain is None or not (plain.reasoning or plain.usage.reasoning_tokens):
        return Outcome("no", "no thoughts were seen")
    return Outcome("ok", repr(plain.reasoning.strip()[:SHOWN]) if plain.reasoning else "counted, but not shown")


async def streaming(bench: Bench) -> Outcome:
    """Ask for a stream, and compare its pieces with the whole."""
    pieces: list[Delta] = []
    response = await bench.ask(render("probes/count", most="12"), pieces.append)
    if "".join(each.text for each in pieces) != response.message.text:
        return Outcome("no", "the pieces are not the answer")
    return Outcome("ok" if len(pieces) > 1 else "no", f"{len(pieces)} pieces")


async def max_tokens(bench: Bench) -> Outcome:
    """Ask for more than may be written."""
    response = await bench.ask(_counting("100", ModelSettings(max_tokens=16)))
    if response.finish == "length":
        return Outcome("ok", f"cut off after {response.usage.output_tokens} tokens")
    return Outcome("no", f"{response.usage.output_tokens} tokens were written, and the finish is {response.finish!r}")


async def system_role(bench: Bench) -> Outcome:
    """Give an instruction in a system message."""
    messages = Message.system(render("probes/system", word=WORD)), Message.user(render("probes/greeting"))
    text = (await bench.ask(ModelRequest(messages))).message.text
    return Outcome("ok" if WORD in text.upper() else "no", repr(text.strip()[:SHOWN]))


async def sampling(bench: Bench) -> Outcome:
    """Ask with a temperature and `top_p`."""
    await bench.ask(_counting("3", ModelSettings(temperature=0.5, top_p=0.9)))
    return Outcome("ok", "temperature and top_p are taken")


async def seed(bench: Bench) -> Outcome:
    """Ask with a seed, twice."""
    request = ModelRequest((Message.user(render("probes/greeting")),), ModelSettings(seed=7))
    one, other = await bench.ask(request), await bench.ask(request)
    same = one.message.text == other.message.text
    return Outcome("ok", "the same answer twice" if same else "taken, and the answers differ")


async def stop(bench: Bench) -> Outcome:
    """Ask to stop at a text."""
    text = (await bench.ask(_counting("9", ModelSettings(stop=("5",))))).message.text
    return Outcome("no", "it went on") if "5" in text else Outcome("ok", repr(text.strip()[:SHOWN]))


async def reasoning_effort(bench: Bench) -> Outcome:
    """Ask for little reasoning."""
    await bench.ask(_counting("3", ModelSettings(reasoning_effort="low")))
    return Outcome("ok", "low is taken")


async def logprobs(bench: Bench) -> Outcome:
    """Ask for log-probabilities."""
    found = (await bench.ask(_counting("3", ModelSettings(logprobs=2)))).logprobs
    return Outcome("no", "none came") if not found else Outcome("ok", f"{len(found)} tokens")


async def images(bench: Bench) -> Outcome:
    """Show a red square, and ask for its colour."""
    image = ImagePart(data=red_square(IMAGE_SIZE), media_type="image/png")
    text = (await bench.ask(ModelRequest((Message.user(render("probes/image"), (image,)),)))).message.text
    return Outcome("ok" if "red" in text.lower() else "no", repr(text.strip()[:SHOWN]))


def red_square(size: int) -> bytes:
    """Return a PNG (RFC 2083) of a red square."""
    lines = b"".join(b"\0" + b"\xff\0\0" * size for _ in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _counting(most: str, settings: ModelSettings) -> ModelRequest:
    return ModelRequest((Message.user(render("probes/count", most=most)),), settings)
