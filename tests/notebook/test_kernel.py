"""The example notebook in a real kernel, from beginning to end, and what it shows in a real browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import nbformat
import pytest
from nbclient import NotebookClient

from ..browser import Page, chromium
from ..viewer.conftest import needs_chromium
from ..views.test_html import HOSTILE, pages_of

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "notebook.ipynb"

# It has no annotations.
V4: Any = nbformat.v4

# A user who interrupts the cell while the model is asked, in each of the two ways to watch.
INTERRUPTED = """
import os, signal
from contemplate.notebook import watch_sync
async def hang(request):
    os.kill(os.getpid(), signal.SIGINT)
    await anyio.sleep_forever()
hanging = Contemplator(ScriptedModel(hang), mode="instant")
"""
TOLD = "Interrupted: </b>nothing of the run goes on"


def example() -> Any:
    """The notebook as it is in the repository."""
    return V4.reads(EXAMPLE.read_text("utf-8"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The example after it ran, with cells behind it in which runs are interrupted."""
    folder = tmp_path_factory.mktemp("jupyter")
    notebook = example()
    notebook.cells += [
        V4.new_code_cell(source)
        for source in (
            "import sys; sys.executable",
            INTERRUPTED + "await watch(hanging.stream('?'))",
            "watch_sync(hanging.stream('?'))",
            "watch_sync(mind.stream('Why is the sea salty?')).text",
        )
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(name, str(folder))
        client = NotebookClient(notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": str(folder)}})
        client.execute()
    yield notebook


def html_of(notebook: Any) -> list[str]:
    """What the example's own cells show."""
    own = len(example().cells)
    shown = [output for cell in notebook.cells[:own] for output in cell.get("outputs", ())]
    return [output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {})]


def test_the_example_runs_from_beginning_to_end(ran: Any) -> None:
    cells = example().cells
    assert not any(cell.get("outputs") for cell in cells)
    code = [cell for cell in ran.cells[: len(cells)] if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert [output.output_type for output in outputs if output.output_type == "error"] == []
    live, result, plan = html_of(ran)
    assert live == result
    assert "<strong>rock and time</strong>" in result
    assert "3 tasks: 3 answered" in result
    assert "└ <b>Balance</b>" in plan
    assert outputs[-1].text.splitlines() == [
        "Rivers |  | answered | 13",
        "Vents |  | answered | 9",
        "Balance | 1, 2 | answered | 15",
    ]


def test_the_kernel_is_this_interpreter(ran: Any) -> None:
    assert ran.cells[-4].outputs[0]["data"]["text/plain"] == repr(sys.executable)


def test_an_interrupted_cell_says_so_and_the_kernel_goes_on(ran: Any) -> None:
    for cell, error in zip(ran.cells[-3:-1], ("CancelledError", "KeyboardInterrupt"), strict=True):
        shown, raised = cell.outputs
        assert TOLD in shown["data"]["text/html"]
        assert raised.ename == error
    watched, said = ran.cells[-1].outputs
    assert "rock and time" in watched["data"]["text/html"]
    assert "rock and time" in said["data"]["text/plain"]


async def opened(page: Page, folder: Path, shown: list[str], background: str = "white", color: str = "black") -> None:
    body = "<hr>".join(shown)
    style = f"background: {background}; color: {color}; font: 14px sans-serif"
    file = anyio.Path(folder / "page.html")
    await file.write_text(f'<!doctype html><meta charset="utf-8"><body style="{style}">{body}</body>', "utf-8")
    await page.open(f"file://{file}")


@pytest.fixture
def anyio_backend() -> str:
    """The browser is spoken to through aiohttp, which needs asyncio."""
    return "asyncio"


CONTRASTS = """[...document.querySelectorAll('.contemplate *:not(style)')].map((e) => {
    const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    }).reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
    const [a, b] = [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
})"""


@needs_chromium
@pytest.mark.anyio
async def test_it_is_read_in_a_browser_on_light_and_dark_pages(ran: Any, tmp_path: Path) -> None:
    async with chromium() as page:
        for background, color in (("white", "#111"), ("#111", "#ddd")):
            await opened(page, tmp_path, html_of(ran), background, color)
            assert "rock and time" in await page.text()
            assert "Rain dissolves" not in await page.text()
            await page.click(".contemplate > details > summary")
            await page.click(".tasks summary")
            await page.wait("document.body.innerText.includes('Rain dissolves')")
            # WCAG's least contrast of signs and large text.
            assert min(await page.run(CONTRASTS)) > 3
            assert await page.run("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.problems == []


@needs_chromium
@pytest.mark.anyio
async def test_what_is_hostile_runs_no_script(tmp_path: Path) -> None:
    scripts = [
        "<script>window.ran = 1</script>",
        "<img src=x onerror='window.ran = 2'>",
        "<a href='javascript:window.ran = 3'>a</a>",
        "[a](javascript:window.ran=4) <svg onload='window.ran = 5'>",
        "</style></details></div><iframe srcdoc='<script>parent.ran = 6</script>'>",
    ]
    shown = [page for text in (*scripts, *HOSTILE, "".join(scripts)) for page in pages_of(text)]
    async with chromium() as page:
        await opened(page, tmp_path, shown)
        await page.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        await page.run(
            "document.querySelectorAll('a').forEach((each) => { if (each.protocol != 'http:') each.click() })"
        )
        assert await page.run("window.ran") is None
        assert await page.run("document.querySelectorAll('script, img, svg, iframe').length") == 0
        assert await page.run("document.querySelectorAll('.contemplate').length") == len(shown)
        assert page.problems == []
