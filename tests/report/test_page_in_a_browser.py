"""Tests of the report's page in a real browser."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from support.helpers import missing
from support.samples import result, run_sample, sample, spread, study_sample

from fmnist.replication.sample import Mistake
from fmnist.report.page import write_report

#: A browser that asks nobody for anything but the page.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

WIDE, NARROW = (1280, 800), (360, 740)

#: Twelve mistakes, which is as many as the page shows.
MISTAKES = [Mistake(i, i % 10, (i + 1) % 10, 0.9) for i in range(12)]

PAGES = ("run", "study", "unpublished")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, which one test after the other uses."""
    path = shutil.which("chromium")
    if path is None:
        missing("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of a run, of a study, and of a study for whose parameters nothing was published."""
    study = [replace(one, mistakes=MISTAKES) for one in sample(spread(60))]
    other = {"compile_optimizer": "sgd " * 30, "epochs": 3, "validation_split": 0.05}
    samples = {
        "run": run_sample(result(7, 0.8765, mistakes=MISTAKES)),
        "study": study_sample(study),
        "unpublished": study_sample(study[:2], other),
    }
    return {name: write_report(one, tmp_path_factory.mktemp(name)) for name, one in samples.items()}


class Visit:
    """A page as it was opened, with what it asked for and complained about."""

    def __init__(self, context: BrowserContext, path: Path) -> None:
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.goto(path.as_uri(), wait_until="load")


@pytest.fixture
def visit(browser: Browser, paths: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Any]:
    """Opens a page in a window of a size and in a colour scheme."""
    contexts = []

    def open_page(name: str, size: tuple[int, int] = WIDE, scheme: Any = "light", *, scripts: bool = True) -> Visit:
        viewport: Any = {"width": size[0], "height": size[1]}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme, java_script_enabled=scripts))
        return Visit(contexts[-1], paths[name])

    yield open_page
    for context in contexts:
        context.close()


each_page = pytest.mark.parametrize("name", PAGES)
each_size = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
each_scheme = pytest.mark.parametrize("scheme", ["light", "dark"])


@each_page
@each_size
@each_scheme
def test_the_page_is_whole_and_everyone_can_read_it(visit: Any, name: str, size: tuple[int, int], scheme: str) -> None:
    """Nothing is asked for or complained about, all images are drawn, nothing is wider than the window; axe agrees."""
    opened = visit(name, size, scheme)
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.images.length") == {"run": 15, "study": 15, "unpublished": 14}[name]
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    # As for whoever has small windows and large letters.
    page.set_viewport_size({"width": 320, "height": size[1]})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert [url for url in opened.requests if not url.startswith("data:")] == [page.url]
    assert opened.messages == []


@each_page
@each_scheme
def test_the_first_screen_says_it_all(visit: Any, name: str, scheme: str) -> None:
    """The verdict, the accuracy, its spread and the whole picture are seen without scrolling."""
    page = visit(name, WIDE, scheme).page
    for selector in ("h1", ".figure", ".what", ".error", ".result img"):
        box = page.locator(selector).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= WIDE[1], f"{selector} ends at {box['y'] + box['height']}"


@each_scheme
def test_a_telephone_gets_pictures_drawn_for_it(visit: Any, scheme: str) -> None:
    """The recalls of all classes are seen at once there, and not made small."""
    page = visit("study", NARROW, scheme).page
    image = page.locator("[aria-label='Recalls by class, picture'] img")
    assert image.bounding_box()["width"] == 328
    assert image.evaluate("image => image.naturalWidth") == pytest.approx(328, abs=1)
    assert image.evaluate("image => image.closest('.scroll').scrollWidth") == 328


def test_the_first_screen_of_a_telephone_says_it_all_too(visit: Any) -> None:
    """There the picture is one that was drawn for it, not the wide one made small."""
    page = visit("study", NARROW).page
    image = page.locator(".result img")
    box = image.bounding_box()
    assert box["y"] + box["height"] <= NARROW[1]
    assert image.evaluate("image => image.naturalWidth") == pytest.approx(328, abs=1)
    assert box["width"] == 328


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_pictures_have_the_colours_of_the_page(visit: Any, size: tuple[int, int], scheme: str) -> None:
    """In the dark the pictures are dark ones; each shows the paper of the page through."""
    from fmnist.report import pictures

    theme = pictures.DARK if scheme == "dark" else pictures.LIGHT
    page = visit("study", size, scheme).page
    shown = page.evaluate(
        "[...document.querySelectorAll('picture img')].map(image => atob(image.currentSrc.split(',')[1]))"
    )
    assert len(shown) == 3
    assert all(theme.soft in text for text in shown)
    red, green, blue = (int(theme.paper[i : i + 2], 16) for i in (1, 3, 5))
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert background == f"rgb({red}, {green}, {blue})"


