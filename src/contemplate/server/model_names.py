"""The names by which clients ask for contemplators.

A name with a `*`, such as "claude-*", stands for all that look like it. It is for clients that insist on names of their
own, and no list of models shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..contemplator import Contemplator

Minds = Mapping[str, Contemplator[Any]]


def shown_names(minds: Minds) -> tuple[str, ...]:
    """Return the names that clients are shown."""
    return tuple(name for name in minds if "*" not in name)


def named(minds: Minds, name: str) -> Contemplator[Any] | None:
    """Return the contemplator of that name, or else the first one whose pattern it matches; None if there is none."""
    if name in minds:
        return minds[name]
    patterns = ((re.escape(each).replace(r"\*", ".*"), mind) for each, mind in minds.items() if "*" in each)
    return next((mind for pattern, mind in patterns if re.fullmatch(pattern, name, re.DOTALL)), None)
