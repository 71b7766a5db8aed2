"""How fast the viewer's page is in a real Chromium: how long a run takes to open, and how smoothly it scrolls.

    python -m benchmarks.viewer [--tasks 1000] [--words 12]

Prints for a recorded run of many tasks the milliseconds from the click on a link until its timeline is drawn, and the
frames a second while it is scrolled from its first task to its last; then the same for a run with 20,000 events.
Needs Chromium, and the extra `server`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from contemplate.journal import Journal
from contemplate.server.viewer.alone import viewer_app
from contemplate.server.viewer.live_runs import LiveRuns
from contemplate.server.viewer.shown_runs import ShownRuns
from tests.browser import Page, chromium
from tests.server.conftest import serving_app
from tests.viewer.scenes import events_of_run, large

KEY = "the-key-of-the-benchmark"
# From the link until two frames after the lanes are there: then they are drawn.
_OPEN = """new Promise((done) => {{
  const began = performance.now();
  location.hash = '#/runs/{run}';
  const look = () => {{
    const there = document.querySelectorAll('.name').length > 10
      && document.querySelector('.facts')?.innerText.includes('{told}');
    if (!there) requestAnimationFrame(look);
    else requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
  }};
  look();
}})"""
_SCROLL = """new Promise((done) => {{
  const box = document.querySelector('{box}');
  const all = box.scrollHeight - box.clientHeight;
  const times = [];
  const began = performance.now();
  const step = (now) => {{
    times.push(now);
    const share = (now - began) / 3000;
    box.scrollTop = share * all;
    if (share < 1) requestAnimationFrame(step);
    else {{
      const gaps = times.slice(1).map((each, i) => each - times[i]).sort((a, b) => a - b);
      const rate = (times.length - 1) / ((times.at(-1) - times[0]) / 1000);
      done([rate, gaps.at(-1), gaps[Math.floor(gaps.length * 0.99)]]);
    }}
  }};
  requestAnimationFrame(step);
}})"""


async def measured(page: Page, run: str, told: str) -> None:
    """Print how a run opens and scrolls."""
    times = []
    for _ in range(5):
        await page.run("location.hash = '#/'")
        await page.wait("document.querySelector('.runs')")
        times.append(await page.run(_OPEN.format(run=run, told=told)))
    print(f"{run}: opens in {min(times):.0f} to {max(times):.0f} ms")
    for view, box in (("", ".lanes"), ("?view=calls", ".body"), ("?view=plan", ".plan")):
        await page.run(f"location.hash = '#/runs/{run}{view}'")
        await page.wait(f"document.querySelector('{box}')")
        await asyncio.sleep(0.5)
        frames, longest, late = await page.run(_SCROLL.format(box=box))
        print(f"{run}{view}: {frames:.0f} frames a second, 99 % within {late:.0f} ms, the longest {longest:.0f} ms")
    print(f"{run}: {await page.run('document.querySelectorAll(`*`).length')} elements in the page")


async def main(tasks: int, words: int) -> None:
    """Measure a recorded run of so many tasks, and one with 20,000 events."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "runs.db")
        await large(tasks, journal, words).run("How are many parts?", run_id="recorded")
        live = LiveRuns()
        events = await events_of_run(large(tasks, words=max(words, 20_000 // tasks)))
        live.begin("events", "contemplate", None, events).close()
        told = f"{tasks:,} of {tasks:,} tasks"
        with serving_app(viewer_app(ShownRuns((journal,), live), KEY, 0)) as url:
            async with chromium() as page:
                await page.open(f"{url}/#key={KEY}&to=/")
                await measured(page, "recorded", told)
                print(f"events: {len(events):,}, sent as {len(live.begin('events', '').lines):,} lines")
                await measured(page, "events", told)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--words", type=int, default=12)
    options = parser.parse_args()
    asyncio.run(main(options.tasks, options.words))
