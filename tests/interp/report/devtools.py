"""A headless Chromium that stays open, driven by its DevTools protocol over a pipe: no browser package is needed."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
    # nothing leaves this machine, not even what the browser asks for on its own
    "--proxy-server=127.0.0.1:1", "--proxy-bypass-list=<-loopback>",
)  # fmt: skip
PATIENCE = 60.0  # seconds for one answer


class Browser:
    """The browser's end of the pipe. Commands are sent one at a time; events that come meanwhile are kept."""

    def __init__(self, command: str, profile: Path):
        ours, theirs = os.pipe(), os.pipe()
        self._out, self._in = ours[1], theirs[0]

        def plug() -> None:  # Chromium reads descriptor 3 and writes 4
            reading, writing = os.dup(ours[0]), os.dup(theirs[1])
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        argv = [command, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            argv, preexec_fn=plug, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._buffer, self._last = b"", 0
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """A command, and its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read(PATIENCE)
            assert found is not None, f"no answer to {method}"
            if found.get("id") == self._last:
                assert "error" not in found, (method, found.get("error"))
                return found["result"]
            self.events.append(found)

    def _read(self, patience: float) -> dict[str, Any] | None:
        end = time.monotonic() + patience
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has gone"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)


@dataclass
class Tab:
    """A page in a tab of its own."""

    browser: Browser
    session: str
    target: str
    seen: int = 0
    console: list[str] = field(default_factory=list)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A command to this tab."""
        return self.browser.send(method, self.session, **params)

    def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it is."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, patience: float = PATIENCE) -> Any:
        """Until an expression is true."""
        end = time.monotonic() + patience
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"still not: {script}"
            time.sleep(0.05)
        return value

    def screenshot(self, path: Path, whole: bool = False) -> Path:
        """A picture of the view, or of the whole page."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
        return path

    def pdf(self) -> bytes:
        """The page, printed."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])

    def complaints(self) -> list[str]:
        """Errors, thrown or logged, and addresses outside this machine's files that the page asked for."""
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            method, params = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"].get("exception", {}).get("description", params)))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
            elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(
                ("file:", "data:", "blob:")
            ):
                found.append(params["request"]["url"])
        return found


@contextmanager
def opened(browser: Browser, page: Path, width: int = 1440, height: int = 900, *, dark: bool = False) -> Iterator[Tab]:
    """A page in a new tab of that size; it is closed afterwards."""
    target = browser.send("Target.createTarget", url="about:blank")["targetId"]
    session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    tab = Tab(browser, session, target)
    for domain in ("Page", "Runtime", "Log", "Network"):
        tab.send(f"{domain}.enable")
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    tab.send("Emulation.setEmulatedMedia", features=scheme)
    tab.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
    tab.send("Page.navigate", url=page.as_uri())
    tab.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
    try:
        yield tab
    finally:
        browser.send("Target.closeTarget", targetId=target)
