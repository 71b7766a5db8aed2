"""A model of random weights for llama.cpp, of 100 kB: it knows nothing, but is read, cached and cut off like any other.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path

WIDTH, INNER, HEADS = 32, 64, 2
ALIGNMENT = 32
# Each message is its role and its text, byte by byte.
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
# The printable bytes stand for themselves in the vocabulary, and the others for characters from 256 on, as in GPT-2.
_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTES = [*map(chr, _PRINTABLE), *(chr(256 + each) for each in range(256 - len(_PRINTABLE)))]
END = "<end>"
UINT32, FLOAT32, STRING, ARRAY, INT32 = 4, 6, 8, 9, 5

Fact = str | int | float | Sequence[str] | Sequence[int]


def write_tiny_model(path: Path) -> Path:
    """Write the model to `path`, and return it."""
    vocabulary = [*BYTES, END]
    # Only printable ASCII is ever said, and never the end.
    said = len(range(0x21, 0x7F))
    chance = random.Random(0)
    tensors = {
        name: (shape, array("f", (chance.gauss(0, 0.3) for _ in range(prod(shape)))))
        for name, shape in _shapes(len(vocabulary)).items()
    }
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        tensors[name] = (WIDTH,), array("f", [1.0] * WIDTH)
    embedded, spoken = tensors["token_embd"][1], tensors["output"][1]
    for token in range(len(vocabulary)):
        # One dimension is the same for all of them, so that it can tell what is never said.
        embedded[token * WIDTH] = 10.0
        spoken[token * WIDTH] = 0.0 if token < said else -100.0
    facts: dict[str, Fact] = {
        "general.architecture": "llama",
        "llama.context_length": 32_768,
        "llama.embedding_length": WIDTH,
        "llama.block_count": 1,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": vocabulary,
        "tokenizer.ggml.token_type": [*(1 for _ in BYTES), 3],
        "tokenizer.ggml.merges": ["Ġ Ġ"],
        "tokenizer.ggml.eos_token_id": len(BYTES),
        "tokenizer.chat_template": TEMPLATE,
    }
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(facts))
    head += b"".join(_text(name) + _fact(value) for name, value in facts.items())
    data = b""
    for name, (shape, values) in tensors.items():
        head += _text(f"{name}.weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += _aligned(values.tobytes())
    path.write_bytes(_aligned(head) + data)
    return path


def _shapes(tokens: int) -> dict[str, tuple[int, ...]]:
    square = (WIDTH, WIDTH)
    attention = {f"blk.0.attn_{each}": square for each in ("q", "k", "v", "output")}
    inner = {"blk.0.ffn_gate": (WIDTH, INNER), "blk.0.ffn_up": (WIDTH, INNER), "blk.0.ffn_down": (INNER, WIDTH)}
    return {"token_embd": (WIDTH, tokens), "output": (WIDTH, tokens), **attention, **inner}


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _fact(value: Fact) -> bytes:
    match value:
        case str():
            return struct.pack("<I", STRING) + _text(value)
        case int():
            return struct.pack("<II", UINT32, value)
        case float():
            return struct.pack("<If", FLOAT32, value)
    return struct.pack("<I", ARRAY) + _list(value)


def _list(values: Iterable[str | int]) -> bytes:
    values = list(values)
    if isinstance(values[0], str):
        return struct.pack("<IQ", STRING, len(values)) + b"".join(_text(str(each)) for each in values)
    return struct.pack(f"<IQ{len(values)}i", INT32, len(values), *values)


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
