"""The file of results, which each of these benchmarks has a part of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.speed import running


def keep(out: Path, name: str, results: dict[str, Any]) -> None:
    """Put the results of one benchmark into the file, with the day and the machine, in place of those before."""
    told = {"date": datetime.now(UTC).date().isoformat(), "machine": running.machine()} | results
    before = json.loads(out.read_text()) if out.exists() else {}
    out.write_text(json.dumps(before | {name: told}, indent=1) + "\n")
