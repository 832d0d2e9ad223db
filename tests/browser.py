"""A headless Chromium driven over the DevTools protocol: open pages, press keys, evaluate scripts, take screenshots.

`with browser(folder) as chromium: page = chromium.open(url)`. Everything that the page logs, raises or requests is
kept, so that a test can say that nothing went wrong.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")

SECONDS = 60.0
"""Most that a page may take to do what a test waits for."""
_OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --hide-scrollbars --lang=en-US "
    "--disable-dev-shm-usage --remote-debugging-port=0"
).split()
_ADDRESS = re.compile(r"DevTools listening on (ws://\S+)")
_KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowDown": (40, ""), "ArrowUp": (38, "")}
_KEYS |= {"ArrowLeft": (37, ""), "ArrowRight": (39, ""), "End": (35, ""), "Home": (36, ""), " ": (32, " ")}


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Chromium]:
    """A browser with a profile of its own in `folder`, up to the end of the block. It finds no host but this one."""
    assert CHROMIUM
    log = folder / "chromium.log"
    options = [*_OPTIONS, f"--user-data-dir={folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    options[-1] += ", EXCLUDE 127.0.0.1, EXCLUDE localhost"
    with log.open("wb") as stream:
        process = subprocess.Popen([CHROMIUM, *options, "about:blank"], stdout=stream, stderr=stream)
    try:
        yield Chromium(_address(process, log))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := _ADDRESS.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"Chromium did not start: {log.read_text(errors='replace')[-2000:]}")


class Chromium:
    """A running browser."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._pages = address.split("/devtools/")[0]

    @contextlib.contextmanager
    def page(
        self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False, language: str = "en"
    ) -> Iterator[Page]:
        """A page of its own window, loaded, up to the end of the block."""
        with connect(self._address, max_size=None) as control:
            target = _ask(control, 1, "Target.createTarget", {"url": "about:blank"})["targetId"]
        with connect(f"{self._pages}/devtools/page/{target}", max_size=None) as connection:
            page = Page(connection)
            for domain in ("Page", "Runtime", "Network", "Log"):
                page.send(f"{domain}.enable")
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            page.send("Emulation.setDeviceMetricsOverride", size)
            colours = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            page.send("Emulation.setEmulatedMedia", {"features": colours})
            agent = page.evaluate("navigator.userAgent")
            page.send("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": language})
            page.goto(url)
            yield page
            page.send("Page.close")


def _ask(connection: ClientConnection, number: int, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    connection.send(json.dumps({"id": number, "method": method, "params": params}))
    while (told := json.loads(connection.recv(SECONDS))).get("id") != number:
        pass
    return told["result"]


class Page:
    """A page. What it logs, raises and requests is kept in `console` (lines) and `requests` (URLs)."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self._loads = 0
        self.console: list[str] = []
        self.requests: list[str] = []

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result of a command of the protocol."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params or {}}))
        while True:
            told = json.loads(self._connection.recv(SECONDS))
            if told.get("id") == self._number:
                assert "error" not in told, (method, told["error"])
                return told["result"]
            self._note(told)

    def goto(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        before = self._loads
        self.send("Page.navigate", {"url": url})
        self.wait_for("document.readyState === 'complete'", lambda _state: self._loads > before)

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; of a promise what it brings. Raises AssertionError where it fails."""
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        told = self.send("Runtime.evaluate", asked)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait_for(self, script: str, also: Callable[[Any], bool] = bool, seconds: float = SECONDS) -> Any:
        """The value of an expression as soon as `also` holds of it, by default that it is true in Python.

        An element of the page is not: write `!!document.querySelector(...)`.
        """
        end = time.monotonic() + seconds
        while True:
            value = self.evaluate(script)
            if value and also(value):
                return value
            assert time.monotonic() < end, f"{script} is still {value!r}; console: {self.console}"
            time.sleep(0.05)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key: a character, or a name such as Enter, Escape, ArrowDown."""
        code, text = _KEYS.get(key, (ord(key.upper()) if len(key) == 1 else 0, key))
        event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.send("Input.dispatchKeyEvent", event | {"type": "keyDown", "text": text})
        self.send("Input.dispatchKeyEvent", event | {"type": "keyUp"})

    def click(self, selector: str) -> None:
        """Click the middle of the first element that a selector matches, as a mouse does."""
        box = self.wait_for(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)}); if (!found) return null; "
            "found.scrollIntoView({block: 'center', behavior: 'instant'}); const box = found.getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        event = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        self.send("Input.dispatchMouseEvent", event | {"type": "mousePressed"})
        self.send("Input.dispatchMouseEvent", event | {"type": "mouseReleased"})

    def text(self, selector: str = "body") -> str:
        """What is seen of an element."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def foreign_requests(self, own: str) -> list[str]:
        """Requests that went elsewhere than to `own` (the beginning of a URL)."""
        return [url for url in self.requests if not url.startswith((own, "data:", "about:", "blob:"))]

    def screenshot(self, file: Path, *, full: bool = True) -> Path:
        """The page as a PNG; `full` beyond the window's height too."""
        told = self.send("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": full})
        file.write_bytes(base64.b64decode(told["data"]))
        return file

    def _note(self, told: Mapping[str, Any]) -> None:
        method, params = told.get("method"), told.get("params", {})
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.console.append(" ".join(str(one.get("value", one.get("description"))) for one in params["args"]))
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.console.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loads += 1
