"""A clock that also goes while the machine sleeps, where there is one."""

from __future__ import annotations

import time

import pytest

from contemplate.boot_clock import boot_clock


def test_it_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = 1000.0
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: time.monotonic() + slept if clock == 7 else 0.0)
    assert time.monotonic() + slept - 100 < boot_clock() <= time.monotonic() + slept


def test_elsewhere_it_is_never_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    before = time.monotonic()
    assert before <= boot_clock() <= time.monotonic()
