"""A Chromium driven over its DevTools protocol through trio-websocket.

    async with open_chromium() as browser:
        page = await browser.page(width=360, height=740)
        await page.goto(url)
        await page.click("#submit button")

Every wait is for something the browser reports, never for a time. What a page logs as an error, throws, or has
blocked by its Content-Security-Policy is collected in `page.complaints`.
"""

import base64
import json
import math
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
DEADLINE_S = 40.0
"""For each thing that is waited for; two busy cores need a while to start a browser."""

KEYS = {
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Space": ("Space", 32, " "),
    "Escape": ("Escape", 27, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
}
SHIFT = 8


class BrowserError(Exception):
    """Chromium refused a command, or a script of the test threw."""


def why_not() -> str | None:
    """Why no browser can run here; None when one can."""
    if os.environ.get("CI") == "true":
        return "browser tests are left out where CI=true"
    if find() is None:
        return "no Chromium is installed (Debian: apt-get install chromium)"
    return None


def find() -> str | None:
    """The path of a Chromium."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@asynccontextmanager
async def open_chromium() -> AsyncIterator["Browser"]:
    """A browser with an empty profile; it is killed and the profile removed at the end."""
    program = find()
    assert program is not None, why_not()
    with tempfile.TemporaryDirectory(prefix="crowdmesh-chromium-", ignore_cleanup_errors=True) as profile:
        async with trio.open_nursery() as nursery:
            command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
            process = await nursery.start(_run, command)
            try:
                async with open_websocket_url(
                    await _endpoint(Path(profile), process), max_message_size=2**26
                ) as socket:
                    browser = Browser(socket)
                    nursery.start_soon(browser.listen)
                    yield browser
            finally:
                nursery.cancel_scope.cancel()


async def _run(command: list[str], *, task_status: trio.TaskStatus[trio.Process]) -> None:
    await trio.run_process(command, stdout=DEVNULL, stderr=DEVNULL, check=False, task_status=task_status)


async def _endpoint(profile: Path, process: trio.Process) -> str:
    """Chromium writes its port here when it listens; there is no event for that."""
    file = profile / "DevToolsActivePort"
    with trio.fail_after(DEADLINE_S):
        while True:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            if process.returncode is not None:
                raise BrowserError(f"Chromium ended with {process.returncode} before it listened")
            await trio.sleep(0.02)


class Browser:
    """One process; commands go out numbered, answers and events come back over one socket."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}

    async def listen(self) -> None:
        while True:
            try:
                message = json.loads(await self._socket.get_message())
            except ConnectionClosed:
                return
            if "id" in message:
                if (waiting := self._answers.pop(message["id"], None)) is not None:
                    waiting.send_nowait(message)
            elif (page := self._pages.get(message.get("sessionId", ""))) is not None:
                page.happened(message["method"], message["params"])

    async def command(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        sender, receiver = trio.open_memory_channel[dict[str, Any]](1)
        self._answers[number] = sender
        await self._socket.send_message(json.dumps(message))
        with trio.fail_after(DEADLINE_S):
            answer = await receiver.receive()
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def page(
        self, *, width: int = 1280, height: int = 900, scripts: bool = True, dark: bool = False, scale: float = 1
    ) -> "Page":
        """A window, so that several are visible at a time. Size in CSS pixels; `dark` is what the system prefers."""
        target = (await self.command("Target.createTarget", url="about:blank", newWindow=True))["targetId"]
        session = (await self.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = Page(self, session)
        self._pages[session] = page
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.command(f"{domain}.enable")
        await page.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )
        await page.command("Emulation.setFocusEmulationEnabled", enabled=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        await page.command("Emulation.setEmulatedMedia", features=[scheme, still])
        if not scripts:
            await page.command("Emulation.setScriptExecutionDisabled", value=True)
        return page


class Page:
    """One tab, as a person uses it: `goto`, `click`, `fill`, `press`, and what can be read and seen."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self._loads: list[trio.Event] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.navigations = 0

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._browser.command(method, self._session, **params)

    def happened(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self.navigations += 1
            for event in self._loads:
                event.set()
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    @asynccontextmanager
    async def loading(self) -> AsyncIterator[None]:
        """What happens inside makes the tab load a page; leave when it has."""
        event = trio.Event()
        self._loads.append(event)
        try:
            yield
            with trio.fail_after(DEADLINE_S):
                await event.wait()
        finally:
            self._loads.remove(event)

    async def goto(self, url: str) -> None:
        async with self.loading():
            answer = await self.command("Page.navigate", url=url)
            if "errorText" in answer:
                raise BrowserError(f"{url}: {answer['errorText']}")

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        answer = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(answer["exceptionDetails"].get("exception", {}).get("description", expression))
        return answer["result"].get("value")

    async def wait(self, condition: str) -> None:
        """Until a JavaScript expression is true; looked at before each frame."""
        script = f"new Promise(done => {{ const look = () => ({condition}) ? done(1) : requestAnimationFrame(look); look() }})"
        await self.evaluate(script)

    async def box(self, selector: str) -> tuple[float, float, float, float]:
        """(left, top, width, height) in the viewport, after scrolling there."""
        where = await self.evaluate(
            f"(e => {{ if (!e) return null; e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            f" const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height] }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        if where is None or where[2] * where[3] == 0:
            raise BrowserError(f"nothing to see at {selector}")
        left, top, width, height = where
        return left, top, width, height

    async def click(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """With the mouse; `at` is the part of its width and height."""
        left, top, width, height = await self.box(selector)
        x, y = left + width * at[0], top + height * at[1]
        await self.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            await self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def fill(self, selector: str, text: str) -> None:
        """Replace the text of a field, as typed; or choose an option of a select."""
        name = json.dumps(selector)
        is_select = await self.evaluate(
            f"(e => {{ e.focus(); e.select?.(); return e.tagName === 'SELECT' }})(document.querySelector({name}))"
        )
        if is_select:
            await self.evaluate(
                f"(e => {{ e.value = {json.dumps(text)}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
                f"(document.querySelector({name}))"
            )
        else:
            await self.command("Input.insertText", text=text)

    async def press(self, key: str, *, shift: bool = False) -> None:
        """One key, by the names in KEYS or a single character."""
        code, number, text = KEYS.get(key, (f"Key{key.upper()}", ord(key[0].upper()), key))
        name = " " if key == "Space" else key
        common = {"key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": SHIFT if shift else 0}
        await self.command("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **common)

    async def text(self, selector: str = "body") -> str:
        """What a person reads there."""
        found = await self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")
        if found is None:
            raise BrowserError(f"no {selector} on the page")
        return str(found)

    async def url(self) -> str:
        return str(await self.evaluate("location.href"))

    async def screenshot(self, path: Path | None = None, *, whole: bool = True) -> bytes:
        """PNG of the page (or of what the window shows); also written to `path`."""
        answer = await self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        picture = base64.b64decode(answer["data"])
        if path is not None:
            await trio.Path(path).write_bytes(picture)
        return picture

    async def pixels(self, selector: str) -> Sequence[Sequence[int]]:
        """[red, green, blue, how many] of a canvas, the most frequent first."""
        found: list[list[int]] = await self.evaluate(
            f"""(canvas => {{
                const {{ width, height }} = canvas;
                const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
                const counts = new Map();
                for (let i = 0; i < data.length; i += 4) {{
                    if (data[i + 3] < 250) continue;
                    const key = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
                    counts.set(key, (counts.get(key) ?? 0) + 1);
                }}
                return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 200)
                    .map(([key, count]) => [key >> 16, (key >> 8) & 255, key & 255, count]);
            }})(document.querySelector({json.dumps(selector)}))"""
        )
        return found


def distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Between two colours, 0 to 441."""
    return math.dist(one[:3], other[:3])