@each_page
def test_the_page_needs_no_scripts(visit: Any, name: str) -> None:
    """Where the browser runs no scripts, everything is there, and what is folded opens."""
    page = visit(name, scripts=False).page
    assert re.fullmatch(r"0\.8\d{3}", page.locator(".figure").inner_text())
    assert page.locator("h2").all_inner_texts()[-1] == "Check it yourself"
    for summary in page.locator("summary").all():
        details = summary.locator("..")
        folded = details.bounding_box()["height"]
        summary.click()
        assert details.bounding_box()["height"] > folded


def test_nothing_is_cut_off_in_print(visit: Any, tmp_path: Path) -> None:
    """On paper all that is folded is open, nothing is wider than the sheet, and all is light where screens are dark."""
    page = visit("study", (718, 1000), "dark").page
    page.emulate_media(media="print", color_scheme="dark")
    for selector in (".seeds td", "dd"):
        assert page.locator(selector).last.bounding_box()["height"] > 10
    wide = """[...document.querySelectorAll('main *')]
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1).map(element => element.outerHTML)"""
    assert page.evaluate(wide) == []
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    shown = page.evaluate("[...document.querySelectorAll('picture img')].map(image => image.currentSrc == image.src)")
    assert shown == [True] * 3
    content = page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type */Page\b", content)) >= 4


@each_size
def test_the_keyboard_reaches_what_scrolls(visit: Any, size: tuple[int, int]) -> None:
    """Tab goes to each part that may scroll and to each that is folded, in order, and the focus can be seen."""
    page = visit("study", size).page
    expected = page.evaluate("""[...document.querySelectorAll('summary, [tabindex]')]
        .filter(element => !element.closest('details:not([open]) :not(summary)'))
        .map(element => element.getAttribute('aria-label') || element.textContent)""")
    reached = []
    for _ in expected:
        page.keyboard.press("Tab")
        name, style, width = page.evaluate("""(() => {
            const focused = document.activeElement, style = getComputedStyle(focused)
            return [focused.getAttribute('aria-label') || focused.textContent, style.outlineStyle, style.outlineWidth]
        })()""")
        reached.append(name)
        assert (style, width) == ("solid", "3px")
    assert reached == expected
    assert len(expected) == 9


def test_the_keyboard_scrolls(visit: Any) -> None:
    """What is wider than the window comes into sight with an arrow key."""
    page = visit("study", NARROW).page
    table = page.locator("[aria-label='Confusion matrix, table']")
    table.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("table => table.scrollLeft > 0", arg=table.element_handle())


@each_page
@each_scheme
def test_the_names_of_rows_stay_when_a_table_is_scrolled(visit: Any, name: str, scheme: str) -> None:
    """At the right end of each table its rows' names are still there, and nothing shines through them."""
    page = visit(name, NARROW, scheme).page
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    scrolled, heads = page.evaluate("""(() => {
        const boxes = [...document.querySelectorAll('.scroll:has(table)')]
        boxes.forEach(box => { box.scrollLeft = box.scrollWidth })
        const heads = boxes.flatMap(box => [...box.querySelectorAll('tr > :first-child')].map(head => {
            const seen = box.getBoundingClientRect(), at = head.getBoundingClientRect()
            const whole = seen.left <= at.left && at.right <= seen.right
            return [head.innerText, whole, getComputedStyle(head).backgroundColor]
        }))
        return [boxes.filter(box => box.scrollLeft > 0).length, heads]
    })()""")
    assert scrolled >= 1
    assert len(heads) > 10
    assert [head for head in heads if head[1:] != [True, paper]] == []


@each_page
def test_a_screen_reader_finds_its_way(visit: Any, name: str) -> None:
    """There is one first heading, those below follow in order, and each table names its rows and columns."""
    page = visit(name).page
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(heading => heading.tagName)")
    assert levels == ["H1", *["H2"] * (len(levels) - 1)]
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("tbody tr:not(:has(th[scope=row]))").count() == 0
    for image in page.locator("img").all():
        assert len(image.get_attribute("alt") or "") > 20
