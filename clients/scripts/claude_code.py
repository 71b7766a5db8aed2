"""The program claude, messages."""

import base64
import json
import subprocess

from given import IMAGE, KEY, MODEL, QUESTION, URL, files, interrupted, program

SETTINGS = {
    "ANTHROPIC_BASE_URL": URL,
    "ANTHROPIC_AUTH_TOKEN": KEY,
    "ANTHROPIC_MODEL": MODEL,
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": "contemplate-instant",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
COMMAND = ("claude", "--print", QUESTION)
LINES = ("--output-format", "stream-json", "--verbose")


def _result(*options):
    _, said, wrong = program(*COMMAND, "--output-format", "json", *options, **SETTINGS)
    print(said, wrong)
    return json.loads(said)


def chat():
    return {"text": _result()["result"]}


def stream():
    _, said, wrong = program(*COMMAND, *LINES, "--include-partial-messages", **SETTINGS)
    print(said, wrong)
    events = [each["event"] for each in map(json.loads, said.splitlines()) if each["type"] == "stream_event"]
    deltas = [each["delta"] for each in events if each["type"] == "content_block_delta"]
    return {"pieces": [each["text"] for each in deltas if each["type"] == "text_delta"]}


def edit():
    return {"text": _result("--allowedTools", "Bash")["result"], "files": files()}


def structured():
    properties = {"name": {"type": "string"}, "country": {"type": "string"}, "population": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {"object": _result("--json-schema", json.dumps(schema))["structured_output"]}


def images():
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(IMAGE).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": QUESTION}]
    line = json.dumps({"type": "user", "message": {"role": "user", "content": content}})
    import os

    done = subprocess.run(
        ["claude", "--print", "--input-format", "stream-json", *LINES],
        input=line + "\n",
        env=os.environ | SETTINGS,
        capture_output=True,
        text=True,
        timeout=90,
    )
    print(done.stdout, done.stderr)
    results = [each for each in map(json.loads, done.stdout.splitlines()) if each["type"] == "result"]
    return {"text": results[-1]["result"]}


def errors():
    return {"error": str(_result()["result"])}


def cancel():
    interrupted(*COMMAND, **SETTINGS)
