"""What a server allows: who may ask, how much, how many at once, and how long it waits for whom."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field, fields

from ..budget import Budget
from ..errors import ConfigurationError
from ..limits import Limits

MIB = 1024 * 1024
SHORTEST_SECRET = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET = re.compile(rf"[\x21-\x7e]{{{SHORTEST_SECRET},}}")


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A key that lets a client in.

    Args:
        name: what logs and metrics call it: letters, digits, ".", "_" and "-".
        secret: what the client sends, as `Authorization: Bearer ...` or `x-api-key`. It is never shown.
        budgets: what all runs of the key may spend together, such as
            `Budget("ann", cost_usd=5, per="day", journal="sqlite:///runs.db")`.

    Raises:
        ConfigurationError: the name or the secret cannot be one.
    """

    name: str
    secret: str = field(repr=False)
    budgets: tuple[Budget, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"the name of a client's key: {self.name!r:.80}", hint="1 to 64 letters, digits, '.', '_' or '-'"
            )
        if not _SECRET.fullmatch(self.secret):
            raise ConfigurationError(
                f"the secret of the client's key {self.name!r}",
                hint=f"at least {SHORTEST_SECRET} printable ASCII characters without spaces",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server allows.

    Args:
        keys: who may ask; without any, everybody who reaches the server.
        limits: of each request's run, beside the contemplator's own. A client may only lower them.
        max_runs: how many runs go on at once.
        max_queued: how many more wait for their turn, oldest first; the next is told to come again.
        max_body_bytes: how large a request may be.
        allowed_hosts: what a request's `Host` header may say, as for Starlette's `TrustedHostMiddleware`; anything if
            None. `serve` on a loopback address adds the names of that.
        allowed_origins: the web pages that may ask from a browser, such as "https://chat.example.org"; "*" for all.
        store_days: how long stored responses and conversations are kept in a journal after they were last changed.
        store_most: how many of them are kept in each journal; then the oldest are deleted for newer ones.
        body_seconds: how long a client may take to send its request.
        unread_seconds: how long a client may leave an answer unread, before it is dropped and its run is cancelled.
        header_seconds: how long a client may take to send the head of a request; with `serve` only.
        drain_seconds: how long runs may go on after a SIGTERM; with `serve` only.
        viewer: whether `/` shows the runs in a browser: each key its own; without keys, those since the server began.

    Raises:
        ConfigurationError: a number is not above zero, or two keys have one name or one secret.
    """

    keys: tuple[ClientKey, ...] = ()
    limits: Limits = Limits()  # noqa: RUF009 - it is frozen
    max_runs: int = 200
    max_queued: int = 1000
    max_body_bytes: int = 32 * MIB
    allowed_hosts: tuple[str, ...] | None = None
    allowed_origins: tuple[str, ...] = ()
    store_days: float = 30.0
    store_most: int = 10_000
    body_seconds: float = 60.0
    unread_seconds: float = 60.0
    header_seconds: float = 20.0
    drain_seconds: float = 30.0
    viewer: bool = True

    def __post_init__(self) -> None:
        for each in fields(self):
            value, least = getattr(self, each.name), each.name not in ("max_queued", "drain_seconds")
            if isinstance(value, bool):
                continue
            if isinstance(value, int | float) and not (0 < value < math.inf or (value == 0 and not least)):
                raise ConfigurationError(f"ServerSettings({each.name}={value})", hint="a number above 0")
        for kind in ("name", "secret"):
            told = Counter(getattr(each, kind) for each in self.keys)
            twice = [each.name for each in self.keys if told[getattr(each, kind)] > 1]
            if twice:
                raise ConfigurationError(f"several keys have one {kind}: {', '.join(dict.fromkeys(twice))}")
