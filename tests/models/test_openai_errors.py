"""What servers say when they fail, in their own words, and what becomes of it. Each wording was said by a server."""

# ruff: noqa: E501 -- what servers say, as they say it

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from contemplate.errors import (
    ModelAuthError,
    ModelContextError,
    ModelError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelRequestError,
    ModelServerError,
)
from contemplate.messages import Message
from contemplate.models import Limit, ModelRequest, OpenAIModel, Retry
from contemplate.models.openai.completion import BadCompletion, ReportedError
from contemplate.models.openai.endpoint import Endpoint
from contemplate.models.openai.error_body import error_body, is_error
from contemplate.models.openai.errors import model_error
from contemplate.models.openai.response import ResponseCollector, whole_response
from contemplate.models.openai.sse import EventStream
from contemplate.models.openai.transport import BadStatus
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import RawBody

ASKED = ModelRequest((Message.user("hello"),))
ACCOUNT = Endpoint("http://localhost:8000/v1", "sk-secret-0123456789")


def refused(status: int, body: Any, **headers: str) -> ModelError:
    """The error for a response with an error's status."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return model_error(BadStatus(status, headers, raw), "m", ACCOUNT)


def reported(body: Any, *, stream: bool) -> ModelError:
    """The error for a response with a good status."""
    raw = json.dumps(body).encode()
    with pytest.raises(BadCompletion) as caught:
        if stream:
            collector = ResponseCollector(ASKED, model="m")
            for data in EventStream().feed(b"data: " + raw + b"\n\n"):
                list(collector.add(data))
            collector.response()
        else:
            whole_response(raw, ASKED, model="m")
    return model_error(caught.value, "m", ACCOUNT)


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


# Status, body, tokens that fit, tokens of the prompt.
OVERFLOWS: dict[str, tuple[int, Any, int | None, int | None]] = {
    # https://github.com/smol-ai/developer/issues/7
    "openai": (
        400,
        openai(
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 7575 tokens. "
            "Please reduce the length of the messages.",
            "context_length_exceeded",
        ),
        4097,
        7575,
    ),
    # https://github.com/FoundationAgents/OpenManus/issues/62
    "deepseek": (
        400,
        openai(
            "This model's maximum context length is 65536 tokens. However, you requested 72814 tokens (68718 in the "
            "messages, 4096 in the completion). Please reduce the length of the messages or completion.",
            "invalid_request_error",
        ),
        65536,
        68718,
    ),
    # https://github.com/PrimeIntellect-ai/verifiers/issues/398
    "vllm": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 8192 tokens. However, your request has 8195 input "
            "tokens. Please reduce the length of the input messages. None",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        8192,
        8195,
    ),
    # https://github.com/vllm-project/vllm/pull/33425
    "vllm, max_tokens": (
        400,
        openai(
            "This model's maximum context length is 2048 tokens. However, your request has 8 input tokens plus 2045 "
            "'max_tokens'. Please reduce one or the other. (parameter=input_tokens, max_tokens, value=(8, 2045))"
        ),
        2048,
        8,
    ),
    "vllm, max_tokens too large": (
        400,
        openai(
            "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 "
            "tokens and your request has 200 input tokens (5000 > 4096 - 200). None"
        ),
        4096,
        200,
    ),
    # https://github.com/anthropics/claude-code/issues/11281
    "anthropic": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 201130 tokens > 200000 maximum",
            },
            "request_id": "req_011CUxvgPsLcjkyzm6NHj17F",
        },
        200000,
        201130,
    ),
    "anthropic, max_tokens": (
        400,
        openai(
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
            "`max_tokens` and try again"
        ),
        200000,
        188240,
    ),
    # https://github.com/google-gemini/gemini-cli/issues/6678
    "gemini": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        1048576,
        1200293,
    ),
    # https://github.com/google-gemini/gemini-cli/issues/4231
    "gemini, JSON in the message": (
        400,
        {
            "error": {
                "message": '{\n  "error": {\n    "code": 400,\n    "message": "The input token count (3475108) exceeds '
                'the maximum number of tokens allowed (1048576).",\n    "status": "INVALID_ARGUMENT"\n  }\n}\n',
                "code": 400,
                "status": "Bad Request",
            }
        },
        1048576,
        3475108,
    ),
    # https://github.com/ggml-org/llama.cpp/pull/15780
    "llama.cpp": (
        500,
        {
            "error": {
                "code": 500,
                "message": "the request exceeds the available context size. try increasing the context size or enable "
                "context shift",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 1407,
                "n_ctx": 256,
            }
        },
        256,
        1407,
    ),
    "llama.cpp, later": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (8195 tokens) exceeds the available context size (4096 tokens), try increasing it",
                "type": "exceed_context_size_error",
            }
        },
        4096,
        8195,
    ),
    # https://github.com/abetlen/llama-cpp-python/issues/462
    "llama-cpp-python": (500, openai("Requested tokens (85) exceed context window of 2048"), 2048, 85),
    "mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length",
            "type": "invalid_request_message_order",
            "code": "3051",
        },
        32768,
        65673,
    ),
    "groq": (
        400,
        openai("Please reduce the length of the messages or completion.", "context_length_exceeded"),
        None,
        None,
    ),
    "groq, a minute's tokens": (
        413,
        openai(
            "Request too large for model `llama-3.3-70b-versatile` in organization `org_x` service tier `on_demand` on "
            "tokens per minute (TPM): Limit 6000, Requested 10234, please reduce your message size and try again.",
            "rate_limit_exceeded",
            "tokens",
        ),
        6000,
        10234,
    ),
    "openai, a minute's tokens": (
        429,
        openai(
            "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 49372. "
            "The input or output tokens must be reduced in order to run successfully.",
            "rate_limit_exceeded",
            "tokens",
        ),
        30000,
        49372,
    ),
    "bedrock": (400, {"message": "Input is too long for requested model."}, None, None),
    "sglang": (
        400,
        openai("The input (40000 tokens) is longer than the model's context length (32768 tokens)."),
        32768,
        40000,
    ),
    "sglang, max_tokens": (
        400,
        openai(
            "Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total "
            "of 40000 tokens: 39000 tokens from the input messages and 1000 tokens for the completion."
        ),
        32768,
        39000,
    ),
    "tgi": (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` "
            "tokens and 200 `max_new_tokens`",
            "error_type": "validation",
        },
        4096,
        4000,
    ),
    "xai": (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        },
        131072,
        537812,
    ),
    "fireworks": (400, openai("The prompt is too long: 150000, model maximum context length: 131071"), 131071, 150000),
    "cerebras": (
        400,
        {
            "message": "Please reduce the length of the messages or completion. Current length is 12000 while limit is "
            "8192",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        },
        8192,
        12000,
    ),
    # https://github.com/sjzar/chatlog/issues/30
    "siliconflow": (
        400,
        {
            "code": 20015,
            "message": "length of prompt_tokens (163280) must be less than max_seq_len (32768).",
            "data": None,
        },
        32768,
        163280,
    ),
    "dashscope": (400, openai("Range of input length should be [1, 30720]", "invalid_parameter_error"), 30720, None),
    "moonshot": (400, openai("Invalid request: Your request exceeded model token limit: 8192"), 8192, None),
    # https://github.com/cline/cline/issues/3664
    "lm studio": (
        400,
        {
            "error": "Trying to keep the first 10136 tokens when context the overflows. However, the model is loaded "
            "with context length of only 7866 tokens, which is not enough."
        },
        7866,
        10136,
    ),
    "openai, later": (
        400,
        openai("Your input exceeds the context window of this model. Please adjust your input and try again."),
        None,
        None,
    ),
    "openrouter": (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {
                    "raw": json.dumps(
                        openai(
                            "This endpoint's maximum context length is 163840 tokens. However, you requested about "
                            "200012 tokens (200000 of text input, 12 in the output)."
                        )
                    ),
                    "provider_name": "Crucible",
                },
            }
        },
        163840,
        200000,
    ),
    "cohere": (
        400,
        {
            "message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5999. Try "
            "using a shorter prompt, or enable prompt truncating."
        },
        4081,
        5999,
    ),
    "volcengine": (
        400,
        {
            "error": {
                "code": "OutofContextError",
                "message": "Total tokens of image and text exceed max message tokens. Request id: 0217",
                "param": "messages",
                "type": "BadRequest",
            }
        },
        None,
        None,
    ),
    "copilot": (
        400,
        openai("prompt token count of 137500 exceeds the limit of 128000", "model_max_prompt_tokens_exceeded"),
        128000,
        137500,
    ),
}


@pytest.mark.parametrize("name", OVERFLOWS)
def test_a_prompt_that_does_not_fit(name: str) -> None:
    status, body, fits, sent = OVERFLOWS[name]
    error = refused(status, body)
    assert type(error) is ModelContextError
    assert (error.context_tokens, error.prompt_tokens) == (fits, sent)
    assert not error.transient
    assert error.status == status


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", OVERFLOWS)
def test_a_prompt_that_does_not_fit_with_a_good_status(name: str, stream: bool) -> None:
    error = reported(OVERFLOWS[name][1], stream=stream)
    assert type(error) is ModelContextError
    assert error.context_tokens == OVERFLOWS[name][2]


TOO_FAST = (
    "Rate limit reached for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, Used 9500, Requested "
    "1000. Please try again in 3s. Visit https://platform.openai.com/account/rate-limits to learn more."
)
DAILY = "You exceeded your current quota, please check your plan and billing details."
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
# Status, body, class, what the message says, seconds to wait, code.
ERRORS: dict[str, tuple[int, Any, type[ModelError], str, float | None, str | None]] = {
    "openai, too fast": (
        429, openai(TOO_FAST, "rate_limit_exceeded", "tokens"), ModelRateLimitError, "Used 9500", 3, "rate_limit_exceeded",
    ),
    "openai, nothing left": (
        429, openai(DAILY, "insufficient_quota", "insufficient_quota"), ModelQuotaError, "your plan", None,
        "insufficient_quota",
    ),
    "gemini, a minute's quota": (
        429,
        [{"error": {"code": 429, "message": DAILY, "status": "RESOURCE_EXHAUSTED", "details": [RETRY_INFO]}}],
        ModelRateLimitError, "your plan", 34, "RESOURCE_EXHAUSTED",
    ),
    "gemini, in words": (
        429, {"error": {"message": f"{DAILY} Please retry in 34.5s."}}, ModelRateLimitError, "retry in", 34.5, None,
    ),
    "groq, in minutes": (
        429, openai("Rate limit reached. Please try again in 1m2.5s.", "rate_limit_exceeded"), ModelRateLimitError,
        "1m2.5s", 62.5, "rate_limit_exceeded",
    ),
    "in milliseconds": (429, {"error": "try again in 250ms"}, ModelRateLimitError, "250ms", 0.25, None),
    "in words": (
        429, {"detail": "Try again in 2 minutes and 5 seconds"}, ModelRateLimitError, "2 minutes", 125, None,
    ),
    "azure": (
        429, openai("Please retry after 26 seconds.", "429"), ModelRateLimitError, "26 seconds", 26,
        "invalid_request_error",
    ),
    "deepseek": (402, openai("Insufficient Balance"), ModelQuotaError, "Balance", None, "invalid_request_error"),
    "anthropic, no credit": (
        400, openai("Your credit balance is too low to access the Anthropic API."), ModelQuotaError, "too low", None,
        "invalid_request_error",
    ),
    # https://github.com/open-webui/computer/issues/293
    "openrouter": (
        429,
        {
            "error": {
                "message": "Provider returned error", "code": 429,
                "metadata": {
                    "raw": "z-ai/glm is temporarily rate-limited upstream. Please retry shortly",
                    "provider_name": "BaseTen", "headers": {"Retry-After": "7"},
                },
            }
        },
        ModelRateLimitError, "Provider returned error: z-ai/glm is temporarily .* \\(BaseTen\\)", 7, None,
    ),
    "gemini, the key": (
        400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}], ModelAuthError,
        "not valid", None, None,
    ),
    "fastapi": (
        422, {"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted", "type": "extra_forbidden"}]},
        ModelRequestError, "body.seed: extra fields", None, "extra_forbidden",
    ),
    "a list of errors": (400, {"errors": [{"message": "one"}, {"message": "two"}]}, ModelRequestError, "one; two", None, None),
    "error_message": (400, {"error_message": "no", "error_code": "E1"}, ModelRequestError, "HTTP 400: no", None, "E1"),
    "only a code": (400, {"error": {"code": "bad_thing"}}, ModelRequestError, "HTTP 400: bad_thing", None, "bad_thing"),
    "a page": (
        502, b"<html><head><title>502 Bad&nbsp;Gateway</title></head>", ModelServerError, "502 Bad.Gateway", None, None,
    ),
    "plain words": (503, b"upstream connect error", ModelServerError, "upstream connect error", None, None),
    "overloaded": (529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}, ModelServerError, "Overl", None, "overloaded_error"),
    "not implemented": (501, openai("no logprobs here"), ModelRequestError, "no logprobs", None, "invalid_request_error"),
    "no capacity": (498, openai("capacity_exceeded"), ModelServerError, "capacity", None, "invalid_request_error"),
    "of a person": (400, openai("Too many images in the message"), ModelRequestError, "images", None, "invalid_request_error"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_told(name: str) -> None:
    status, body, kind, said, wait, code = ERRORS[name]
    with pytest.raises(kind, match=said) as caught:
        raise refused(status, body)
    assert type(caught.value) is kind
    assert (caught.value.retry_after, caught.value.code) == (wait, code)


def test_a_header_says_better_how_long_to_wait() -> None:
    assert refused(429, {"error": "try again in 9s"}, **{"retry-after": "2"}).retry_after == 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({"choices": None, "error": {"code": 429, "message": "slow"}}, ModelRateLimitError, "slow"),
        ({"error": {"code": 400, "message": "wrong"}}, ModelRequestError, "wrong"),
        ({"error": {"code": 401, "message": "who?"}}, ModelAuthError, "who"),
        ({"error": {"code": "402", "message": "pay"}}, ModelQuotaError, "pay"),
        ({"error": {"code": 404, "message": "where?"}}, ModelRequestError, "where"),
        ({"error": {"code": 502, "message": "down"}}, ModelServerError, "down"),
        ({"error": {"code": "rate_limit_exceeded", "message": "slow"}}, ModelRateLimitError, "slow"),
        ({"error": {"type": "insufficient_quota", "message": "none"}}, ModelQuotaError, "none"),
        ({"error": {"type": "invalid_request_error", "message": "wrong"}}, ModelRequestError, "wrong"),
        ({"error": {"type": "authentication_error", "message": "who?"}}, ModelAuthError, "who"),
        ({"error": {"message": "overloaded"}}, ModelServerError, "overloaded"),
        ({"error": "text"}, ModelServerError, "text"),
        ({"error": True}, ModelServerError, "reported an error"),
        ({"error_message": "text", "error_code": 429}, ModelRateLimitError, "text"),
        ({"object": "error", "message": "text", "code": 400}, ModelRequestError, "text"),
        ({"detail": "text"}, ModelServerError, "text"),
        ([{"error": {"code": 400, "message": "wrong"}}], ModelRequestError, "wrong"),
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, ModelServerError, "login fail"),
        ({"code": 400, "msg": "wrong field"}, ModelRequestError, "wrong field"),
        ({"success": False, "messages": ["no such thing"]}, ModelServerError, "no such thing"),
        ({"Error": {"Message": "denied"}}, ModelServerError, "denied"),
        ({"fault": {"faultstring": "not today"}}, ModelServerError, "not today"),
        (
            {"choices": [{"error": {"code": 429, "message": "slow"}, "finish_reason": "error"}]},
            ModelRateLimitError,
            "slow",
        ),
    ],
)
def test_an_error_with_a_good_status(body: Any, kind: type[ModelError], said: str, stream: bool) -> None:
    with pytest.raises(kind, match=said) as caught:
        raise reported(body, stream=stream)
    assert type(caught.value) is kind


def test_an_event_named_error() -> None:
    collector = ResponseCollector(ASKED, model="m")
    for raw, said in ((b'{"message": "too much"}', "too much"), (b"too much", "too much")):
        (data,) = EventStream().feed(b"event: error\ndata: " + raw + b"\n\n")
        with pytest.raises(ReportedError) as caught:
            list(collector.add(data))
        assert said in str(model_error(caught.value, "m", ACCOUNT))


def test_secrets_in_what_a_server_says_are_not_told() -> None:
    error = refused(401, openai(f"Incorrect API key provided: {ACCOUNT.api_key}"))
    assert ACCOUNT.api_key not in f"{error} {error.hint} {error!r}"


@pytest.mark.anyio
@pytest.mark.parametrize("code", ["insufficient_quota", "context_length_exceeded"])
async def test_what_is_final_is_asked_once(code: str) -> None:
    body = json.dumps({"error": {"message": "no", "code": code}}).encode()
    asked = 0

    async def ask(model: Retry) -> None:
        nonlocal asked
        with pytest.raises((ModelQuotaError, ModelContextError)):
            await model.request(ASKED)
        asked += 1

    with FaultyServer(RawBody(body, status=429)) as server:
        model = Retry(Limit(OpenAIModel("m", base_url=server.url, api_key="none"), requests_per_minute=100))
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, model)
        assert (asked, len(server.exchanges)) == (3, 3)


@pytest.mark.parametrize("words", ["Please try again in 5\u017f", "wait 3 \u017fec", "retry in 2 \u212a"])
def test_letters_that_only_look_like_units_are_no_wait(words: str) -> None:
    assert error_body({"error": {"message": words}}).wait is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([{"error": {"message": "no"}}], True),
        ([{"choices": [{}]}], False),
        ([], False),
        ({"choices": [{}], "message": "hi"}, False),
        ({"message": "no"}, True),
    ],
)
def test_an_error_may_stand_in_a_list(body: object, error: bool) -> None:
    assert is_error(body) is error


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("retry_after", 4),
        ("retry_after_seconds", 4),
        ("retryAfter", 4),
        ("retry_after_ms", 0.004),
        ("retryDelay", None),
    ],
)
def test_a_field_may_say_how_long_to_wait(name: str, seconds: float | None) -> None:
    assert refused(429, {"error": {"message": "no", name: 4}}).retry_after == seconds
