"""The program opencode, chat completions."""

import json
import subprocess
from pathlib import Path

from given import KEY, MODEL, QUESTION, URL, files, interrupted, program

SETTINGS = {
    "$schema": "https://opencode.ai/config.json",
    "model": f"contemplate/{MODEL}",
    "small_model": "contemplate/contemplate-instant",
    "autoupdate": False,
    "share": "disabled",
    "enabled_providers": ["contemplate"],
    "provider": {
        "contemplate": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "contemplate",
            "options": {"baseURL": f"{URL}/v1", "apiKey": KEY},
            "models": {
                MODEL: {
                    "name": MODEL,
                    "attachment": True,
                    "modalities": {"input": ["text", "image"], "output": ["text"]},
                },
                "contemplate-instant": {"name": "contemplate-instant"},
            },
        }
    },
}
OFFLINE = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}


def _command(*options):
    Path("opencode.json").write_text(json.dumps(SETTINGS))
    return ("opencode", "run", QUESTION, *options)


def _texts(*options):
    code, said, wrong = program(*_command("--format", "json", *options), **OFFLINE)
    print(said, wrong)
    assert code == 0, wrong[-1000:]
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return "".join(each["part"]["text"] for each in events if each["type"] == "text")


def chat():
    return {"text": _texts()}


def edit():
    return {"text": _texts("--auto"), "files": files()}


def images():
    return {"text": _texts("--file", "image.png")}


def errors():
    try:
        _, said, wrong = program(*_command("--format", "json"), seconds=60, **OFFLINE)
    except subprocess.TimeoutExpired:
        return {"error": "it asks again and again, and says nothing"}
    return {"error": said + wrong}


def cancel():
    interrupted(*_command(), **OFFLINE)
