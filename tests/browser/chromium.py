"""A Chromium without a window, driven through its own debugging protocol over a pair of pipes.

Nothing beside the browser is needed. It keeps what a page complains of, and whatever it
tries to load: a report should do neither.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SETTINGS = (
    "--headless --no-sandbox --disable-gpu --hide-scrollbars --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --remote-debugging-pipe"
)


def found() -> str | None:
    """Return the browser of this machine, None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One browser with one page, to be used as a context.

    Args:
        profile: An empty folder for its settings.

    Attributes:
        complaints: Errors and warnings of the page, in words.
        loaded: The addresses of all that the page asked for.
    """

    def __init__(self, profile: Path) -> None:
        self.complaints: list[str] = []
        self.loaded: list[str] = []
        self._profile = profile
        self._number = 0
        self._left = b""

    def __enter__(self) -> Chromium:
        read_by_it, self._to = os.pipe()
        self._from, written_by_it = os.pipe()
        browser = found()
        assert browser is not None
        words = [browser, *_SETTINGS.split(), f"--user-data-dir={self._profile}", "about:blank"]
        with open(self._profile / "errors.txt", "wb") as errors:
            self._process = subprocess.Popen(  # it reads from descriptor 3 and writes to 4
                ["bash", "-c", f'exec "$@" 3<&{read_by_it} 4>&{written_by_it}', "chromium", *words],
                pass_fds=(read_by_it, written_by_it),
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        os.close(read_by_it)
        os.close(written_by_it)
        self._session: str | None = None
        (target,) = (each for each in self._ask("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def show(self, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a file, in a window of this size."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Page.navigate", url=page.resolve().as_uri())
        self._until("Page.loadEventFired")

    def without_scripts(self) -> None:
        """Let pages that are loaded from now on run no script of their own."""
        self._ask("Emulation.setScriptExecutionDisabled", value=True)

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression comes to in the page."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def move(self, x: float, y: float) -> None:
        """Move the pointer."""
        self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str) -> None:
        """Click the middle of the first element that *selector* finds and that can be seen."""
        x, y = self.value(
            f"(() => {{ const found = [...document.querySelectorAll({selector!r})].find(each => each.offsetParent);"
            "found.scrollIntoView({block: 'center'}); const box = found.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path, whole: bool = True) -> Path:
        """Write what is seen as a PNG, the whole page or just the window."""
        found = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(found["data"]))
        return path

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._heard()
            if heard.get("id") == self._number:
                assert "error" not in heard, f"{method}: {heard['error']}"
                result: dict[str, Any] = heard["result"]
                return result

    def _until(self, event: str) -> None:
        while self._heard().get("method") != event:
            pass

    def _heard(self) -> dict[str, Any]:
        """Return the next message, having noted what it tells about the page."""
        while b"\0" not in self._left:
            part = os.read(self._from, 1 << 16)
            assert part, f"the browser ended: {(self._profile / 'errors.txt').read_text()[-2000:]}"
            self._left += part
        line, _, self._left = self._left.partition(b"\0")
        heard: dict[str, Any] = json.loads(line)
        self._note(heard.get("method"), heard.get("params", {}))
        return heard

    def _note(self, method: str | None, said: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.loaded.append(said["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(f"{said['entry']['level']}: {said['entry']['text']}")
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(f"console.{said['type']}: {said['args']}")
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {said['message']}")
            raise AssertionError(self.complaints[-1])


if __name__ == "__main__":
    if not found():
        sys.exit(
            f"these tests look at pages in a browser, but none of {', '.join(NAMES)} is there. "
            "Install one: apt-get install chromium"
        )
