"""The names by which clients ask for contemplators.

A name with a `*`, such as "claude-*", stands for all that look like it. It is for clients that insist on names of their
own, and no list of models shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..contemplator import Contemplator
from .api_errors import invalid_request

Minds = Mapping[str, Contemplator[Any]]


def shown_names(minds: Minds) -> tuple[str, ...]:
    """Return the names that clients are shown."""
    return tuple(name for name in minds if "*" not in name)


def mind_named(minds: Minds, name: str) -> Contemplator[Any]:
    """Return the contemplator of that name, or else the first one whose pattern it matches.

    Raises:
        RequestError: there is none.
    """
    if name in minds:
        return minds[name]
    for pattern, mind in minds.items():
        if "*" in pattern and re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL):
            return mind
    message = f"there is no model {name!r}; there are: {', '.join(shown_names(minds))}"
    raise invalid_request(message, status=404, param="model", code="model_not_found")
