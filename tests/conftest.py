"""Fixtures of the tests that drive pages in a browser; the others are in the root's conftest."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium without a window, one for all tests; its camera shows a test picture."""
    driver = shutil.which("chromedriver")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not (driver and chromium):
        pytest.skip("no Chromium with chromedriver on this machine")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    camera = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1100,900", *camera):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()
