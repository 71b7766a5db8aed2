"""Refusals of a request, and the forms in which servers say them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a request is refused.

    Args:
        message: the server's words.
        status: the HTTP status.
        param: the field of the request that is at fault.
        code: the error's code.
        value: the value of that field, which some servers repeat.
    """

    message: str
    status: int = 400
    param: str | None = None
    code: str | None = None
    value: Any = None


class Rule(Protocol):
    """What a server does not take."""

    def problems(self, body: Body) -> Sequence[Rejection]:
        """Return what is wrong with a request; several where the server names several at once."""
        ...


# The body of an error response, for the refusals of one rule.
RefusalForm = Callable[[Sequence[Rejection]], Any]


def openai_form(refusals: Sequence[Rejection]) -> Any:
    """OpenAI's form, `{"error": {"message", "type", "param", "code"}}`, which names one fault."""
    first = refusals[0]
    error = {"message": first.message, "type": "invalid_request_error", "param": first.param, "code": first.code}
    return {"error": error}


def brief_form(refusals: Sequence[Rejection]) -> Any:
    """An error with a message and a type alone, as Groq and Moonshot send."""
    return {"error": {"message": refusals[0].message, "type": "invalid_request_error"}}


def numbered_form(refusals: Sequence[Rejection]) -> Any:
    """An error with its status as a number, as Perplexity and llama.cpp send."""
    first = refusals[0]
    return {"error": {"message": first.message, "type": first.code or "invalid_request_error", "code": first.status}}


def google_form(refusals: Sequence[Rejection]) -> Any:
    """Google's form in its compatible API: a list of one error, whose message has a line for each fault."""
    words = [each.message for each in refusals]
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"description": each} for each in words],
        }
    ]
    error = {"code": refusals[0].status, "message": "\n".join(words), "status": "INVALID_ARGUMENT", "details": details}
    return [{"error": error}]


def mistral_form(refusals: Sequence[Rejection]) -> Any:
    """Mistral's form: the faults of fields as pydantic's list of errors in `message`, all others as a text."""
    first = refusals[0]
    message: Any = {"detail": _pydantic_errors(refusals)} if first.status == 422 else first.message
    return {
        "object": "error",
        "message": message,
        "type": "invalid_request_error" if first.status == 422 else first.param or "invalid_request_error",
        "param": None,
        "code": first.code,
    }


def fastapi_form(refusals: Sequence[Rejection]) -> Any:
    """FastAPI's form of a request that does not validate."""
    return {"detail": _pydantic_errors(refusals)}


def vllm_form(refusals: Sequence[Rejection]) -> Any:
    """The form of vLLM and SGLang: the error's fields at the top, with the status as code."""
    first = refusals[0]
    return {
        "object": "error",
        "message": first.message,
        "type": "BadRequestError",
        "param": first.param,
        "code": first.status,
    }


def flat_form(refusals: Sequence[Rejection]) -> Any:
    """Cerebras' form: OpenAI's fields, at the top."""
    first = refusals[0]
    return {
        "message": first.message,
        "type": "invalid_request_error",
        "param": first.param or "validation_error",
        "code": first.code or "wrong_api_format",
    }


def text_form(refusals: Sequence[Rejection]) -> Any:
    """LM Studio's form: a text alone."""
    return {"error": refusals[0].message}


def xai_form(refusals: Sequence[Rejection]) -> Any:
    """The form of xAI: a code in words, and a text."""
    return {"code": "Client specified an invalid argument", "error": refusals[0].message}


def nvidia_form(refusals: Sequence[Rejection]) -> Any:
    """NVIDIA's form: fields at the top, the status' phrase as type."""
    return {"message": refusals[0].message, "type": "Bad Request", "code": refusals[0].status}


def fireworks_form(refusals: Sequence[Rejection]) -> Any:
    """Fireworks' form."""
    code = "invalid_request_error"
    return {"error": {"object": "error", "type": code, "code": code, "message": refusals[0].message}}


def dashscope_form(refusals: Sequence[Rejection]) -> Any:
    """The form of DashScope: the inner service's status and error stand before the words."""
    first = refusals[0]
    error = {
        "message": f"<{first.status}> InternalError.Algo.InvalidParameter: {first.message}",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_parameter_error",
    }
    return {"error": error, "request_id": "00000000-0000-0000-0000-000000000000"}


def openrouter_form(refusals: Sequence[Rejection]) -> Any:
    """OpenRouter's form: what the provider behind it said stands in `metadata.raw`, as a text."""
    first = refusals[0]
    if first.code == "router":
        return {"error": {"message": first.message, "code": first.status}}
    raw = json.dumps({"error": {"code": first.status, "message": first.message, "status": "INVALID_ARGUMENT"}})
    metadata = {"raw": raw, "provider_name": "Google"}
    return {"error": {"message": "Provider returned error", "code": first.status, "metadata": metadata}}


def litellm_form(refusals: Sequence[Rejection]) -> Any:
    """The form of LiteLLM's proxy, which writes the status as a text, and says what it did not do about the error."""
    first = refusals[0]
    did = "LiteLLM: model group 'model' failed with the error above. No fallback was attempted."
    error = {"message": f"{first.message}\n\n{did}", "type": "invalid_request_error", "param": None}
    return {"error": {**error, "code": str(first.status)}}


def _pydantic_errors(refusals: Sequence[Rejection]) -> list[dict[str, Any]]:
    return [
        {"type": "extra_forbidden", "loc": ["body", each.param], "msg": each.message, "input": each.value}
        for each in refusals
    ]
