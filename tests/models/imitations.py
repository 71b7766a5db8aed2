"""Loopback imitations of the Anthropic Messages API and the Gemini API: what they take, refuse and answer.

https://platform.claude.com/docs/en/api/messages, .../build-with-claude/extended-thinking, .../api/errors
https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

Body = dict[str, Any]
KEY = "an-odd-key-0123456789"


@dataclass(frozen=True)
class Turn:
    """What the model says. A `signature` must come back with the results of `calls`."""

    text: str = ""
    thoughts: str = ""
    calls: Sequence[tuple[str, Body]] = ()
    finish: str | None = None
    signature: str = "c2lnbmVkLTAxMjM0NTY3ODk="


@dataclass(frozen=True)
class Failure:
    """A response with an error status."""

    status: int
    body: Body
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """A stream that breaks off after some events: the connection is closed, or stays silent until the client leaves."""

    turn: Turn
    after: int
    silent: bool = False


Reply = Turn | Failure | Cut
Script = Callable[[Body], Reply]


class Refused(Exception):
    """The request is not as the API's documentation says."""


class Imitation:
    """A server with one of the two APIs, which answers with what `script` returns for each request."""

    provider = ""
    model = ""
    path = re.compile("")
    key_header = ""
    usage: ClassVar[Body] = {}

    def __init__(self, script: Script | Reply) -> None:
        self.script: Script = script if callable(script) else lambda body: script
        self.bodies: list[Body] = []
        self.headers: list[Mapping[str, str]] = []
        self.left = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Handler,), {"imitation": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def check(self, body: Body) -> None:
        raise NotImplementedError

    def error(self, status: int, message: str) -> Body:
        raise NotImplementedError

    def whole(self, turn: Turn) -> Body:
        raise NotImplementedError

    def events(self, turn: Turn) -> Iterator[tuple[str, Body]]:
        raise NotImplementedError


class Anthropic(Imitation):
    provider = "anthropic"
    model = "claude-sonnet-5-5"
    path = re.compile(r"/v1/messages(\?|$)")
    key_header = "x-api-key"
    usage: ClassVar[Body] = {"input_tokens": 20, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 10}

    def check(self, body: Body) -> None:
        if not isinstance(body.get("max_tokens"), int):
            raise Refused("max_tokens: Field required")
        roles = [message["role"] for message in body["messages"]]
        if any(role not in ("user", "assistant") for role in roles) or roles[0] != "user":
            raise Refused("messages: Unexpected role")
        blocks = [_blocks(message) for message in body["messages"]]
        for here, message in enumerate(blocks):
            used = [block["id"] for block in message if block["type"] == "tool_use"]
            if not used:
                continue
            thought = [block for block in message if block["type"] == "thinking"]
            if body.get("thinking", {}).get("type") in ("enabled", "adaptive") and message[0] not in thought:
                raise Refused(f"messages.{here}.content.0.type: Expected `thinking`, but found `{message[0]['type']}`")
            if any(block.get("signature") != Turn.signature for block in thought):
                raise Refused(f"messages.{here}.content.0: Invalid `signature` in `thinking` block")
            answered = [block.get("tool_use_id") for block in blocks[here + 1] if block["type"] == "tool_result"]
            if answered != used:
                raise Refused("`tool_use` ids were found without `tool_result` blocks immediately after")
        if any(not block["text"] for message in blocks for block in message if block["type"] == "text"):
            raise Refused("messages: text content blocks must be non-empty")

    def error(self, status: int, message: str) -> Body:
        kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}

    def _content(self, turn: Turn) -> list[Body]:
        content: list[Body] = []
        if turn.thoughts:
            content.append({"type": "thinking", "thinking": turn.thoughts, "signature": turn.signature})
        if turn.text:
            content.append({"type": "text", "text": turn.text})
        for number, (name, arguments) in enumerate(turn.calls):
            content.append({"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments})
        return content

    def whole(self, turn: Turn) -> Body:
        finish = turn.finish or ("tool_use" if turn.calls else "end_turn")
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": self.model, "stop_sequence": None}
        usage = self.usage | {"output_tokens": 9}
        return head | {"content": self._content(turn), "stop_reason": finish, "usage": usage}

    def events(self, turn: Turn) -> Iterator[tuple[str, Body]]:
        whole = self.whole(turn)
        started = whole | {"content": [], "stop_reason": None, "usage": self.usage | {"output_tokens": 1}}
        yield "message_start", {"message": started}
        for index, block in enumerate(whole["content"]):
            empty, pieces = _in_pieces(block)
            yield "content_block_start", {"index": index, "content_block": empty}
            for piece in pieces:
                yield "content_block_delta", {"index": index, "delta": piece}
            yield "content_block_stop", {"index": index}
        ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield "message_delta", {"delta": ended, "usage": {"output_tokens": 9}}
        yield "message_stop", {}


def _blocks(message: Body) -> list[Body]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _in_pieces(block: Body) -> tuple[Body, list[Body]]:
    """A content block of Anthropic's as it starts, and what is added to it."""
    if block["type"] == "thinking":
        pieces = [{"type": "thinking_delta", "thinking": piece} for piece in _halves(block["thinking"])]
        return block | {"thinking": "", "signature": ""}, [
            *pieces,
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if block["type"] == "text":
        return block | {"text": ""}, [{"type": "text_delta", "text": piece} for piece in _halves(block["text"])]
    arguments = _halves(json.dumps(block["input"]))
    return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in arguments]


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    return text[:middle], text[middle:]


class Gemini(Imitation):
    provider = "google"
    model = "gemini-3.8-flash"
    path = re.compile(r"/v1beta/models/[\w.-]+:(stream)?[gG]enerateContent(\?|$)")
    key_header = "x-goog-api-key"

    def check(self, body: Body) -> None:
        for content in body["contents"]:
            if content["role"] not in ("user", "model"):
                raise Refused("Please use a valid role: user, model.")
            if not content.get("parts"):
                raise Refused("contents: parts must not be empty")
            called = [part for part in content["parts"] if "functionCall" in part]
            # Of calls made at once, only the first one is signed.
            if called and called[0].get("thoughtSignature") != Turn.signature:
                raise Refused("Function call is missing a thought_signature in functionCall parts.")

    def error(self, status: int, message: str) -> Body:
        kinds = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND"}
        return {"error": {"code": status, "message": message, "status": kinds.get(status, "INTERNAL")}}

    def _parts(self, turn: Turn) -> list[Body]:
        parts: list[Body] = [{"text": turn.thoughts, "thought": True}] if turn.thoughts else []
        parts += [{"text": piece} for piece in _halves(turn.text)] if turn.text else []
        for number, (name, arguments) in enumerate(turn.calls):
            signature = {} if number else {"thoughtSignature": turn.signature}
            parts.append({"functionCall": {"name": name, "args": arguments}, **signature})
        return parts

    def _chunk(self, parts: list[Body], finish: str | None) -> Body:
        candidate: Body = {"content": {"role": "model", "parts": parts}, "index": 0}
        usage = {"promptTokenCount": 100, "cachedContentTokenCount": 70}
        if finish is not None:
            candidate["finishReason"] = finish
            usage |= {"candidatesTokenCount": 5, "thoughtsTokenCount": 4, "totalTokenCount": 109}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": self.model, "responseId": "r1"}

    def whole(self, turn: Turn) -> Body:
        return self._chunk(self._parts(turn), turn.finish or "STOP")

    def events(self, turn: Turn) -> Iterator[tuple[str, Body]]:
        for part in self._parts(turn):
            yield "", self._chunk([part], None)
        yield "", self._chunk([{"text": ""}], turn.finish or "STOP")


class Handler(BaseHTTPRequestHandler):
    imitation: ClassVar[Imitation]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body: Body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.imitation.bodies.append(body)
        self.imitation.headers.append({name.lower(): value for name, value in self.headers.items()})
        if not self.imitation.path.match(self.path):
            return self._json(404, self.imitation.error(404, f"there is no {self.path}"))
        if KEY not in (self.headers["authorization"] or self.headers[self.imitation.key_header] or ""):
            return self._json(401, self.imitation.error(401, "invalid key"))
        try:
            self.imitation.check(body)
        except Refused as refused:
            return self._json(400, self.imitation.error(400, str(refused)))
        reply = self.imitation.script(body)
        if isinstance(reply, Failure):
            return self._json(reply.status, reply.body, reply.headers)
        turn, after = (reply.turn, reply.after) if isinstance(reply, Cut) else (reply, None)
        if not (body.get("stream") or "streamGenerateContent" in self.path):
            return self._json(200, self.imitation.whole(turn))
        try:
            self._stream(turn, after, silent=isinstance(reply, Cut) and reply.silent)
        except OSError:
            self.close_connection = True
            self.imitation.left.set()

    def _json(self, status: int, body: Body, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, turn: Turn, after: int | None, *, silent: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, (name, event) in enumerate(self.imitation.events(turn)):
            if number == after and silent:
                self.connection.recv(1)
                raise BrokenPipeError
            if number == after:
                break
            head = f"event: {name}\n" if name else ""
            data = json.dumps({"type": name, **event} if name else event)
            chunk = f"{head}data: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")
