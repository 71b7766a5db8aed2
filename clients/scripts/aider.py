"""The program aider, chat completions."""

from given import KEY, MODEL, QUESTION, URL, files, interrupted, program

COMMAND = (
    "aider",
    "--model",
    f"openai/{MODEL}",
    "--openai-api-base",
    f"{URL}/v1",
    "--openai-api-key",
    KEY,
    "--no-show-model-warnings",
    "--no-check-update",
    "--analytics-disable",
    "--no-git",
    "--no-pretty",
    "--yes-always",
    "--message",
    QUESTION,
)


def _said(*options):
    # After a server's error it asks again for more than two minutes.
    code, said, wrong = program(*COMMAND, *options, seconds=220)
    print(said, wrong)
    assert code == 0, wrong[-1000:]
    return said + wrong


def chat():
    return {"text": _said("--no-stream")}


def edit():
    return {"text": _said(), "files": files()}


def errors():
    return {"error": _said()}


def cancel():
    interrupted(*COMMAND)
