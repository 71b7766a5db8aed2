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


def matching(minds: Minds, name: str) -> str | None:
    """Return the name, or else the first pattern, under which a contemplator is served to who asks for `name`."""
    if name in minds:
        return name
    patterns = ((re.escape(each).replace(r"\*", ".*"), each) for each in minds if "*" in each)
    return next((each for pattern, each in patterns if re.fullmatch(pattern, name, re.DOTALL)), None)


def named(minds: Minds, name: str) -> Contemplator[Any] | None:
    """Return the contemplator that is asked for by `name`; None if there is none."""
    found = matching(minds, name)
    return None if found is None else minds[found]
