"""The studio in headless Chromium: a drawn stroke is seen by all layers, and every view has an address."""

import contextlib
import threading
import time

import numpy as np
import pytest

pytest.importorskip("starlette")

import uvicorn

from cnnexplain.studio import server
from cnnexplain.studio.requests import Studio


@pytest.fixture(scope="module")
def address(lenet):
    """The address of a studio that runs in a thread, as `server.serve` runs in the main one."""
    studio, listener, found = Studio(lenet, ["mnist:test/42", "mnist:test/0"]), server.bound(None), []
    stopped = []
    served = uvicorn.Server.startup

    async def startup(self, sockets=None):
        stopped.append(self)
        await served(self, sockets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.Server, "startup", startup)
        patch.setattr(uvicorn.Server, "capture_signals", lambda self: contextlib.nullcontext())
        thread = threading.Thread(target=server.serve, args=(studio, listener, found.append))
        thread.start()
        deadline = time.monotonic() + 30
        while not found and time.monotonic() < deadline:
            time.sleep(0.02)
        yield found[0]
        stopped[0].should_exit = True
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def page(browser, address):
    browser.set_window_size(1300, 900)
    browser.get_log("browser")
    browser.get(address)
    waited(browser, lambda: probabilities(browser))
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def waited(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 20).until(lambda _: condition())


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def text(browser, selector):
    return [each.get_attribute("textContent").strip() for each in find(browser, selector)]


def probabilities(browser):
    return text(browser, ".bars .amount")


def best(browser):
    return text(browser, ".bars .best .label")


def pressed(browser, words):
    (button,) = (each for each in find(browser, "button") if each.text == words)
    button.click()


def painted(browser, selector):
    """The pixels of a canvas."""
    script = (
        "const c = document.querySelector(arguments[0]); return [c.width, c.height, "
        "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
    )
    width, height, pixels = browser.execute_script(script, selector)
    return np.array(pixels, np.uint8).reshape(height, width, 4)


def draw(browser, *places):
    """Draws a line through places, given as shares of the sheet."""
    from selenium.webdriver import ActionChains

    (sheet,) = find(browser, ".sheet")
    box = sheet.rect
    actions = ActionChains(browser, duration=20)
    for number, (across, down) in enumerate(places):
        # From the middle of the element.
        actions.move_to_element_with_offset(sheet, round((across - 0.5) * box["width"]), round((down - 0.5) * box["height"]))
        if not number:
            actions.click_and_hold()
    actions.release().perform()


def test_a_drawn_digit_is_seen_by_all_layers(page):
    assert best(page) == ["4"]
    assert text(page, ".layer h3")[:3] == ["conv1", "relu1", "pool1"]
    before = painted(page, ".layer .map")
    pressed(page, "Clear")
    waited(page, lambda: text(page, ".bars .label") and best(page) != ["4"])
    draw(page, (0.3, 0.25), (0.7, 0.25), (0.45, 0.8))
    waited(page, lambda: best(page) == ["7"])
    assert painted(page, ".sheet")[..., 0].max() == 255
    assert not np.array_equal(painted(page, ".layer .map"), before)
    assert any(change.startswith("▲") for change in text(page, ".bars .change"))
    assert text(page, "#status") == [""]


def test_every_view_has_an_address(page):
    find(page, ".layer h3 a")[3].click()
    waited(page, lambda: len(find(page, ".maps.all .map")) == 30)
    assert "/see/conv2" in page.current_url
    assert "token" not in page.current_url
    page.refresh()
    waited(page, lambda: len(find(page, ".maps.all .map")) == 30)
    assert best(page) == ["4"]
    page.back()
    waited(page, lambda: text(page, ".layer h3")[:1] == ["conv1"])
    page.forward()
    waited(page, lambda: text(page, "#view h2") == ["conv2"])


def test_the_input_is_moved_rotated_and_covered(page):
    from selenium.webdriver import Keys

    before = painted(page, ".sheet")[..., 0]
    (sheet,) = find(page, ".sheet")
    sheet.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    waited(page, lambda: np.array_equal(painted(page, ".sheet")[:, 2:, 0], before[:, :-2]))
    pressed(page, "Clear")
    assert not painted(page, ".sheet")[..., 0].any()
    from selenium.webdriver.support.select import Select

    Select(find(page, ".sources select")[0]).select_by_index(2)
    waited(page, lambda: best(page) == ["7"])
    find(page, "input[value=cover]")[0].click()
    draw(page, (0.2, 0.5), (0.8, 0.5))
    waited(page, lambda: (painted(page, ".sheet")[..., 0] == 128).sum() > 20)


def test_the_page_fits_a_phone_and_follows_the_color_scheme(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
