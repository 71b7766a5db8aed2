"""What kind of error it is, by the names that servers give it and their words, where the status does not say it.

https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors,
https://cloud.google.com/apis/design/errors, https://api-docs.deepseek.com/quick_start/error_codes
"""

from __future__ import annotations

import re
from http import HTTPStatus

from .error_body import ErrorBody

_STATUS_OF: dict[HTTPStatus, tuple[str, ...]] = {
    HTTPStatus.UNAUTHORIZED: (
        "invalid_api_key authentication_error unauthenticated unauthorized invalid_authentication_error",
        "authenticationerror api_key_invalid",
    ),
    HTTPStatus.FORBIDDEN: ("permission_error permission_denied permissiondeniederror forbidden",),
    HTTPStatus.NOT_FOUND: ("model_not_found not_found_error not_found notfounderror",),
    HTTPStatus.BAD_REQUEST: (
        "invalid_request_error invalid_argument bad_request badrequesterror validation_error failed_precondition",
        "unsupported_parameter unsupported_value invalid_parameter invalidparameter",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "rate_limit_exceeded rate_limit_error rate_limit rate_limited rate_limit_reached_error ratelimiterror",
        "too_many_requests resource_exhausted throttling throttlingexception throttling.ratequota",
        "throttling.allocationquota tokens_per_minute requests_per_minute",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "overloaded_error overloaded server_error internal_server_error internal_error api_error unavailable",
        "service_unavailable engine_overloaded_error timeout internalservererror deadline_exceeded",
    ),
}
_STATUS = {code: status.value for status, lines in _STATUS_OF.items() for line in lines for code in line.split()}
_QUOTA_CODES = frozenset(
    (
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"),
        *("arrearage", "billing_error", "exceeded_current_quota_error", "insufficient_credits"),
        *("insufficient_funds", "payment_required", "credits_exhausted"),
    )
)
# OpenAI and Gemini say "exceeded your current quota" both of a day's quota and of a minute's, the latter with a wait.
_QUOTA = re.compile(
    r"exceeded your current quota|insufficient (?:account )?(?:balance|credit|funds|quota)|credit balance is too low|"
    r"(?:out of|used all|requires more|no) (?:available )?credits|account is not active|余额不足",
    re.IGNORECASE,
)
_KEY = re.compile(r"api[ _]key (?:is )?(?:not valid|invalid|expired)|(?:invalid|incorrect) api[ _]key", re.IGNORECASE)


def is_quota(error: ErrorBody, status: int | None) -> bool:
    """Return whether the account has nothing left, which waiting does not change."""
    if status == HTTPStatus.PAYMENT_REQUIRED or any(code.lower() in _QUOTA_CODES for code in error.codes):
        return True
    return error.wait is None and (status is None or status < 500) and _QUOTA.search(error.words) is not None


def is_about_key(error: ErrorBody) -> bool:
    """Return whether the key was refused, in the words of a server that does not say so by the status."""
    return _KEY.search(error.words) is not None


def status_of(error: ErrorBody) -> int | None:
    """Return the HTTP status that fits an error which came without one; None if nothing says which."""
    if error.status is not None:
        return error.status
    return next((_STATUS[code.lower()] for code in error.codes if code.lower() in _STATUS), None)
