"""A report in headless Chromium, from a file: its maps are read with pointer and keys, and it fits every screen."""

import base64
import io
import math
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pages
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.plugin import Panel
from cnnexplain.rendering import packed_maps, panels

SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
VALUES = np.random.default_rng(1).normal(0, 3, (1, pages.HEIGHT, pages.WIDTH)).astype(np.float32)
FAR = (VALUES**2 * 1e-5).astype(np.float32)
STEPS = [packed_maps.packed(values[0])["step"] for values in (VALUES, FAR)]


def needed(name):
    """The path of a program; without it the test is skipped, but where CI is set it fails."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"CI needs {name}.")
    return path or pytest.skip(f"{name} is not installed.")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
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


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of hostile names, with two main maps of one unit that differ much in size, and a further one."""
    word = pages.HOSTILE
    made = pages.analysis(word=word, maps={"signed_map": "volts"}, finding=lambda record, index: f"Found{word}")
    other = pages.analysis("far-map", maps={"unsigned_map": "volts", "further_map": "amperes"})
    labels = tuple(f"{label}{word}" for label in ("cat", "dog", "owl"))
    one = f"one{word}.png"
    found = pages.verification([one], word=word, values=(0.5, 3.0, None))
    records = [
        pages.record([one], made=each, labels=labels, arrays=arrays, facts={word: [word]}, verification=found)
        for each, arrays in ((made, {"signed_map": VALUES}), (other, {"unsigned_map": FAR, "further_map": VALUES + 1}))
    ]
    path = tmp_path_factory.mktemp("report") / "report.html"
    return cx.write_report(path, pages.Stand(labels=labels), records)


@pytest.fixture
def opened(browser, report):
    """The report as it is opened from the disk, on a desktop."""
    resize(browser, 1200)
    show(browser, report)
    return browser


def settle(browser):
    """Waits for the events that follow another only later, such as that a dialog has closed, and for the next picture."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(arguments[0])))")


def show(browser, path):
    from selenium.webdriver.support.ui import WebDriverWait

    emulate(browser, {"media": "", "features": []})
    browser.get_log("browser")
    browser.get(path.as_uri())
    WebDriverWait(browser, 20).until(
        lambda browser: browser.execute_script(
            "return [...document.querySelectorAll('.maps')].every((each) => !each.hidden)"
        )
    )
    settle(browser)


def resize(browser, width, mobile=False):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    settle(browser)


def emulate(browser, media):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    settle(browser)


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def click(browser, element):
    """Clicks an element in the middle of the screen: what scrolls there smoothly, or moves as images load, is missed."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    element.click()
    settle(browser)


def press(browser, element, *keys):
    element.send_keys(*keys)
    settle(browser)


def text(browser, selector):
    return [each.get_attribute("textContent").strip() for each in find(browser, selector)]


def pixels(browser, number):
    """What is painted on a map's canvas, (H, W, 3)."""
    address = browser.execute_script(
        "return document.querySelectorAll('.stage canvas')[arguments[0]].toDataURL('image/png')", number
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB")).astype(int)


def set_blend(browser, value):
    browser.execute_script(
        "const slider = document.querySelector('.blend'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input'))",
        value,
    )


def words(value, step=None):
    """A value as the page writes it: four digits that count, or those of it that are known to a step."""
    size = abs(float(value))
    if size == 0:
        return "0"
    known = 4 if step is None else math.floor(math.log10(size)) - math.ceil(math.log10(step)) + 1
    digits = max(1, min(4, known))
    if size < 1e-3 or size >= 1e5:
        mantissa, exponent = f"{float(value):.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent):+d}".replace("-", "−")
    return f"{float(f'{float(value):.{digits}g}'):g}".replace("-", "−")


def read(number, row, column):
    """What the page reads at a pixel of one of the main maps."""
    values = pages.unpacked(packed_maps.packed((VALUES, FAR)[number][0]))
    return words(values[row, column], STEPS[number])


def test_no_policy_violations_scripts_or_requests(opened):
    assert opened.get_log("browser") == []
    assert opened.execute_script("return window.hacked") is None
    fetched = opened.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []
    # The policy is in force: what isn't ours does not run, nor load.
    opened.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.hacked = 1';"
        "document.body.append(script);"
        "const picture = new Image(); picture.src = 'http://127.0.0.1:9/x.png'; document.body.append(picture)"
    )
    assert opened.execute_script("return window.hacked") is None
    logged = " ".join(each["message"] for each in opened.get_log("browser"))
    assert "script-src" in logged
    assert "img-src" in logged


