"""The page as a browser shows it: stories open, filters hide, nothing overflows or is pale."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from hatester.analysis.findings import Finding
from hatester.matrix.plan import Cell
from hatester.report.html import render
from tests.factories.runs import EVIDENCE, measured, stored, varied

Browser = webdriver.Chrome
WORST = "6.1/2.2/plain/address-returns/signal"
AXE = Path(os.environ.get("AXE", "node_modules/axe-core/axe.min.js"))
"""The file of axe-core, as `npm install axe-core` stores it."""

_CHROMIUM, _DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")

CONTRASTS = """
const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
function pixel(colour, below) {
  probe.fillStyle = below; probe.fillRect(0, 0, 1, 1);
  probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
function luminance(rgb) {
  const [r, g, b] = rgb.map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function ground(element) {
  for (let each = element; each; each = each.parentElement) {
    const colour = getComputedStyle(each).backgroundColor;
    if (colour !== 'rgba(0, 0, 0, 0)') return colour;
  }
  return 'white';
}
const found = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !element.getClientRects().length) continue;
  const isDrawn = element.namespaceURI.endsWith('svg');
  const style = getComputedStyle(element);
  const bar = element.closest('.run:not(.idle)');
  const isOnBar = bar && !element.classList.contains('legend');
  const back = pixel(
    isOnBar ? getComputedStyle(bar.querySelector('rect')).fill : ground(element), 'white');
  const front = pixel(isDrawn ? style.fill : style.color, `rgb(${back})`);
  const [low, high] = [luminance(back), luminance(front)].sort((a, b) => a - b);
  found.push([(high + 0.05) / (low + 0.05), element.textContent.trim().slice(0, 40)]);
}
return found;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not _CHROMIUM or not _DRIVER:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a page with cells of every kind, one of them measured twice."""
    run = varied(tmp_path_factory.mktemp("results"), seeds=(0, 1))
    run.add(measured(Cell("5.10", "2.2", "plain", "lost-address", "signal"), EVIDENCE["ok"], 2))
    file = run.folder / "report.html"
    file.write_text(render(run, [Finding("lost-address by signal", ("Addresses were lost.",))]))
    return file.as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Browser:
    """Return the browser at the page's top, with empty logs and all boxes ticked."""
    see(browser, 1280, "light")
    browser.get("about:blank")
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get_log("performance")  # type: ignore[no-untyped-call]
    browser.get(address)
    return browser


def see(browser: Browser, width: int, scheme: str) -> None:
    """Let the window be so wide, and the user prefer a colour scheme."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def visible(browser: Browser, selector: str) -> list[WebElement]:
    found = browser.find_elements(By.CSS_SELECTOR, selector)
    return [element for element in found if element.is_displayed()]


def texts(browser: Browser, selector: str) -> list[str]:
    return [element.text for element in visible(browser, selector)]


def cell(browser: Browser, scenario: str, kernel: str, column: int) -> WebElement:
    """Return the cell of a scenario's table, which has one column for each build."""
    return browser.find_element(
        By.XPATH,
        f"//section[h3[starts-with(normalize-space(), '{scenario}')]]"
        f"//tr[th[normalize-space() = '{kernel}']]/td[{column}]/a",
    )


def box(browser: Browser, axis: str, value: str) -> WebElement:
    """Return the box that is ticked for a value, in the open filter."""
    browser.execute_script("document.querySelector('#filters details').open = true")
    return browser.find_element(
        By.XPATH,
        f"//fieldset[legend = '{axis}']//label[normalize-space() = '{value}']/input",
    )


def test_cell_and_story_link_to_each_other(page: Browser) -> None:
    assert len(visible(page, ".cell")) == 7
    assert visible(page, ".story") == []
    cell(page, "address-returns", "6.1", 1).click()
    [story] = visible(page, ".story")
    assert "HAProxy 2.2 on Linux 6.1" in story.text
    assert "HAProxy reported success" in story.text
    assert story.find_element(By.TAG_NAME, "svg").is_displayed()
    assert visible(page, ".overview") == []
    story.find_element(By.LINK_TEXT, "Next").click()
    assert "HAProxy 3.0 on Linux 6.1" in visible(page, ".story")[0].text
    visible(page, ".story nav a")[0].click()
    assert visible(page, ".story") == []
    assert len(visible(page, ".cell")) == 7


def test_keyboard_opens_stories(page: Browser) -> None:
    cell(page, "lost-address", "5.10", 1).send_keys(Keys.ENTER)
    [story] = visible(page, ".story")
    assert [each.text for each in story.find_elements(By.CSS_SELECTOR, ".verdict .chip")] == [
        "outage 2.0 s refused",
        "ok",
    ]
    assert len(story.find_elements(By.TAG_NAME, "svg")) == 2
    story.find_element(By.TAG_NAME, "summary").click()
    assert "cannot bind socket" in story.find_element(By.CSS_SELECTOR, "details pre").text


def test_filter_hides_rows_and_columns(page: Browser) -> None:
    box(page, "Linux", "5.10").click()
    assert texts(page, ".grid tbody th") == ["6.1", "6.1"]
    box(page, "HAProxy", "2.2").click()
    assert texts(page, ".grid thead th") == ["Linux", "HAProxy 3.0"] * 2
    assert len(visible(page, ".cell")) == 2
    page.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    assert len(visible(page, ".cell")) == 7


def test_worst_cells_are_listed_first_and_are_filtered(page: Browser) -> None:
    found = texts(page, ".worst .chip")
    assert found[0] == "down refused, silent"
    assert found[-1] == "lossy 1 reset .44"
    box(page, "verdict", "silent").click()
    assert texts(page, ".worst .chip") == found[1:]


