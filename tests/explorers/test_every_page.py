"""What every explorer does alike on a page with no Python behind it, in a real browser."""

import pytest
from hands import changed, frame, pictures

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("name", ["eigenvalues", "function", "poles"])]


def test_light_and_dark(show_explorer, name):
    page = show_explorer(name)
    frame(page)
    light = pictures(page)

    def look():
        frame(page)
        return page.get_attribute(".explorer-panel", "data-shade"), pictures(page)

    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    shade, dark = look()
    assert shade == "dark"
    assert changed(light, dark) == list(light)
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert look() == ("light", light)
    page.evaluate(
        "delete document.documentElement.dataset.theme; document.body.dataset.jpThemeLight = 'false'"
    )
    assert look() == ("dark", dark)
    page.evaluate("delete document.body.dataset.jpThemeLight")
    assert look() == ("light", light)
    page.emulate_media(color_scheme="dark")
    assert look() == ("dark", dark)


def test_canvases_are_as_sharp_as_the_screen(show_explorer, name):
    page = show_explorer(name, device_scale_factor=2)
    sizes = page.evaluate(
        "[...document.querySelectorAll('canvas')].map(({ width, clientWidth }) => [width, clientWidth])"
    )
    assert len(sizes) >= 3
    for pixels, css in sizes:
        assert abs(pixels - 2 * css) <= 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1000])
def test_accessibility(show_explorer, axe, name, theme, width):
    unusual = {"eigenvalues": {"initialization": "glorot"}, "poles": {"preset": "stiff", "method": "euler"}}
    page = show_explorer(name, unusual.get(name), viewport={"width": width, "height": 900})
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    frame(page)
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))"
    )
    assert found == []


def test_it_leaves_nothing_behind_and_can_come_back(show_explorer, name):
    page = show_explorer(name)
    points = page.locator("[role=slider]").count()
    for button in page.locator("[name=play]").all():
        button.click()  # it leaves while it moves
    left = page.evaluate(
        """() => { const element = document.querySelector("seqlab-explorer");
                   window.kept = element.model; element.remove();
                   return [kept.listeners.length, element.childElementCount]; }"""
    )
    assert left == [0, 0]
    page.evaluate("document.documentElement.dataset.theme = 'dark'")  # nobody listens any more
    page.evaluate(
        """(name) => { const element = document.createElement("seqlab-explorer");
                       element.setAttribute("name", name);
                       document.querySelector("main").append(element); }""",
        name,
    )
    page.wait_for_selector("[role=slider]")
    assert page.locator("[role=slider]").count() == points
    assert page.locator(".explorer-panel").count() == 1
