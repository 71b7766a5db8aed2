"""What a model can do, tried out.

report     what was found
bench      the model under test, with the cost and the profile
answers, tools, schemas, load   the probes, each a small async function
checkup    `check`
"""

from __future__ import annotations

from .checkup import Checkup, check
from .report import Finding, Report, Verdict

__all__ = ["Checkup", "Finding", "Report", "Verdict", "check"]