def test_pointer_shows_the_value_of_a_pixel(opened):
    from selenium.webdriver import ActionChains

    canvas = find(opened, ".stage canvas")[0]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    size = canvas.size
    for row, column in ((0, 0), (2, 5), (pages.HEIGHT - 1, pages.WIDTH - 1)):
        right = round((column + 0.5) * size["width"] / pages.WIDTH - size["width"] / 2)
        down = round((row + 0.5) * size["height"] / pages.HEIGHT - size["height"] / 2)
        ActionChains(opened).move_to_element_with_offset(canvas, right, down).perform()
        settle(opened)
        (readout,) = text(opened, ".readout")
        assert readout == f"made-map, signed map: {read(0, row, column)} volts at row {row}, column {column}"
        # The same pixel in all the maps.
        assert text(opened, ".value")[:2] == [read(0, row, column), read(1, row, column)]
        assert float(read(0, row, column).replace("−", "-")) == pytest.approx(VALUES[0, row, column], abs=STEPS[0] + 5e-4)


def test_arrow_keys_show_the_value_of_a_pixel(opened):
    from selenium.webdriver import Keys

    canvas = find(opened, ".stage canvas")[1]
    # From the slider on with the tab key: over the choice of the scale and the first map.
    press(opened, find(opened, ".blend")[0], Keys.TAB, Keys.TAB)
    press(opened, opened.switch_to.active_element, Keys.TAB)
    assert opened.switch_to.active_element == canvas or opened.switch_to.active_element == find(opened, ".stage canvas")[0]
    press(opened, canvas, Keys.ARROW_LEFT, Keys.ARROW_UP)
    row, column = pages.HEIGHT // 2 - 1, pages.WIDTH // 2 - 1
    assert text(opened, ".readout") == [f"far-map, unsigned map: {read(1, row, column)} volts at row {row}, column {column}"]
    press(opened, canvas, Keys.SHIFT + Keys.ARROW_RIGHT)
    assert text(opened, ".readout")[0].endswith(f"column {pages.WIDTH - 1}")
    press(opened, canvas, Keys.ARROW_RIGHT, *[Keys.ARROW_DOWN] * 20)
    assert text(opened, ".readout")[0].endswith(f"row {pages.HEIGHT - 1}, column {pages.WIDTH - 1}")
    outline = opened.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def still(opened):
    """Jumps instead of scrolling."""
    motion = {"name": "prefers-reduced-motion", "value": "reduce"}
    emulate(opened, {"features": [motion]})


def test_details_open_with_a_click(opened):
    from selenium.webdriver.support.ui import WebDriverWait

    still(opened)
    further = find(opened, ".others canvas")[0]
    picture = find(opened, ".mapped .picture")[0]
    assert not further.is_displayed()
    assert not picture.is_displayed()
    click(opened, find(opened, ".others > summary")[0])
    assert further.is_displayed()
    click(opened, find(opened, ".findings a")[0])
    # The page hears of a new address a moment later.
    WebDriverWait(opened, 20).until(lambda _: picture.is_displayed())
    # The contents lead to it too, after it was closed again, and tell where the reader is.
    click(opened, find(opened, ".entry.mapped > summary")[0])
    assert not picture.is_displayed()
    click(opened, find(opened, ".side a[href='#image-1-1']")[0])
    WebDriverWait(opened, 20).until(lambda _: picture.is_displayed())
    top = opened.execute_script("return document.getElementById('image-1-1').getBoundingClientRect().top")
    assert 0 <= top < 450


