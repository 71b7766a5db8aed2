"""How fast the viewer's page is in a real Chromium: how long a run takes to open, and how smoothly it scrolls.

    python -m benchmarks.viewer [--tasks 1000] [--words 12]

Prints for a recorded run of many tasks the milliseconds from the click on a link until its timeline is drawn, and the
frames a second while it is scrolled from its first task to its last; then the same for a run with 20,000 events, and
the frames a second while such a run grows.
Needs Chromium, and the extra `server`.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from contemplate.events import Event
from contemplate.journal import Journal
from contemplate.server.viewer.alone import viewer_app
from contemplate.server.viewer.live_runs import LiveRuns
from contemplate.server.viewer.shown_runs import ShownRuns
from tests.browser import Page, chromium
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


_FRAMES = """new Promise((done) => {
  const times = [];
  const step = (now) => {
    times.push(now);
    if (now - times[0] < 5000) requestAnimationFrame(step);
    else {
      const gaps = times.slice(1).map((each, i) => each - times[i]).sort((a, b) => a - b);
      done([(times.length - 1) / (now - times[0]) * 1000, gaps[Math.floor(gaps.length * 0.99)], gaps.at(-1)]);
    }
  };
  requestAnimationFrame(step);
})"""


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


async def live_frames(page: Page, live: LiveRuns, events: list[Event]) -> None:
    """Print how smooth the page is while the events of a run come in within five seconds."""
    run = live.begin("growing", "contemplate")
    run.put(events[0])
    await page.run("location.hash = '#/runs/growing'")
    await page.wait("document.querySelector('.facts')")
    frames = asyncio.create_task(page.run(_FRAMES))
    batch = len(events) // 250
    for start in range(1, len(events), batch):
        for event in events[start : start + batch]:
            run.put(event)
        await asyncio.sleep(0.02)
    rate, late, longest = await frames
    print(f"growing: {rate:.0f} frames a second, 99 % within {late:.0f} ms, the longest {longest:.0f} ms")


@asynccontextmanager
async def served(shown: ShownRuns) -> AsyncIterator[str]:
    """Serve a viewer in this event loop, so that runs can be fed while they are watched."""
    server = uvicorn.Server(uvicorn.Config(viewer_app(shown, KEY, 0), log_config=None, timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await shown.end()
            server.should_exit = True
            await serving


async def main(tasks: int, words: int) -> None:
    """Measure a recorded run of so many tasks, and one with 20,000 events."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "runs.db")
        await large(tasks, journal, words).run("How are many parts?", run_id="recorded")
        live = LiveRuns()
        events = await events_of_run(large(tasks, words=max(words, 20_000 // tasks)))
        live.begin("events", "contemplate", None, events).close()
        told = f"{tasks:,} of {tasks:,} tasks"
        async with served(ShownRuns((journal,), live)) as url, chromium() as page:
            await page.open(f"{url}/#key={KEY}&to=/")
            await measured(page, "recorded", told)
            print(f"events: {len(events):,}")
            await measured(page, "events", told)
            await live_frames(page, live, events)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--words", type=int, default=12)
    options = parser.parse_args()
    asyncio.run(main(options.tasks, options.words))
