"""`contemplate view`, a process of its own, in a real Chromium: an approval is clicked there, and the run goes on."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from contemplate.journal import Journal
from contemplate.testing import FaultyServer

from .. import mcp_quick_server
from ..browser import chromium
from ..cli.asking import command, here, model, process
from ..cli.test_approvals import adding
from ..patience import PATIENCE
from .conftest import needs_chromium

pytestmark = [needs_chromium, pytest.mark.skipif(find_spec("mcp") is None, reason="the extra `mcp`")]
MCP = ["--mcp", f"{sys.executable} {mcp_quick_server.__file__}"]


async def decided(address: str, button: str, why: str) -> str:
    """Click a button of the call that waits, and return the answer that comes of it."""
    async with chromium() as page:
        await page.open(address)
        await page.wait("document.querySelector('.head .chip.suspended')")
        assert '"b": 3' in await page.text(".approval")
        if why:
            await page.click(".approval input")
            await page.type(why)
        await page.click(f".approval .{button}")
        await page.wait("document.querySelector('.head .chip.answered')")
        answer = await page.text(".answer")
        assert await page.run("document.querySelector('.approval') === null")
        await page.run("location.hash = '#/'")
        await page.wait("document.querySelector('.question a')")
        assert "answered" in await page.text("main")
        assert (page.problems, await page.violations()) == ([], [])
    return answer


@pytest.mark.parametrize(("button", "why", "answer"), [("yes", "", "It is: 5"), ("no", "not today", "not today")])
def test_a_decision_is_clicked_and_the_run_goes_on(
    button: str, why: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEMPLATE_JOURNAL", str(tmp_path / "runs.db"))
    with FaultyServer(adding) as server, open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        asked = here("ask", "2 + 3?", *model(server), "--mode", "instant", *MCP, "--run-id", "sum")
        assert asked.returncode == 3, asked.stderr
        with process(command("view", "sum", "--no-browser", *MCP)) as running:
            assert running.stdout is not None
            found = re.search(r"http://\S+", running.stdout.readline())
            assert found is not None
            try:
                assert answer in asyncio.run(decided(found.group(), button, why))
            finally:
                running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=PATIENCE)
        assert (running.returncode, err) == (0, "")
        # What was answered before is not asked again.
        assert len(server.exchanges) == 2
    record = Journal(tmp_path / "runs.db").load("sum")
    assert record is not None
    assert record.status == "answered"
