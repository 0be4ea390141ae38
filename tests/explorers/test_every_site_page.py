"""Explorers as the book shows them, on its landing page and in its chapters: they come to a place that was kept for
them, and hold still under a mouse and a finger."""

import pytest
from hands import center, frame, swipe, wait_until_still
from test_stillness import WIDTHS, assert_still, places

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = {
    "book/index": "eigenvalues",
    "notebooks/01_why_recurrence_came_back": "eigenvalues",
    "notebooks/02_linear_scan": "eigenvalues",
    "notebooks/03_lru": "eigenvalues",
    "notebooks/04_hippo": "function",
    "notebooks/05_discretization": "poles",
    "notebooks/06_convolution_or_recurrence": "duality",
    "notebooks/07_hungry_hungry_hippos": "recall",
    "notebooks/08_rwkv": "wkv",
    "notebooks/09_xlstm": "gates",
    "notebooks/10_mamba": "selection",
}
SHEET = {"width": 665, "height": 979}  # A4 without its margins
EMPTY = """(() => { const panel = document.querySelector(".explorer-panel");
    return panel.getBoundingClientRect().bottom - panel.lastElementChild.getBoundingClientRect().bottom; })()"""
ON_PAPER = """[...document.querySelectorAll("seqlab-explorer, .figure-caption")].slice(0, 2)
    .reduce((height, part) => height + part.getBoundingClientRect().height, 0)"""
on_every_page = pytest.mark.parametrize("page", PAGES)


@pytest.fixture
def visit(browser, server):
    """visit(page, **context) -> the page, its explorer awake and in the middle of the screen."""
    contexts = []

    def open_page(page, asleep=False, **options):
        contexts.append(browser.new_context(**options))
        tab = contexts[-1].new_page()
        if asleep:
            tab.route("**/host.mjs*", lambda route: route.abort())
        tab.goto(f"{server.address}/{page}.html")
        if not asleep:
            tab.wait_for_function(
                "(document.querySelector('seqlab-explorer output')?.textContent ?? '') !== ''"
            )
            tab.evaluate("document.querySelector('[role=slider]').scrollIntoView({ block: 'center' })")
            wait_until_still(tab)
        return tab

    yield open_page
    for context in contexts:
        context.close()


def test_every_page_with_an_explorer_is_here(site):
    found = {
        str(file.relative_to(site).with_suffix(""))
        for file in site.glob("*/*.html")
        if "<seqlab-explorer" in file.read_text("utf8")
    }
    assert found == set(PAGES)


@on_every_page
def test_the_first_move_of_a_finger_moves_the_point_and_no_drawing(visit, page):
    tab = visit(page, viewport=WIDTHS[390], has_touch=True, is_mobile=True)
    before, top = places(tab), tab.evaluate("scrollY")
    x, y = center(tab, 0)
    swipe(tab, (x, y), (x, y - 4))
    assert_still(tab, before, "four pixels")
    assert tab.evaluate("scrollY") == top
    assert abs(center(tab, 0)[1] - (y - 4)) < 1.5


@on_every_page
def test_the_first_move_of_a_mouse_moves_the_point_and_no_drawing_and_its_place_was_kept(visit, page):
    asleep, tab = visit(page, asleep=True), visit(page)
    for width, size in WIDTHS.items():
        heights = []
        for each in (asleep, tab):
            each.set_viewport_size(size)
            frame(each)
            heights.append(each.locator("seqlab-explorer").first.bounding_box()["height"])
        assert heights[1] == pytest.approx(heights[0], abs=1), f"at {width} pixels"
        assert 0 <= tab.evaluate(EMPTY) < 60, f"heights leave room below it at {width} pixels"
        tab.evaluate("document.querySelector('[role=slider]').scrollIntoView({ block: 'center' })")
        wait_until_still(tab)
        before, (x, y) = places(tab), center(tab, 0)
        tab.mouse.move(x, y)
        tab.mouse.down()
        for step in (1, 4):
            tab.mouse.move(x, y - step)
            assert_still(tab, before, f"{step} pixels, at {width} pixels")
        tab.mouse.up()
        assert abs(center(tab, 0)[1] - (y - 4)) < 1.5
    tab.set_viewport_size(SHEET)
    tab.emulate_media(media="print")
    frame(tab)
    assert tab.evaluate(ON_PAPER) < 0.97 * SHEET["height"], "with its caption it is taller than a sheet"
