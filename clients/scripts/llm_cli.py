"""The llm program, chat completions."""

import json
from pathlib import Path

from given import KEY, MODEL, QUESTION, URL, WEATHER, interrupted, program

COMMAND = ("llm", "openai", "endpoint", f"{URL}/v1", QUESTION, "-m", MODEL, "--key", KEY)
FUNCTIONS = f"""
def weather(city: str) -> str:
    "Tell the weather in a city."
    open("calls.txt", "a").write(city + "\\n")
    return {WEATHER!r}[city]
"""


def _said(*options):
    code, said, wrong = program(*COMMAND, *options)
    assert code == 0, wrong
    return said


def chat():
    return {"text": _said("--no-stream")}


def stream():
    import os
    import subprocess

    # Each write of the program is a piece.
    reading, writing = os.pipe()
    process = subprocess.Popen(COMMAND, stdout=writing, stdin=subprocess.DEVNULL)
    os.close(writing)
    pieces = []
    while piece := os.read(reading, 1 << 16):
        pieces.append(piece.decode())
    process.wait()
    return {"pieces": pieces}


def tools():
    text = _said("--functions", FUNCTIONS)
    return {"text": text, "calls": Path("calls.txt").read_text().split()}


def structured():
    return {"object": json.loads(_said("--schema", "name, country, population int"))}


def images():
    return {"text": _said("-a", "image.png")}


def errors():
    return {"error": program(*COMMAND)[2]}


def cancel():
    interrupted(*COMMAND)
