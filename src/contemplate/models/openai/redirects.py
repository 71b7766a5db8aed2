"""Redirects: a prompt is sent to no other server than the one that the user named."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, urljoin, urlsplit

from ...redaction import shown_url
from .transport import BadStatus, Redirected

MAX_REDIRECTS = 5
# RFC 9110: these two repeat the request, and the others turn it into a GET.
_SAME_METHOD = (307, 308)
_PORTS = {"http": 80, "https": 443}


def redirect_target(status: int, headers: Mapping[str, str], url: str, followed: int) -> str:
    """Return the URL to which a response of status 3xx redirects the request.

    Args:
        status: the response's status.
        headers: its headers.
        url: the URL of the request.
        followed: how many redirects led there.

    Raises:
        Redirected: the redirect must not be followed.
        BadStatus: it does not say where to.
    """
    location = headers.get("location")
    if not location:
        raise BadStatus(status, headers, b"")
    here = urlsplit(url)
    try:
        target = urlsplit(urljoin(url, location))
        same_origin = _origin(target) == _origin(here)
    except ValueError:
        raise Redirected(status, "something that is not a URL", "is the base URL right?") from None
    place = shown_url(target.geturl())
    if status not in _SAME_METHOD:
        raise Redirected(status, place, "followed, the request would become a GET; is the base URL right?")
    if not same_origin:
        raise Redirected(status, place, "prompts are sent to no other server than yours; if it is meant, use its URL")
    if followed >= MAX_REDIRECTS:
        raise Redirected(status, place, f"after {followed} redirects before it; is the base URL right?")
    # With the scheme and host of before, whatever other parsers would read in the new ones.
    return target._replace(scheme=here.scheme, netloc=here.netloc, fragment="").geturl()


def _origin(parts: SplitResult) -> tuple[str, bool, str | None, int | None]:
    return parts.scheme, "@" in parts.netloc, parts.hostname, parts.port or _PORTS.get(parts.scheme)
