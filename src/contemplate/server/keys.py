"""Keys: who asks."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .api_errors import Failure, key_refused
from .error_forms import ErrorForms
from .settings import ClientKey
from .visits import Visit

# Those who watch the server have no key, and learn nothing from these that costs; a browser asks for a key with them.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/", "/viewer.js", "/viewer.css"})


class KeyRing:
    """The keys that let clients in."""

    def __init__(self, keys: Sequence[ClientKey]) -> None:
        self._keys = tuple((sha256(each.secret.encode()).digest(), each) for each in keys)

    def find(self, secret: str) -> ClientKey | None:
        """Return the key with `secret`; the time that takes tells nothing of any key."""
        given = sha256(secret.encode("utf-8", "surrogateescape")).digest()
        found = None
        for digest, key in self._keys:
            if hmac.compare_digest(digest, given):
                found = key
        return found


class RequireKey:
    """ASGI middleware that lets only requests with a key through."""

    def __init__(self, app: ASGIApp, keys: Sequence[ClientKey], forms: ErrorForms) -> None:
        self._app = app
        self._ring = KeyRing(keys)
        self._forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its key, or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        found = self._key(Headers(scope=scope))
        if isinstance(found, Failure):
            await self._forms.response(scope["path"], found)(scope, receive, send)
            return
        Visit.of(scope).key = found
        await self._app(scope, receive, send)

    def _key(self, headers: Headers) -> ClientKey | Failure:
        secret = secret_in(headers)
        if not secret:
            return key_refused("there is no key: send it as Authorization: Bearer KEY, or as x-api-key: KEY")
        return self._ring.find(secret) or key_refused("the key is not one of this server's")


def secret_in(headers: Headers) -> str:
    """Return the key that a request came with; an empty text if there is none."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
