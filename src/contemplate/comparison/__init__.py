"""Comparisons: several ways of thinking on the same questions, scored, with intervals and costs.

grid         `compare`: each question in each way
examples     questions with the answers that are expected of them
metrics      how a result is scored
outcomes     what came of one question in one way
way_report   what came of all questions in one way
report       what came of all ways: differences, records
table        the report as a table
plot         the report as a picture; axes, its axes
intervals    those of means and of paired differences
"""

from __future__ import annotations

from .examples import Example
from .grid import compare, compare_sync
from .intervals import Interval
from .outcomes import Scored
from .report import ComparisonReport
from .way_report import WayReport

__all__ = ["ComparisonReport", "Example", "Interval", "Scored", "WayReport", "compare", "compare_sync"]