def test_filter_is_closed_at_first(page: Browser) -> None:
    assert visible(page, "#filters summary")
    assert visible(page, "#filters input") == []


def test_link_to_a_repetition_opens_its_story(page: Browser) -> None:
    page.execute_script("location.hash = '5.10/2.2/plain/lost-address/signal/2'")
    [story] = visible(page, ".story")
    assert "HAProxy 2.2 on Linux 5.10" in story.text


def test_word_leads_to_the_glossary(page: Browser) -> None:
    page.execute_script(f"location.hash = '{WORST}'")
    page.find_element(By.CSS_SELECTOR, ".story:target .chip a.word").click()
    assert visible(page, ".story") == []
    [word] = visible(page, ".glossary :target")
    assert word.text.startswith("down an address was still dead")


def test_narrow_timeline_begins_at_the_reload(page: Browser) -> None:
    see(page, 400, "light")
    page.execute_script(f"location.hash = '{WORST}'")
    wait = WebDriverWait(page, 10)
    wait.until(lambda _: page.execute_script("return document.querySelector"
               "('.story:target .drawing').scrollLeft") > 100)  # fmt: skip
    [name, *_] = visible(page, ".story:target text.again")
    assert 0 < name.location["x"] < 200
    assert visible(page, ".story:target .narrow")
    # The reader may scroll back.
    back = "const box = document.querySelector('.story:target .drawing'); box.scrollLeft = 0;"
    wait.until(lambda _: page.execute_script(f"{back} return box.scrollLeft") == 0)


def test_stories_are_printed(page: Browser) -> None:
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert len(visible(page, ".story")) == 7
        assert visible(page, ".overview")
        assert visible(page, "#filters") == []
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_dark_page_is_printed_on_light_paper(page: Browser) -> None:
    colour = "return getComputedStyle(document.body).color"
    see(page, 1280, "light")
    light = page.execute_script(colour)
    see(page, 1280, "dark")
    assert page.execute_script(colour) != light
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    media = {"media": "print", "features": [dark]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert page.execute_script(colour) == light
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("place", ["top", WORST])
def test_axe_finds_no_violation(page: Browser, width: int, scheme: str, place: str) -> None:
    see(page, width, scheme)
    page.execute_script(f"location.hash = '{place}'")
    page.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.execute_script(AXE.read_text())
    found = page.execute_async_script("axe.run().then(arguments[0])")
    assert [each["id"] for each in found["violations"]] == []


def test_a_scenario_goes_with_its_table(page: Browser) -> None:
    box(page, "scenario", "lost-address").send_keys(Keys.SPACE)
    assert texts(page, ".grid h3") == ["address-returns by signal, plain"]


def test_verdict_filter_hides_empty_tables(
    page: Browser,
) -> None:
    # Of address-returns, 5.10 has an ok alone, and its 3.0 an error alone.
    box(page, "verdict", "ok").click()
    assert texts(page, ".grid tbody th") == ["5.10", "6.1", "6.1"]
    box(page, "verdict", "error").click()
    assert texts(page, ".grid thead th") == [
        "Linux", "HAProxy 2.2", "HAProxy 3.0", "Linux", "HAProxy 2.2",
    ]  # fmt: skip
    box(page, "verdict", "silent").click()
    assert texts(page, ".grid h3") == ["lost-address by signal, plain"]
    # The cell that was ok the second time was an outage the first.
    assert len(visible(page, ".cell")) == 4


def test_table_goes_with_its_last_cells(page: Browser) -> None:
    # The rest of address-returns is 2.2 on 5.10 (ok), 2.2 (silent) and 3.0 (error) on 6.1.
    box(page, "Linux", "5.10").click()
    box(page, "HAProxy", "3.0").click()
    assert len(visible(page, ".grid")) == 2
    box(page, "verdict", "silent").click()
    assert texts(page, ".grid h3") == ["lost-address by signal, plain"]


def test_page_is_silent_and_fetches_nothing(page: Browser) -> None:
    cell(page, "lost-address", "6.1", 1).click()
    assert page.get_log("browser") == []  # type: ignore[no-untyped-call]
    events = [
        json.loads(each["message"])["message"]
        for each in page.get_log("performance")  # type: ignore[no-untyped-call]
    ]
    fetched = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url.partition(":")[0] for url in fetched] == ["file"]


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(page: Browser, width: int) -> None:
    see(page, width, "light")
    assert overflow(page) <= 0
    page.execute_script(f"location.hash = '{WORST}'")
    assert visible(page, ".story")
    assert overflow(page) <= 0


def overflow(page: Browser) -> Any:
    return page.execute_script("return document.documentElement.scrollWidth - innerWidth")


def test_long_names_fit_a_phone(browser: Browser, tmp_path: Path) -> None:
    names = Cell("a" * 60, "b" * 60, "c" * 60, "d" * 60, "e" * 60)
    run = stored(tmp_path, [measured(names, EVIDENCE["outage"])])
    (run.folder / "report.html").write_text(render(run, []))
    see(browser, 400, "light")
    for place in ("", f"#{names.id}"):
        browser.get((run.folder / "report.html").as_uri() + place)
        assert overflow(browser) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_can_be_read(page: Browser, scheme: str) -> None:
    see(page, 1280, scheme)
    stories = [each.get_attribute("id") for each in page.find_elements(By.CLASS_NAME, "story")]
    for place in ("top", *stories):
        page.execute_script(f"location.hash = '{place}'")
        contrasts = page.execute_script(CONTRASTS)
        assert contrasts
        assert [each for each in contrasts if each[0] < 4.5] == []
    ground = page.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    red = int(ground.removeprefix("rgba(").partition(",")[0])
    assert red > 200 if scheme == "light" else red < 50
