"""A real browser, driven over its own protocol: keys in, what is on the page out.

Chromium speaks JSON over two pipes (`--remote-debugging-pipe`), each message ended by a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_NAMED = {
    "Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
}  # fmt: skip

#: What is too pale on a page, by WCAG 2.1 AA: 4.5 for text, 3 for the outlines of controls.
CONTRAST = """(() => {
  const rgb = (c) => { const x = document.createElement("canvas").getContext("2d");
    x.fillStyle = c; x.fillRect(0, 0, 1, 1); return x.getImageData(0, 0, 1, 1).data; };
  const light = (c) => [...rgb(c)].slice(0, 3).map((v) => v / 255)
    .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] === 255) return c; } };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + .05) / (y + .05); };
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    if (!e.checkVisibility() || e.disabled) continue;
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(e);
    if (own && ratio(style.color, ground(e)) < 4.5) low.push(e.outerHTML.slice(0, 80));
    if (e.matches("button") && ratio(style.borderTopColor, ground(e.parentElement)) < 3)
      low.push("outline " + e.outerHTML.slice(0, 80)); }
  return low; })()"""


class Browser:
    """One Chromium; its windows belong to people who know nothing of each other."""

    def __init__(self, profile: Path) -> None:
        to_it, we_write = os.pipe()
        we_read, from_it = os.pipe()
        command = (
            f'exec "$0" "$@" 3<&{to_it} 4>&{from_it}',
            str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", "about:blank",
        )  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", *command],
            pass_fds=(to_it, from_it),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        self._out, self._in = we_write, os.fdopen(we_read, "rb", buffering=0)
        self._buffer, self._number = b"", 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **told: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": told}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            got = self._next()
            if got.get("id") == self._number:
                assert "error" not in got, (method, got["error"])
                return got["result"]
            self.events.append(got)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = self._in.read(65536)
            assert more, "the browser is gone"
            self._buffer += more
        one, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(one)

    def window(self, person: str | None = None) -> Window:
        """A new window, of somebody new or of the person whose window is given."""
        person = person or self.call("Target.createBrowserContext")["browserContextId"]
        told = {"url": "about:blank", "browserContextId": person}
        target = self.call("Target.createTarget", **told)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable", session)
        return Window(self, session, target, person)

    def close(self) -> None:
        """End it."""
        try:
            self.call("Browser.close")
        except (AssertionError, OSError):
            self._process.kill()
        self._process.wait(20)
        os.close(self._out)
        self._in.close()


class Window:
    """One page, of one person."""

    def __init__(self, browser: Browser, session: str, target: str, person: str) -> None:
        self.browser, self.session, self.target, self.person = browser, session, target, person

    def call(self, method: str, **told: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **told)

    def let_go(self) -> None:
        """Let the requests go on that `Fetch.enable` has held, one at least.

        To end the holding alone is not enough: a request that is just being held may hang for good.
        """
        self.wait(lambda: self.value("true") and self._held(), "a request is held")
        for event in self._held():
            self.call("Fetch.continueRequest", requestId=event["params"]["requestId"])
        self.call("Fetch.disable")

    def _held(self) -> list[dict[str, Any]]:
        found = [one for one in self.browser.events if one.get("sessionId") == self.session]
        return [one for one in found if one.get("method") == "Fetch.requestPaused"]

    def size(self, width: int, height: int, scheme: str = "light") -> None:
        """As wide and high as that, in light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme_ = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=scheme_)

    def open(self, url: str) -> None:
        """Go there and wait for the page."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is worth on the page."""
        told = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        got = self.call("Runtime.evaluate", **told)
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def until(self, expression: str, seconds: float = 20) -> None:
        """Wait until it holds."""
        self.wait(lambda: self._tried(f"Boolean({expression})"), expression, seconds)

    def wait(self, holds: Callable[[], Any], told: str, seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := holds():
                return found
            time.sleep(0.02)
        seen = self._tried("document.body.innerText")
        raise AssertionError(f"never: {told}\nThe page says:\n{seen}")

    def _tried(self, expression: str) -> Any:
        try:
            return self.value(expression)
        except AssertionError:  # between two pages
            return None

    def press(self, key: str, repeat: bool = False) -> None:
        """Press a key and let it go."""
        name, number, text = _NAMED.get(key, (key, ord(key.upper()[0]), key))
        code = f"Digit{key}" if key.isdigit() else f"Key{key.upper()}" if key.isalpha() else ""
        told = {"key": name, "windowsVirtualKeyCode": number, "code": name if text != key else code}
        kind = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", autoRepeat=repeat, **kind, **told)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def type(self, word: str) -> None:
        """Type a word."""
        for sign in word:
            self.press(sign)

    def text(self, selector: str) -> str:
        """What the first such element says, as a person sees it."""
        return self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def picture(self, file: Path) -> None:
        """What it looks like, as a PNG."""
        told = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        file.write_bytes(base64.b64decode(told["data"]))

    def complaints(self) -> list[str]:
        """What the console was told: errors, exceptions, breaches of the policy."""
        said = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                said.append(str(told["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
                said.append(told["entry"]["text"])
        return said
