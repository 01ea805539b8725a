"""A real browser without a window, spoken to over its debugging pipe: what a page looks like and what it asks for."""

import asyncio
import base64
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The protocol's pipes are the file descriptors 3 and 4.
_WITH_PIPES = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
REQUIRED = "OTACLIENT_REQUIRE_BROWSER"
"""Set where a browser must be there, as in CI: then a missing one fails tests rather than skipping them."""


def browser_path() -> str:
    """Return the browser's program, or skip the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser is installed (looked for {', '.join(NAMES)}); on Debian: apt-get install chromium"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, but {reason}")
        pytest.skip(reason)
    return found


@attrs.define(eq=False)
class Browser:
    """One page of a browser."""

    _reader: asyncio.StreamReader
    _writer: Any
    _session: str | None = None
    _next: int = 0
    requests: list[str] = attrs.field(factory=list)
    """The addresses that the page asked for, its own included, but not what is written into it."""
    complaints: list[str] = attrs.field(factory=list)
    """What the browser said about the page, such as what its policy forbade; and dialogues that it opened."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the debugging protocol and return its result."""
        return await self._until(self._send(method, **parameters), None)

    def _send(self, method: str, **parameters: Any) -> int:
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        return self._next

    async def event(self, name: str) -> dict[str, Any]:
        """Wait for an event."""
        return await self._until(None, name)

    async def _until(self, number: int | None, event: str | None) -> dict[str, Any]:
        while True:
            message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            self._note(message)
            if event is not None and message.get("method") == event:
                return dict(message["params"])
            if number is not None and message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif message.get("method") == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialogue: {parameters['message']}")
            # It would stand in the way of the rest of the page.
            self._send("Page.handleJavaScriptDialog", accept=True)

    async def open(self, file: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Show a file in a window of this size and wait until all of it is there."""
        self.requests.clear()
        self.complaints.clear()
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=file.as_uri())
        await self.event("Page.loadEventFired")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def screenshot(self, *, top: float, height: int) -> bytes:
        """Return a part of the page as PNG."""
        clip = {"x": 0, "y": top, "width": await self.evaluate("innerWidth"), "height": height, "scale": 1}
        shot = await self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    async def printed(self) -> bytes:
        """Return the page as it is printed on A4, as PDF."""
        done = await self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True)
        return base64.b64decode(done["data"])


_OPTIONS: Final = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
)


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Browser]:
    """Run the browser with a profile of its own."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _WITH_PIPES,
        str(theirs_in),
        str(theirs_out),
        browser_path(),
        *_OPTIONS,
        f"--user-data-dir={profile}",
        "about:blank",
        pass_fds=(theirs_in, theirs_out),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**27)
    reading, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb", buffering=0)
    )
    writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(ours_out, "wb", buffering=0))
    page = Browser(reader, writer)
    try:
        targets = (await page.call("Target.getTargets"))["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        page._session = (await page.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            await page.call(f"{domain}.enable")
        yield page
        page._session = None
        await page.call("Browser.close")
    finally:
        reading.close()
        writer.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()
