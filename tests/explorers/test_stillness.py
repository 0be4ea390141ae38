"""Nothing moves under the reader's hand: whatever is dragged, typed or chosen, every drawing stays where it is."""

import numpy as np
import pytest
from hands import EXPLORERS, center, frame, swipe, wait_until_still

pytestmark = pytest.mark.browser
every_explorer = pytest.mark.parametrize("name", EXPLORERS)

WIDTHS = {1280: {"width": 1280, "height": 900}, 390: {"width": 390, "height": 844}}
at_both_widths = pytest.mark.parametrize("width", WIDTHS)

# Where every drawing is on the page, by its figure.
PLACES = """() => Object.fromEntries([...document.querySelectorAll(".panels > figure")].map((figure) => {
    const { x, y, width, height } = figure.querySelector(":is(svg, canvas):not(.drawn *)").getBoundingClientRect();
    return [figure.className, [x + scrollX, y + scrollY, width, height]]; }))"""


def places(page):
    frame(page)
    return page.evaluate(PLACES)


def assert_still(page, before, done):
    after = places(page)
    moved = {
        name: (before[name], after[name])
        for name in before
        if not np.allclose(before[name], after[name], atol=0.5)
    }
    assert moved == {}, f"after {done}"


@every_explorer
@at_both_widths
def test_the_first_move_of_a_mouse_moves_the_point_and_no_drawing(show_explorer, name, width):
    page = show_explorer(name, viewport=WIDTHS[width])
    page.locator("[role=slider]").first.scroll_into_view_if_needed()
    before = places(page)
    assert len(before) >= 2
    x, y = center(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 5):
        page.mouse.move(x, y - step)
        assert_still(page, before, f"{step} pixels")
    page.mouse.up()
    assert abs(center(page, 0)[1] - (y - 4)) < 1.5
    page.wait_for_timeout(400)  # the words follow when the hand rests
    assert_still(page, before, "the words")


@every_explorer
@at_both_widths
def test_the_first_move_of_a_finger_moves_the_point_and_no_drawing(show_explorer, name, width):
    page = show_explorer(name, viewport=WIDTHS[width], has_touch=True, is_mobile=width < 600)
    page.evaluate("document.querySelector('[role=slider]').scrollIntoView({ block: 'center' })")
    wait_until_still(page)
    before, top = places(page), page.evaluate("scrollY")
    x, y = center(page, 0)
    swipe(page, (x, y), (x, y - 4))
    assert_still(page, before, "four pixels")
    assert page.evaluate("scrollY") == top
    assert abs(center(page, 0)[1] - (y - 4)) < 1.5


@every_explorer
@at_both_widths
def test_no_control_moves_a_drawing(show_explorer, name, width):
    page = show_explorer(name, viewport=WIDTHS[width])
    before = places(page)
    for field in page.locator("seqlab-explorer select:enabled").all():
        values = [choice.get_attribute("value") for choice in field.locator("option").all()]
        for value in [*values, values[0]]:
            field.select_option(value)
            assert_still(page, before, f"{field.get_attribute('name')} = {value}")
    for field in page.locator("seqlab-explorer input[type=range]:enabled").all():
        for end in ("min", "max"):
            field.evaluate(
                """(field, end) => { field.value = field[end];
                     for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind)); }""",
                end,
            )
            assert_still(page, before, f"the {end} of {field.get_attribute('name')}")
    for box in page.locator("seqlab-explorer input[type=checkbox]").all():
        for _ in range(2):
            box.click()
            assert_still(page, before, f"a click on {box.get_attribute('name')}")


@every_explorer
@pytest.mark.parametrize(
    "width",
    [358, 390, 685, 1280, *(pytest.param(width, marks=pytest.mark.thorough) for width in (320, 640, 1000))],
)
def test_its_place_is_kept_before_it_loads(show_explorer, site_face, name, width):
    """What follows on the page stands where it stood, and little room stays empty."""
    asked = {"question": "Which of them lasts longest, and how would you make one that lasts longer still?"}
    page = show_explorer(name, asked, viewport={"width": width, "height": 900}, asleep=True)
    page.add_style_tag(content=site_face)
    page.evaluate(
        "Promise.all([...document.fonts].map(face => face.load()))"
    )  # before anything is measured in it
    kept, whole = (page.locator(part).bounding_box()["height"] for part in (".still", "seqlab-explorer"))
    page.evaluate("import('./host.mjs')")
    page.wait_for_function("(document.querySelector('output')?.textContent ?? '') !== ''")
    page.evaluate("async () => { await document.fonts.ready; }")
    panel = page.locator(".explorer-panel")
    assert panel.bounding_box()["height"] == pytest.approx(kept, abs=0.5), (
        f"heights of {name} at {width} pixels"
    )
    assert page.locator(".explorer-question").inner_text() == asked["question"]
    assert page.locator("seqlab-explorer").bounding_box()["height"] == pytest.approx(whole, abs=0.5)
    bottom, last = (part.bounding_box() for part in (panel, panel.locator("> details")))
    empty = bottom["y"] + bottom["height"] - last["y"] - last["height"]
    assert 0 <= empty < 60, f"heights of {name} at {width} pixels: {empty} are empty"
