"""Canonical keys, by which a vote counts answers. Two answers are the same if their keys are equal.

A key function takes the text of an answer, or its value if the run has an output type, and returns a key, or None for
an abstention: an answer that cannot be parsed never wins a vote. The None of a typed answer is an answer.
"""

from __future__ import annotations

from .choice import choice
from .final import final
from .math import math
from .text import text
from .typed import field, typed

__all__ = ["choice", "field", "final", "math", "text", "typed"]