def test_a_click_enlarges_a_map_and_shows_receptive_fields(opened, tmp_path):
    from selenium.webdriver import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    word = pages.HOSTILE
    maps = np.random.default_rng(2).normal(0, 3, (5, 3, 4)).astype(np.float32)
    names = [f"{number}{word}" for number in range(5)]
    # Each place sees 2 of the 6 rows, from row −1 on and 2 apart, and 3 of the 8 columns.
    sheet = Panel(f"five{word}", maps, names, "volts", [2.346, -1, 0, 1e-5, 3], "amperes", 2, [[-1, 2, 2], [0, 2, 3]])
    made = pages.analysis(maps={}, panels=lambda record, index: [sheet])
    path = cx.write_report(tmp_path / "panels.html", pages.Stand(), [pages.record(made=made)])
    still(opened)
    show(opened, path)
    WebDriverWait(opened, 20).until(lambda browser: find(browser, ".thumbs button"))
    assert not find(opened, ".picture")[0].is_displayed()
    first, second = find(opened, ".thumbs button")
    assert first.text.split("\n")[-1] == "+2.35"
    assert first.get_attribute("aria-label") == f"map 0{word} +2.35 amperes: enlarge"
    click(opened, second)
    assert find(opened, ".zoom")[0].is_displayed()
    assert text(opened, ".zoom h4") == [f"map 1{word} · −1 amperes · five{word}"]
    # A map's values are known to a 63rd of its range.
    step = float(np.ptp(maps[1])) / panels.LEVELS
    press(opened, find(opened, ".zoom canvas")[0], Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_LEFT)
    (said,) = text(opened, ".zoom output")
    place, _, value = said.partition(": ")
    assert place == "Row 0, column 1"
    assert float(value.split()[0].replace("−", "-")) == pytest.approx(maps[1, 0, 1], abs=1.5 * step)
    assert said.endswith(" volts; sees rows 0 to 0, columns 2 to 4.")
    style = "const s = document.querySelectorAll('.zoom .frame')[1].style; return [s.top, s.left, s.height, s.width]"
    found = [float(side.strip("%")) for side in opened.execute_script(style)]
    assert found == pytest.approx([0, 100 * 2 / 8, 100 / 6, 100 * 3 / 8], abs=1e-2)
    click(opened, find(opened, ".zoom .after")[0])
    assert text(opened, ".zoom h4")[0].startswith("map 0")
    click(opened, find(opened, ".zoom .shut")[0])
    assert not find(opened, ".zoom")[0].is_displayed()
    click(opened, find(opened, ".strip > summary")[0])
    WebDriverWait(opened, 20).until(lambda browser: len(find(browser, ".thumbs button")) == 5)
    assert opened.get_log("browser") == []
    assert opened.execute_script("return window.hacked") is None
    resize(opened, 360)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 360


