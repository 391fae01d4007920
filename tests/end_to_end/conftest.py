"""What all tests of this folder share."""

import os
import shutil

import pytest
from quick_keras import quick  # noqa: F401

SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)


def needed(name):
    """The path of a program; without it the test is skipped, but where CI is set it fails."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"CI needs {name}.")
    return path or pytest.skip(f"{name} is not installed.")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium."""
    chromium, driver = needed("chromium"), needed("chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()
