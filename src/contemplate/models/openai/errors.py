"""From the errors of the `openai` package to ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from time import time

import httpx2
import openai

from ...errors import (
    ModelAuthError,
    ModelConnectionError,
    ModelError,
    ModelRateLimitError,
    ModelRequestError,
    ModelResponseError,
    ModelServerError,
    ModelTimeoutError,
)
from ..redaction import redact
from .pool import Account
from .wire import BrokenOff, WireError

MAX_MESSAGE = 500
MAX_RESET_SECONDS = 20.0
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@contextmanager
def translated(model: str, account: Account) -> Iterator[None]:
    """Raise our `ModelError` for whatever goes wrong inside.

    Raises:
        ModelError: in the subclass that says what happened.
    """
    try:
        yield
    except openai.APIStatusError as error:
        raise _status_error(error, model, account) from error
    except (openai.APITimeoutError, httpx2.TimeoutException) as error:
        # The aiohttp transport calls every failure to connect a timeout.
        if isinstance(error.__cause__ or error, httpx2.ConnectTimeout):
            raise _no_connection(error, model, account) from error
        raise ModelTimeoutError(
            f"{account.place} did not answer in time", model=model, hint="raise ModelSettings.timeout, or try later"
        ) from error
    except (openai.APIConnectionError, httpx2.TransportError) as error:
        if isinstance(error.__cause__ or error, httpx2.ConnectError):
            raise _no_connection(error, model, account) from error
        raise ModelConnectionError(
            f"{account.place} broke off: {_safe(_cause(error), account)}", model=model
        ) from error
    except BrokenOff as error:
        raise ModelConnectionError(f"{account.place} broke off: {error}", model=model) from None
    except WireError as error:
        if error.server:
            raise ModelServerError(_safe(str(error), account), model=model) from None
        raise ModelResponseError(
            str(error), model=model, hint=f"is {account.place} the base URL of a chat completions API?"
        ) from None
    except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ModelError(_safe(str(error), account), model=model) from error


def _no_connection(error: Exception, model: str, account: Account) -> ModelConnectionError:
    return ModelConnectionError(
        f"no connection to {account.place}: {_safe(_cause(error), account)}",
        model=model,
        hint="is the server up, the URL right?",
    )


def _status_error(error: openai.APIStatusError, model: str, account: Account) -> ModelError:
    status = error.status_code
    said = f"HTTP {status}: {_safe(error.message, account).removeprefix(f'Error code: {status} - ')}"
    if status in (401, 403):
        return ModelAuthError(said, model=model, status=status, hint="check the API key, and what it may use")
    if status == 429:
        headers = error.response.headers
        after = retry_after(headers)
        return ModelRateLimitError(
            said, model=model, status=status, retry_after=_until_reset(headers) if after is None else after
        )
    if status == 404:
        hint = f"does {account.place} serve this model?"
        return ModelRequestError(said, model=model, status=status, hint=hint)
    if status >= 500 or status in (408, 409):
        after = retry_after(error.response.headers)
        return ModelServerError(said, model=model, status=status, retry_after=after)
    return ModelRequestError(said, model=model, status=status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks us to wait: `retry-after-ms`, or `Retry-After`, a number or a date (RFC 9110)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        try:
            return max(0.0, float(value) / unit)
        except ValueError:
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time())
    except ValueError:
        return None


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until what is used up is there again, from OpenAI's `x-ratelimit-*` headers, such as "1m3.5s".

    They tell when all of it will be there again, and some of it is earlier: so it is a bounded wait.
    """
    waits = []
    for kind in ("requests", "tokens"):
        reset = headers.get(f"x-ratelimit-reset-{kind}", "").strip()
        parts = _DURATION_PART.findall(reset)
        if headers.get(f"x-ratelimit-remaining-{kind}") == "0" and "".join(map("".join, parts)) == reset != "":
            waits.append(sum(float(number) * _UNITS[unit] for number, unit in parts))
    return min(max(waits), MAX_RESET_SECONDS) if waits else None


def _cause(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split()) or type(error).__name__


def _safe(message: str, account: Account) -> str:
    flat = " ".join(redact(message.replace(account.base_url, account.place), account.api_key).split())
    return flat if len(flat) <= MAX_MESSAGE else flat[:MAX_MESSAGE] + "..."
