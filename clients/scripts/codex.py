"""The program codex exec, responses."""

import json
import os
from pathlib import Path

from given import KEY, MODEL, QUESTION, URL, files, interrupted, program

SETTINGS = f"""
model = "{MODEL}"
model_provider = "contemplate"

[model_providers.contemplate]
name = "contemplate"
base_url = "{URL}/v1"
wire_api = "responses"
env_key = "CONTEMPLATE_API_KEY"
"""
HOME = Path(os.environ["HOME"])
SECRET = {"CONTEMPLATE_API_KEY": KEY}
COMMAND = ("codex", "exec", "--skip-git-repo-check", "--output-last-message", "last.txt")


def _command(*options):
    (HOME / ".codex").mkdir(exist_ok=True)
    (HOME / ".codex" / "config.toml").write_text(SETTINGS)
    return (*COMMAND, *options, "--", QUESTION)


def _said(*options):
    code, said, wrong = program(*_command(*options), **SECRET)
    print(said, wrong)
    assert code == 0, wrong[-1000:]
    return Path("last.txt").read_text()


def chat():
    return {"text": _said()}


def edit():
    return {"text": _said("--dangerously-bypass-approvals-and-sandbox"), "files": files()}


def structured():
    properties = {"name": {"type": "string"}, "country": {"type": "string"}, "population": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    Path("city.json").write_text(json.dumps(schema))
    return {"object": json.loads(_said("--output-schema", "city.json"))}


def images():
    return {"text": _said("--image", "image.png")}


def errors():
    _, said, wrong = program(*_command(), **SECRET)
    return {"error": said + wrong}


def cancel():
    interrupted(*_command(), **SECRET)
