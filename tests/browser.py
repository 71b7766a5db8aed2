"""A real Chromium, driven over its DevTools protocol: https://chromedevtools.github.io/devtools-protocol/.

Only aiohttp is needed, which is there anyway. Where no Chromium is, `CHROMIUM` is None.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# However slow the machine is, by then a page has come, in seconds.
PATIENCE = 60.0
_KEYS: Mapping[str, tuple[str, int]] = {
    "ArrowDown": ("ArrowDown", 40),
    "ArrowUp": ("ArrowUp", 38),
    "ArrowRight": ("ArrowRight", 39),
    "ArrowLeft": ("ArrowLeft", 37),
    "Home": ("Home", 36),
    "End": ("End", 35),
    "Enter": ("Enter", 13),
    "Escape": ("Escape", 27),
    "Tab": ("Tab", 9),
}
# What a page must not do is told to whoever looks.
_WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


class PageError(AssertionError):
    """Raised when a script in the page fails, or what is waited for does not come."""


class Page:
    """One page. `problems` are errors in it, and dialogs, that nobody expects."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.problems: list[str] = []
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()

    async def read(self) -> None:
        """Read what the browser says, to its end."""
        async for message in self._socket:
            said = json.loads(message.data)
            if (waiting := self._answers.pop(said.get("id", 0), None)) is not None:
                if not waiting.done():
                    waiting.set_result(said)
                continue
            about = said.get("params", {})
            match said.get("method"):
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Page.javascriptDialogOpening":
                    self.problems.append(f"a dialog: {about['message']}")
                    self._number += 1
                    accept = {"id": self._number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                    await self._socket.send_json(accept)
                case "Runtime.exceptionThrown":
                    details = about["exceptionDetails"]
                    self.problems.append(str(details.get("exception", {}).get("description") or details["text"]))

    async def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": params})
        said = await asyncio.wait_for(answer, PATIENCE)
        if "error" in said:
            raise PageError(f"{method}: {said['error']['message']}")
        return said["result"]

    async def open(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), PATIENCE)

    async def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        said = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in said:
            raise PageError(f"{script}: {said['exceptionDetails'].get('exception', {}).get('description')}")
        return said["result"].get("value")

    async def wait(self, script: str) -> Any:
        """Wait until an expression in the page is true, and return its value."""
        wanted = f"""new Promise((found, failed) => {{
            const until = performance.now() + {PATIENCE * 900};
            const look = () => {{
                const value = (() => {{ try {{ return {script} }} catch {{ return null }} }})();
                if (value) found(value);
                else if (performance.now() > until) failed(new Error("it did not come"));
                else setTimeout(look, 20);
            }};
            look();
        }})"""
        try:
            return await self.run(wanted)
        except PageError:
            text = await self.run("document.body.innerText.slice(0, 2000)")
            raise PageError(f"{script} did not come true; the page says:\n{text}\n{self.problems}") from None

    async def text(self, selector: str = "body") -> str:
        """Return the text of an element, as it is seen."""
        found: str = await self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return found

    async def click(self, selector: str) -> None:
        """Click with the mouse in the middle of an element."""
        await self.wait(f"document.querySelector({json.dumps(selector)})")
        box = await self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            " return [b.left + b.width / 2, b.top + b.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            place = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
            await self.call("Input.dispatchMouseEvent", type=kind, **place)

    async def key(self, name: str) -> None:
        """Press a key."""
        code, number = _KEYS.get(name, ("", ord(name.upper()) if len(name) == 1 else 0))
        text = {"text": name} if len(name) == 1 else {"text": "\r"} if name == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            about = {"key": name, "code": code, "windowsVirtualKeyCode": number, **(text if kind == "keyDown" else {})}
            await self.call("Input.dispatchKeyEvent", type=kind, **about)

    async def type(self, text: str) -> None:
        """Write a text where the focus is."""
        await self.call("Input.insertText", text=text)

    async def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Set the size of the window; a phone's has fingers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def scheme(self, name: str) -> None:
        """Prefer "light" or "dark"."""
        feature = [{"name": "prefers-color-scheme", "value": name}]
        await self.call("Emulation.setEmulatedMedia", features=feature)

    async def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        said = await self.call("Page.captureScreenshot", format="png")
        await anyio.Path(path).write_bytes(base64.b64decode(said["data"]))

    async def violations(self) -> list[str]:
        """Return which rules of its Content-Security-Policy the page tried to break."""
        found: list[str] = await self.run("window.violations")
        return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """Start Chromium with an empty page, and end it when the block ends."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        options = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-first-run"]
        # In containers there is no sandbox within the sandbox, and little shared memory.
        options += ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-extensions", "about:blank"]
        environment = {**os.environ, "HOME": folder}
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *options,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
        try:
            port = await asyncio.wait_for(_port(Path(folder) / "DevToolsActivePort"), PATIENCE)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                    pages = [each for each in await response.json() if each["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    reading = asyncio.create_task(page.read())
                    for each in ("Page.enable", "Runtime.enable"):
                        await page.call(each)
                    await page.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
                    await page.resize(1280, 800)
                    try:
                        yield page
                    finally:
                        reading.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _port(path: Path) -> int:
    file = anyio.Path(path)
    while not (await file.exists() and (await file.read_text()).strip()):
        await asyncio.sleep(0.02)
    return int((await file.read_text()).split()[0])
