"""No test of the command line depends on the settings of whoever runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

SETTINGS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CONTEMPLATE_API_KEY", "CONTEMPLATE_MODEL", "NO_COLOR", "FORCE_COLOR")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    # Nor does it write among their runs.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("CONTEMPLATE_JOURNAL", raising=False)
