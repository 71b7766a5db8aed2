"""Servers that refuse what they do not take, in the words of servers that exist."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contemplate.testing.faulty import ChatAnswer, Exchange, Reply
from contemplate.testing.faulty.http import HttpConnection

Wording = Callable[[str, Any], tuple[int, Any]]


def _openai(field: str, value: Any) -> tuple[int, Any]:
    message = f"Unsupported parameter: '{field}' is not supported with this model."
    error = {"message": message, "type": "invalid_request_error", "param": field, "code": "unsupported_parameter"}
    return 400, {"error": error}


def _openai_unknown(field: str, value: Any) -> tuple[int, Any]:
    return 400, {
        "error": {"message": f"Unrecognized request argument supplied: {field}", "type": "invalid_request_error"}
    }


def _fastapi(field: str, value: Any) -> tuple[int, Any]:
    return 422, {"detail": [{"loc": ["body", field], "msg": "extra fields not permitted", "type": "value_error.extra"}]}


def _pydantic(field: str, value: Any) -> tuple[int, Any]:
    error = {"type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted", "input": value}
    return 422, {"object": "error", "message": {"detail": [error]}, "type": "invalid_request_error", "code": None}


def _mistral_text(field: str, value: Any) -> tuple[int, Any]:
    status, inner = _pydantic(field, value)
    return status, {"object": "error", "message": json.dumps(inner["message"]), "code": "1000"}


def _vllm(field: str, value: Any) -> tuple[int, Any]:
    error = {"type": "extra_forbidden", "loc": ("body", field), "msg": "Extra inputs are not permitted", "input": value}
    return 400, {"object": "error", "message": str([error]), "type": "BadRequestError", "param": None, "code": 400}


def _nim(field: str, value: Any) -> tuple[int, Any]:
    detail = f"body -> {field}\n  Extra inputs are not permitted (type=extra_forbidden)"
    return 422, {"type": "urn:problem-details:unprocessable-entity", "title": "Unprocessable Entity", "detail": detail}


def _gemini(field: str, value: Any) -> tuple[int, Any]:
    message = f'Invalid JSON payload received. Unknown name "{field}": Cannot find field.'
    violation = {"description": message}
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    return 400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": details}}]


def _groq(field: str, value: Any) -> tuple[int, Any]:
    return 400, {"error": {"message": f"property '{field}' is unsupported", "type": "invalid_request_error"}}


def _fireworks(field: str, value: Any) -> tuple[int, Any]:
    message = f"Extra inputs are not permitted, field: '{field}', value: {value!r}"
    return 400, {"error": {"object": "error", "type": "invalid_request_error", "message": message}}


def _litellm(field: str, value: Any) -> tuple[int, Any]:
    message = (
        f"litellm.UnsupportedParamsError: deepseek does not support parameters: ['{field}'], for model=deepseek-chat. "
        "To drop these, set `litellm.drop_params=True`. Received Model Group=m\nAvailable Model Group Fallbacks=None"
    )
    return 400, {"error": {"message": message, "type": "None", "param": None, "code": "400"}}


def _openrouter(field: str, value: Any) -> tuple[int, Any]:
    raw = json.dumps(_openai(field, value)[1])
    return 400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}}


def _within_200(field: str, value: Any) -> tuple[int, Any]:
    return 200, {"error": {"message": f"`{field}` is not supported by this model", "code": 400}}


def _plain_text(field: str, value: Any) -> tuple[int, Any]:
    return 400, f"unknown field `{field}`"


def _rust(field: str, value: Any) -> tuple[int, Any]:
    text = f"Failed to deserialize the JSON body into the target type: unknown field `{field}`, expected one of `model`"
    return 422, text + ", `messages` at line 1 column 20"


def _not_implemented(field: str, value: Any) -> tuple[int, Any]:
    return 501, {"error": f"{field} is not implemented"}


def _unexpected(field: str, value: Any) -> tuple[int, Any]:
    return 400, {"error": f"create() got an unexpected keyword argument '{field}'"}


def _zod(field: str, value: Any) -> tuple[int, Any]:
    return 422, {"errors": [{"path": [field], "message": "Unrecognized key"}]}


def _bedrock(field: str, value: Any) -> tuple[int, Any]:
    return 400, {
        "message": f"ValidationException: extraneous key [{field}] is not permitted, please reformat your input"
    }


def _anthropic(field: str, value: Any) -> tuple[int, Any]:
    error = {"type": "invalid_request_error", "message": f"{field}: Extra inputs are not permitted"}
    return 400, {"type": "error", "error": error}


def _in_a_sentence(field: str, value: Any) -> tuple[int, Any]:
    return 422, {"message": f"This model does not support the {field} field."}


def _please(field: str, value: Any) -> tuple[int, Any]:
    return 400, {"error": {"message": f"Bad request: please remove {field} from your request"}}


WORDINGS: Mapping[str, Wording] = {
    function.__name__[1:]: function
    for function in (
        _openai,
        _openai_unknown,
        _fastapi,
        _pydantic,
        _mistral_text,
        _vllm,
        _nim,
        _gemini,
        _groq,
        _fireworks,
        _litellm,
        _openrouter,
        _within_200,
        _plain_text,
        _rust,
        _not_implemented,
        *(_zod, _bedrock, _anthropic, _in_a_sentence, _please),
        _unexpected,
    )
}


@dataclass(frozen=True)
class Said:
    """A reply with a status and a body, JSON or text."""

    status: int
    data: Any

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        if isinstance(self.data, str):
            kind = {"content-type": "text/plain"}
            await connection.whole(self.data.encode(), self.status, kind)
        else:
            await connection.json(self.data, self.status)


def refusing(
    fields: Mapping[str, str], answer: Callable[[Exchange], Reply | str] | Reply | str = "ok"
) -> Callable[[Exchange], Reply | str]:
    """A script that refuses each of `fields` in the wording of that name, one a request, and answers the others."""

    def script(exchange: Exchange) -> Reply | str:
        for field, wording in fields.items():
            if field in exchange.body:
                exchange.fault = field
                return Said(*WORDINGS[wording](field, exchange.body[field]))
        return answer(exchange) if callable(answer) else answer

    return script


OK = ChatAnswer("ok")
