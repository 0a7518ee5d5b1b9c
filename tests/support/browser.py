"""Local HTML files in a real browser: Chromium without a window, by Playwright's wheel, which brings its own driver.

The browser is the system's; none is downloaded, and none has a network. Tests ask for the fixture ``browser`` of
``tests/conftest.py``, which skips them where something is missing.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PACKAGES = ("playwright", "axe_playwright_python")
SERIOUS = ("serious", "critical")
SKIPPED = "no browser"  # how the reason begins for which tests are skipped


def program() -> str | None:
    """The browser on PATH."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def missing() -> str | None:
    """Message on what must be installed before pages can be opened, if anything."""
    if program() is None:
        return f"{SKIPPED}: install one of {', '.join(PROGRAMS)} (Debian: apt install chromium)"
    if not all(map(importlib.util.find_spec, PACKAGES)):
        return f"{SKIPPED} can be driven: .venv/bin/python -m pip install --editable '.[browser]'"
    return None


@dataclass(frozen=True)
class Violation:
    """A rule of axe-core that a page breaks, and where: CSS selectors."""

    rule: str
    impact: str
    what: str
    where: tuple[str, ...]


class OpenPage:
    """A page that is open. ``page`` is Playwright's own, to click and type; what it complains of is kept here."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page = page
        self._address = path.resolve().as_uri()
        self._errors: list[str] = []
        self._requests: list[str] = []
        page.on("console", lambda message: message.type == "error" and self._errors.append(message.text))
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("crash", lambda _: self._errors.append("the page crashed"))
        page.on("request", lambda request: self._requests.append(request.url))
        page.on("websocket", lambda socket: self._requests.append(socket.url))
        page.goto(self._address)

    @property
    def errors(self) -> list[str]:
        """Errors that the page wrote to the console, and exceptions that it did not catch."""
        self._heard()
        return list(self._errors)

    @property
    def requests(self) -> list[str]:
        """Addresses of what the page asked for that is neither itself nor within it; other files count too."""
        self._heard()
        inside = ("data:", "blob:", self._address)
        return [address for address in self._requests if not address.startswith(inside)]

    def _heard(self) -> None:
        self.page.evaluate("new Promise(done => setTimeout(done))")  # what came before the answer has been told

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """A PNG file of the page; of what is seen without scrolling, unless ``whole``."""
        self.page.screenshot(path=path, full_page=whole)

    def as_printed(self, *, dark: bool = False) -> None:
        """Show the page from now on as its style for print has it."""
        self.page.emulate_media(media="print", color_scheme="dark" if dark else "light")

    def pdf(self, path: Path) -> None:
        """The page as printed on A4, with its own style for print."""
        self.page.pdf(path=path, format="A4", print_background=True)

    def scrolls_sideways(self) -> bool:
        """True if the page is wider than its window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def axe(self) -> list[Violation]:
        """Serious and critical findings of axe-core. It runs in a world of its own, where no policy of the page
        holds."""
        session = self.page.context.new_cdp_session(self.page)
        frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = session.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]

        def run(script: str) -> Any:
            asked = {"expression": script, "contextId": world, "awaitPromise": True, "returnByValue": True}
            answer = session.send("Runtime.evaluate", asked)
            assert "exceptionDetails" not in answer, answer["exceptionDetails"]
            return answer["result"].get("value")

        run((files("axe_playwright_python") / "axe.min.js").read_text() + "\n;0")
        found = run("axe.run().then(results => results.violations)")
        session.detach()
        return [
            Violation(each["id"], each["impact"], each["help"], tuple(str(node["target"]) for node in each["nodes"]))
            for each in found
            if each["impact"] in SERIOUS
        ]


class Browser:
    """Chromium, started when the first page is opened."""

    def __init__(self) -> None:
        self._stops: list[Any] = []

    @cached_property
    def _chromium(self) -> Any:
        from playwright.sync_api import sync_playwright

        driver = sync_playwright().start()
        self._stops.append(driver.stop)
        as_root = hasattr(os, "geteuid") and os.geteuid() == 0
        chromium = driver.chromium.launch(executable_path=program(), chromium_sandbox=not as_root)
        self._stops.append(chromium.close)
        return chromium

    @contextmanager
    def open_page(
        self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False, reduced_motion: bool = True
    ) -> Iterator[OpenPage]:
        """The HTML file ``path`` in a window of that many CSS pixels, once it and its scripts are loaded."""
        assert path.is_file(), path
        context = self._chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", offline=True,
            reduced_motion="reduce" if reduced_motion else "no-preference", accept_downloads=True,
        )  # fmt: skip
        context.set_default_timeout(10_000)
        try:
            yield OpenPage(context.new_page(), path)
        finally:
            context.close()

    def close(self) -> None:
        """End the browser and its driver; while they run, this thread cannot run asyncio."""
        while self._stops:
            self._stops.pop()()
