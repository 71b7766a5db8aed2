"""Keys and their budgets, as they are written on a command line or in an environment variable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..budget import Budget
from ..errors import ConfigurationError
from ..journal import Journal
from .settings import ClientKey

KEYS_VARIABLE = "CONTEMPLATE_SERVER_KEYS"
_BUDGET = re.compile(
    r"(?:(?P<name>[^:]+):)?(?P<amount>\d+(?:\.\d+)?) ?(?P<unit>usd|tokens|calls)(?:/(?P<per>minute|hour|day))?",
    re.IGNORECASE,
)
_FIELDS = {"usd": "cost_usd", "tokens": "tokens", "calls": "calls"}


def read_keys(
    texts: Iterable[str], budgets: Sequence[str], journal: str | Journal | None = None
) -> tuple[ClientKey, ...]:
    """Read keys, each written as NAME=SECRET.

    Args:
        texts: the keys; those of one text are separated by spaces or commas.
        budgets: what a key may spend, such as "5usd/day" for each key or "ann:200000tokens/minute" for one.
        journal: where it is kept what they spent.

    Raises:
        ConfigurationError: a text cannot be read, or a budget is that of no key. No secret is told.
    """
    pairs = [_pair(each) for text in texts for each in re.split(r"[\s,]+", text) if each]
    read = [_amount(each) for each in budgets]
    names = [name for name, _ in pairs]
    for name, text, _ in read:
        if name is not None and name not in names:
            raise ConfigurationError(
                f"the budget {text!r} is that of no key", hint=f"the keys are {', '.join(names) or 'none'}"
            )
    return tuple(
        ClientKey(
            name,
            secret,
            tuple(
                Budget(f"{name} {text}", **amount, journal=journal) for of, text, amount in read if of in (None, name)
            ),
        )
        for name, secret in pairs
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, secret = text.partition("=")
    if not equals:
        raise ConfigurationError("a client's key has no name", hint="NAME=SECRET, such as ann=sk-...")
    return name, secret


def _amount(text: str) -> tuple[str | None, str, dict[str, Any]]:
    found = _BUDGET.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(
            f"a key's budget: {text!r:.80}",
            hint="AMOUNT and usd, tokens or calls, and a window: 5usd/day, 1000calls/hour, ann:200000tokens/minute",
        )
    unit, per = found["unit"].lower(), found["per"] and found["per"].lower()
    amount = float(found["amount"]) if unit == "usd" else int(float(found["amount"]))
    said = f"{found['amount']} {unit}" + (f" a {per}" if per else "")
    return found["name"], said, {_FIELDS[unit]: amount, "per": per}
