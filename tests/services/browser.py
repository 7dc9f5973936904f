"""A real browser: Debian's Chromium, driven by Selenium."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")), reason="chromium or chromedriver is not installed"
)
WAIT_SECONDS = 25
EVIL = "evil.example"
"""A name that the browser finds at this machine, as one whose owner has pointed it here."""


class Browser:
    """Chromium without a screen, on the pages of a dashboard."""

    def __init__(self, address: str, screenshots: Path) -> None:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService

        options = ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1360,1000", "lang=en"):
            options.add_argument(f"--{argument}")
        options.add_argument(f"--host-resolver-rules=MAP {EVIL} 127.0.0.1")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.chrome = Chrome(options=options, service=ChromeService(str(shutil.which("chromedriver"))))
        self.address = address
        self.screenshots = screenshots

    def open(self, path: str) -> None:
        self.chrome.get(f"{self.address}{path}")

    def wait_for(self, selector: str, text: str = "") -> Any:
        """Return the first element of a CSS selector that shows a text, once it is there."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        def find(chrome: Any) -> Any:
            elements = chrome.find_elements(By.CSS_SELECTOR, selector)
            return next((element for element in elements if text in element.text and element.is_displayed()), None)

        waiting = WebDriverWait(self.chrome, WAIT_SECONDS, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(find, f"{selector} with {text!r} on {self.chrome.current_url}")

    def picture(self, selector: str) -> tuple[int, int]:
        """Return the size in which the browser decoded a picture, once it has."""
        from selenium.webdriver.support.ui import WebDriverWait

        image = self.wait_for(selector)
        size = "return [arguments[0].naturalWidth, arguments[0].naturalHeight]"
        WebDriverWait(self.chrome, WAIT_SECONDS).until(lambda chrome: chrome.execute_script(size, image)[0] > 0)
        width, height = self.chrome.execute_script(size, image)
        return width, height

    def keep(self, name: str) -> None:
        """Keep what the browser shows, in few colours, which makes the file a third as large."""
        self.screenshots.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(self.chrome.get_screenshot_as_png())) as picture:
            small = picture.convert("RGB").quantize(96, dither=Image.Dither.NONE)
            small.save(self.screenshots / f"{name}.png", optimize=True)

    def hosts(self) -> set[str]:
        """Return every host that the pages so far asked for anything."""
        messages = (json.loads(entry["message"])["message"] for entry in self.chrome.get_log("performance"))
        urls = (
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        )
        return {str(urlsplit(url).hostname) for url in urls if url.startswith("http")}