def test_irregular_receptive_fields_are_shown(opened, tmp_path):
    from selenium.webdriver import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    rows, columns = [[0, 2], [1, 2], [3, 6]], [[0, 1], [0, 3], [2, 8], [0, 0]]
    sheet = Panel("one", np.ones((1, 3, 4), np.float32), ["0"], "volts", field=[rows, columns])
    made = pages.analysis(maps={}, panels=lambda record, index: [sheet])
    path = cx.write_report(tmp_path / "spans.html", pages.Stand(), [pages.record(made=made)])
    still(opened)
    show(opened, path)
    WebDriverWait(opened, 20).until(lambda browser: find(browser, ".thumbs button"))
    click(opened, find(opened, ".thumbs button")[0])
    canvas = find(opened, ".zoom canvas")[0]
    (said,) = text(opened, ".zoom output")
    # In the middle, row 1 and column 2.
    assert said.endswith("sees rows 1 to 1, columns 2 to 7.")
    press(opened, canvas, Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    assert text(opened, ".zoom output")[0].endswith("sees rows 3 to 5, columns 0 to 2.")
    press(opened, canvas, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert text(opened, ".zoom output")[0].endswith("sees nothing of the image.")
    assert opened.get_log("browser") == []


def test_contents_are_a_sidebar_or_fold_on_a_phone(opened):
    still(opened)
    links = find(opened, ".side a")
    assert all(each.is_displayed() for each in links)
    targets = [each.get_attribute("href").partition("#")[2] for each in links]
    assert targets[-1] == "repeat"
    assert all(len(find(opened, f"[id='{target}']")) == 1 for target in targets)
    resize(opened, 390, mobile=True)
    assert not links[-1].is_displayed()
    click(opened, find(opened, ".side summary")[0])
    assert links[-1].is_displayed()
    click(opened, links[-1])
    assert not links[-1].is_displayed()
    # It stays in reach, and covers no heading.
    heading, bar = opened.execute_script(
        "return ['#repeat h2', '.side'].map((each) => document.querySelector(each).getBoundingClientRect())"
    )
    assert bar["top"] == 0
    assert heading["top"] >= bar["bottom"]


def test_slider_blends_image_and_map_in_the_palette(opened):
    import matplotlib as mpl

    set_blend(opened, 100)
    for number, (values, low, high) in enumerate(
        [(VALUES[0], -draw.percentile_limit(VALUES), draw.percentile_limit(VALUES)), (FAR[0], 0, draw.percentile_limit(FAR))]
    ):
        colors = mpl.colormaps[draw.DEFAULT_PALETTE.unsigned if number else draw.DEFAULT_PALETTE.signed]
        expected = 255 * colors((values - low) / (high - low))[..., :3]
        # An entry of the palette more or less.
        assert np.abs(pixels(opened, number) - expected).max() <= 6
    full = pixels(opened, 0)
    set_blend(opened, 0)
    image = np.round(255 * np.linspace(0, 1, pages.HEIGHT * pages.WIDTH)).reshape(pages.HEIGHT, pages.WIDTH, 1)
    assert np.abs(pixels(opened, 0) - image).max() <= 1
    set_blend(opened, 50)
    half = pixels(opened, 0)
    record = pages.record(arrays={"signed_map": VALUES})
    expected = 255 * draw.overlay_rgb(record, 0, VALUES[0], limit=draw.percentile_limit(VALUES), signed=True)
    assert np.median(np.abs(half - expected)) <= 1
    # A value that falls into the next of 256 colors is a step of them off.
    assert np.abs(half - expected).max() <= 6
    set_blend(opened, 20)
    assert np.abs(pixels(opened, 0) - (0.4 * half + 0.6 * image)).max() <= 1.5
    assert not np.array_equal(full, half)


def test_overlay_is_drawn_but_raw_values_are_shown(opened, tmp_path):
    prepared = np.abs(VALUES[0]).cumsum(axis=1).astype(np.float32)
    made = pages.analysis(maps={"signed_map": "volts"}, overlay=lambda record, index: prepared)
    record = pages.record(made=made, arrays={"signed_map": VALUES**2})
    show(opened, cx.write_report(tmp_path / "report.html", pages.Stand(), [record]))
    expected = 255 * draw.overlay_rgb(record, 0, prepared, limit=draw.percentile_limit(prepared))
    assert np.abs(pixels(opened, 0) - expected).max() <= 8
    assert text(opened, ".high") == [f"≥ {words(draw.percentile_limit(prepared))}"]
    opened.execute_script("document.querySelector('.map canvas').dispatchEvent(new PointerEvent('pointermove'))")
    assert text(opened, ".value") == [words((VALUES**2)[0, 0, 0], packed_maps.packed((VALUES**2)[0])["step"])]
    click(opened, find(opened, ".smooth")[0])
    expected = 255 * draw.overlay_rgb(record, 0, (VALUES**2)[0], limit=draw.percentile_limit(VALUES**2))
    assert np.abs(pixels(opened, 0) - expected).max() <= 8
    assert text(opened, ".high") == [f"≥ {words(draw.percentile_limit(VALUES**2))}"]


def test_maps_with_the_same_unit_can_share_a_scale(opened):
    own, other = draw.percentile_limit(VALUES), draw.percentile_limit(FAR)
    # The largest value lies a little beyond what is drawn, as in the pictures.
    ends = [f"≤ −{words(own)}", "0"], [f"≥ {words(own)}", f"≥ {words(other)}"]
    assert (text(opened, ".low")[:2], text(opened, ".high")[:2]) == ends
    set_blend(opened, 100)
    before = pixels(opened, 1)
    click(opened, find(opened, ".scale[value=shared]")[0])
    assert (text(opened, ".low")[:2], text(opened, ".high")[:2]) == (
        [f"≤ −{words(own)}", "0"],
        [f"≥ {words(own)}", words(own)],
    )
    # What is small beside the other map is at the dark end now.
    assert np.ptp(pixels(opened, 1), axis=(0, 1)).max() < 20 < np.ptp(before, axis=(0, 1)).max()
    click(opened, find(opened, ".scale[value=own]")[0])
    np.testing.assert_array_equal(pixels(opened, 1), before)


@pytest.mark.parametrize("width", [390, 320, 1200])
def test_page_is_never_wider_than_the_screen(opened, width):
    resize(opened, width, mobile=width < 400)
    wide = opened.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1] <= width


def luminance(color):
    channels = [float(each) / 255 for each in color.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark_mode(opened, scheme):
    emulate(opened, {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    color = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    ground = luminance(opened.execute_script(color, "body", "backgroundColor"))
    assert (ground < 0.05) == (scheme == "dark")
    card = luminance(opened.execute_script(color, "article", "backgroundColor"))
    for selector, behind in (("body", ground), (".lead", ground), ("nav a", ground), (".limits", card), (".shows", card)):
        above = luminance(opened.execute_script(color, selector, "color"))
        low, high = sorted([above, behind])
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector  # WCAG 2.1, AA.


def test_print_keeps_pictures_and_hides_controls(opened):
    emulate(opened, {"media": "print"})
    shown = "return [...document.querySelectorAll(arguments[0])].map((each) => getComputedStyle(each).display)"
    assert set(opened.execute_script(shown, ".maps, nav")) == {"none"}
    assert "none" not in opened.execute_script(shown, ".picture, .seen img, .limits")
    assert base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"]).startswith(b"%PDF")


CLOSED = """return [...document.querySelectorAll('details.more:not([open])')].map((each) => {
    const table = each.querySelector('table');
    // Measured first: it lays the page out for the medium, and checkVisibility does not.
    const height = each.getBoundingClientRect().height - each.querySelector('summary').getBoundingClientRect().height;
    return {height, words: table.checkVisibility({contentVisibilityAuto: true}) ? table.innerText : ''};
})"""
"""What is seen of what is closed: its words, and how far it reaches below its title."""


@pytest.mark.parametrize("page", ["report", "index"])
def test_print_opens_closed_sections(opened, tmp_path, page):
    if page == "index":
        pages.record().save(tmp_path / "out")
        show(opened, tmp_path / "out/index.html")
    # A page without a script: the style sheet opens it, and leaves it closed on the screen.
    assert {each["words"] for each in opened.execute_script(CLOSED)} == {""}
    emulate(opened, {"media": "print"})
    seen = opened.execute_script(CLOSED)
    assert seen
    assert min(each["height"] for each in seen) > 20
    read = " ".join(" ".join(each["words"] for each in seen).split())
    assert "--depth 3 How deep." in read
    if page == "report":
        assert f"{pages.HOSTILE} {pages.HOSTILE}" in read  # A fact and its value.
        assert "SHA-256" in read


def test_print_has_no_scrolling_and_a_page_per_image(opened, tmp_path):
    records = [pages.record(["one.png", "two.png", "three.png"])]
    show(opened, cx.write_report(tmp_path / "report.html", pages.Stand(), records))
    emulate(opened, {"media": "print"})
    style = "return [...document.querySelectorAll(arguments[0])].map((each) => getComputedStyle(each)[arguments[1]])"
    assert opened.execute_script(style, "section.image", "breakBefore") == ["auto", "page", "page"]
    assert set(opened.execute_script(style, ".wide", "overflowX")) == {"visible"}
    # An analysis is longer than what is left of a page: it may go on on the next, but its picture is whole.
    assert set(opened.execute_script(style, "article", "breakInside")) == {"auto"}
    assert set(opened.execute_script(style, "figure", "breakInside")) == {"avoid"}


BROKEN = """return [...document.querySelectorAll('.ends span')].flatMap((each) => {
    const node = each.firstChild;
    return [...node.data.matchAll(/\\S+/g)].filter((word) => {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        return range.getClientRects().length !== 1;
    }).map((word) => word[0]);
})"""
"""The words beside a color bar that stand on more than one line."""


@pytest.mark.parametrize("width", [1280, 390])
def test_color_bar_labels_are_not_broken(opened, tmp_path, width):
    values = -2.345e-4 * np.linspace(-1, 1.001, 90 * 30, dtype=np.float32).reshape(1, 90, 30)
    preprocess = Preprocess(90, 30, "gray")
    arrays = {name: (index + 1) * values for index, name in enumerate(("first", "second", "third"))}
    units = dict(zip(arrays, ("probability", "logits", "activation per unit of the input"), strict=True))
    record = pages.record(
        made=pages.analysis(maps=units), images=values[..., None] * 0 + 0.5, arrays=arrays, preprocess=preprocess
    )
    path = cx.write_report(tmp_path / "report.html", pages.Stand(preprocess=preprocess), [record])
    resize(opened, width, mobile=width < 400)
    show(opened, path)
    assert text(opened, ".unit") == list(units.values())
    assert "e−4" in text(opened, ".low")[0]  # Long ends, which leave the unit little room.
    assert opened.execute_script(BROKEN) == []
    assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_adjacent_maps_are_aligned_at_the_top(opened):
    opened.execute_script('document.querySelector(".map figcaption").textContent = "a long name ".repeat(12)')
    (named, first), (short, second) = opened.execute_script(
        'return [...document.querySelectorAll(".map")].map((each) => ["figcaption", ".stage"].map('
        "(part) => each.querySelector(part).getBoundingClientRect())).map(([name, map]) => [name.height, map.top])"
    )[:2]
    assert named > 2 * short
    assert first == second


def test_phone_shows_option_help_below_its_value(opened, tmp_path):
    resize(opened, 390, mobile=True)
    show(opened, cx.write_report(tmp_path / "report.html", pages.Stand(), [pages.record()]))
    opened.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    cells = opened.execute_script(
        "return [...document.querySelectorAll('.options tr > *')].map((each) => {"
        "const {left, top, bottom, width} = each.getBoundingClientRect();"
        "return {words: each.innerText.trim(), left, top, bottom, width}})"
    )
    flag, value, told = cells
    assert [each["words"] for each in cells] == ["--depth", "3", "How deep."]
    assert told["top"] >= max(flag["bottom"], value["bottom"])
    assert told["left"] == flag["left"]
    assert told["width"] > 200
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 390


def test_every_picture_is_shown_without_javascript(browser, report):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(report.as_uri())
        html = browser.execute_cdp_cmd("DOM.getDocument", {"depth": -1})["root"]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert html
    assert not find(browser, ".maps")[0].is_displayed()
    assert all(each.is_displayed() for each in find(browser, ".picture, .seen img"))


NAMES = ("b 10.png", "b 9.png", f"{pages.HOSTILE}.png", "a.png", "b 11.png", "c.png", "d#%41.png", "e.png")
PREDICTED = (2, 0, 1, 1, 2, 1, 1, 1)
LABELS = ("cat", f"dog{pages.HOSTILE}", "owl")
SURE = (0.5, 0.75, 0.25, 0.625, 0.875, 0.0625, 0.125, 0.1875)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """The page of a folder with the result for eight images."""
    made = pages.analysis(finding=lambda record, index: f"It is number {index}.{pages.HOSTILE}")
    record = pages.record(NAMES, made=made, labels=LABELS)
    explained = tuple(
        replace(each, prediction=index, target=index, probability=sure)
        for each, index, sure in zip(record.explained, PREDICTED, SURE, strict=True)
    )
    folder = tmp_path_factory.mktemp("sheet") / "out"
    replace(record, explained=explained).save(folder, dpi=40)
    return folder / "index.html"


def order(browser):
    return [NAMES.index(each.get_attribute("title")) for each in find(browser, ".tile .name") if each.is_displayed()]


def choose(browser, selector, words):
    from selenium.webdriver.support.ui import Select

    Select(find(browser, selector)[0]).select_by_visible_text(words)


def test_contact_sheet_sorts_and_filters(browser, sheet):
    resize(browser, 1200)
    show(browser, sheet)
    assert order(browser) == list(range(8))
    assert text(browser, ".tile .shows")[0] == "owl 50.0%"
    expected = {
        "probability, highest first": [4, 1, 3, 0, 2, 7, 6, 5],
        "probability, lowest first": [5, 6, 7, 2, 0, 3, 1, 4],
        # 9 before 10, as people count.
        "name": [2, 3, 1, 0, 4, 5, 6, 7],
        "prediction": [1, 3, 2, 7, 6, 5, 4, 0],
        "input order": list(range(8)),
    }
    for words, places in expected.items():
        choose(browser, ".order", words)
        assert order(browser) == places, words
    choose(browser, "select.class", f"{LABELS[1]} (5)")
    assert order(browser) == [2, 3, 5, 6, 7]
    assert text(browser, ".chooser output") == ["5 of 8"]
    choose(browser, "select.class", "all")
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.hacked") is None


def test_contact_sheet_shows_and_opens_each_image(browser, sheet):
    from selenium.webdriver import Keys

    resize(browser, 1200)
    show(browser, sheet)
    style = browser.execute_script(
        "return [...document.querySelectorAll('.thumb')].map((each) => {"
        "const {backgroundImage, backgroundPosition, backgroundSize} = getComputedStyle(each);"
        "return [backgroundImage, backgroundPosition, backgroundSize]})"
    )
    assert all("/thumbnails.webp" in image for image, _, _ in style)
    assert [size for _, _, size in style] == ["300% 300%"] * 8
    assert [place for _, place, _ in style][:4] == ["0% 0%", "50% 0%", "100% 0%", "0% 50%"]
    loaded = browser.execute_async_script(
        "const image = new Image(); image.onload = () => arguments[0](image.naturalWidth);"
        "image.onerror = () => arguments[0](0); image.src = './thumbnails.webp'"
    )
    assert loaded == 3 * pages.WIDTH
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", find(browser, ".tile")[6])
    click(browser, find(browser, ".tile a")[6])
    assert find(browser, ".viewer")[0].is_displayed()
    assert text(browser, ".viewer h2") == [NAMES[6]]
    assert text(browser, ".viewer .finding")[0].startswith("It is number 6.")
    assert browser.execute_async_script(
        "document.querySelector('.viewer img').decode().then(() => arguments[0](true), () => arguments[0](false))"
    )
    press(browser, browser.switch_to.active_element, Keys.ARROW_RIGHT)
    assert text(browser, ".viewer h2") == [NAMES[7]]
    assert find(browser, ".viewer .after")[0].get_property("disabled")
    press(browser, browser.switch_to.active_element, Keys.ESCAPE)
    assert not find(browser, ".viewer")[0].is_displayed()
    assert browser.switch_to.active_element == find(browser, ".tile a")[7]
    assert browser.get_log("browser") == []


def test_contact_sheet_is_a_list_without_javascript(browser, sheet):
    resize(browser, 390, mobile=True)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(sheet.as_uri())
        assert all(each.is_displayed() for each in find(browser, ".tile a"))
        assert not find(browser, ".chooser")[0].is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    show(browser, sheet)
    assert browser.execute_script("return document.documentElement.scrollWidth <= 390")


def test_contact_sheet_of_many_images_loads_lazily(browser, tmp_path):
    from cnnexplain.results import index_files

    def part(number):
        images = [
            {
                "source": f"{number}-{index}.png",
                "prediction": "cat",
                "prediction_index": 0,
                "probability": 0.5,
                "target": None,
                "objective": None,
                "picture": f"{number}-{index}.png",
                "finding": "A finding of some length, with 12 numbers.",
            }
            for index in range(250)
        ]
        small = {"files": [f"thumbnails-{number:05}.webp"], "height": 128, "width": 128, "columns": 16}
        return {"images": images, "warnings": [], "skipped": {}, "thumbnails": small}

    result = {**pages.PROVENANCE, "cnnexplain": "0.1.0", "options": {"depth": 3}, "overview": []}
    result |= {"seconds": 2.0, "complete": True}
    index_files.write_index(tmp_path / "index.html", pages.analysis(), result, map(part, range(20)), 5_000)
    resize(browser, 1200)
    begun = time.perf_counter()
    show(browser, tmp_path / "index.html")
    choose(browser, ".order", "name")
    assert time.perf_counter() - begun < 20
    asked = "return [...document.querySelectorAll('.thumb')].filter((each) => each.style.backgroundImage).length"
    assert 0 < browser.execute_script(asked) < 1000
    before = browser.execute_script(asked)
    browser.execute_async_script(
        "scrollTo({top: document.body.scrollHeight / 2, behavior: 'instant'});"
        "requestAnimationFrame(() => setTimeout(arguments[0], 200))"
    )
    assert before < browser.execute_script(asked) < 2000


def test_index_shows_the_pictures_in_its_folder(browser, tmp_path):
    record = pages.record([f"a b#{number}%41.png" for number in range(3)])
    record.save(tmp_path / "out")
    resize(browser, 390, mobile=True)
    show(browser, tmp_path / "out/index.html")
    assert browser.get_log("browser") == []
    loaded = browser.execute_async_script(
        "const done = arguments[0]; const all = [...document.querySelectorAll('.row img')];"
        "for (const each of all) each.loading = 'eager';"
        "Promise.all(all.map((each) => each.decode().then(() => each.naturalWidth))).then(done, () => done(null))"
    )
    assert len(loaded) == 3
    assert min(loaded) > 0
    assert browser.execute_script("return document.documentElement.scrollWidth <= 390")
