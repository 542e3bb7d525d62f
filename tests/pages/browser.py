"""Headless Chromium, driven over a pipe by the DevTools protocol: what a page does, and how it looks."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

BINARIES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def found() -> str | None:
    """Path of a Chromium on this machine."""
    return next((path for name in BINARIES if (path := shutil.which(name))), None)


class Browser:
    """A page in a browser, and everything that it reported."""

    def __init__(self, write: BinaryIO, read: BinaryIO) -> None:
        self._write, self._read = write, read
        self._ids = iter(range(1, 1 << 30))
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer; events that arrive before it are kept."""
        message: dict[str, Any] = {"id": next(self._ids), "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while (answer := self._next()).get("id") != message["id"]:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path) -> None:
        """Load a file and wait until it is there."""
        self.events.clear()
        self.call("Page.navigate", url=page.absolute().as_uri())
        while not self.of("Page.loadEventFired"):
            self.events.append(self._next())

    def of(self, *methods: str) -> list[dict[str, Any]]:
        """Parameters of the events of these kinds so far."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def value(self, expression: str) -> Any:
        """Value of a JavaScript expression, run from outside of the page's own policy."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def view(self, width: int, height: int, scheme: str = "light", media: str = "screen") -> None:
        """Size of the window in pixels, and the colour scheme that the reader prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self, *, whole: bool = True) -> bytes:
        """The page as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def pdf(self) -> bytes:
        """The page as printed."""
        self.call("Emulation.setEmulatedMedia", media="")
        answer = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        return base64.b64decode(answer["data"])

    def _next(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser went away")
            data += byte
        message: dict[str, Any] = json.loads(data)
        return message


@contextmanager
def browser(binary: str, folder: Path, flags: Sequence[str] = ()) -> Iterator[Browser]:
    """A browser with a fresh profile in `folder`, ended with the block."""
    to_read, write = os.pipe()
    read, to_write = os.pipe()
    command = [binary, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}"]
    shell = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", shell, str(to_read), str(to_write), *command],
            pass_fds=(to_read, to_write),
            stdout=log,
            stderr=log,
            env=_environment(folder),
            start_new_session=True,
        )
    os.close(to_read)
    os.close(to_write)
    with os.fdopen(write, "wb") as out, os.fdopen(read, "rb") as into:
        try:
            yield Browser(out, into)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _environment(folder: Path) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
