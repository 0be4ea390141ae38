"""What every explorer does alike on a page with no Python behind it, in a real browser."""

import re

import pytest
from hands import CLASSES, EXPLORERS, changed, frame, pictures

KEYBOARD = {
    "duality": "modes input state_size radius angle reset slider selected add slider time back play step",
    "eigenvalues": "initialization state_size r_min r_max max_phase seed reset horizon normalize stretched "
    "slider selected modulus phase add remove",
    "function": "preset order theta reset legs legt lagt fourier slider time play",
    "gates": "preset precision readout shift forget f key_vectors key_size reset step time slider",
    "poles": "preset state_size method dt duration pairs reset slider selected re im add remove out in",
    "recall": "preset sequence broken decay reset time back play slider slider slider slider",
    "wkv": "preset precision selected decay bonus reset slider time back step key",
    "selection": "stream text rule channel reset slider position insert delete",
}
# What makes an explorer as wide as it gets: parameters, and the choices of a field to go through.
LARGEST = {
    "duality": ({"modes": "three", "time": 31}, "input", ("step", "two_pulses")),
    "eigenvalues": ({"state_size": 64}, "initialization", ("s4d_lin", "ring", "hippo_legs")),
    "function": ({"order": 64}, "preset", ("noise",)),
    "gates": ({"key_size": 16, "time": 16, "precision": "float16"}, "preset", ("climb", "deep", "revise")),
    "poles": ({"state_size": 64}, "preset", ("s4d_lin", "stiff", "aliasing")),
    "recall": ({"sequence": "a1b2c3d4" * 3, "time": 23}, "broken", ("product", "query")),
    "wkv": ({"precision": "float16", "time": 23}, "preset", ("climbing", "faint")),
    "selection": ({"text": "abcd12·1" * 4, "position": 31}, "stream", ("close", "silence")),
}
# A choice that moves the points, and who glides there.
GLIDE = {
    "duality": ("modes", "fast", ".disk svg", ".disk [role=slider]"),
    "eigenvalues": ("initialization", "real", ".disk svg", "[role=slider]"),
    "poles": ("method", "euler", ".z svg", ".z svg g:nth-child(3) path"),
}

COLOR_RULES = ["color-contrast", "link-in-text-block"]

pytestmark = pytest.mark.browser
every_explorer = pytest.mark.parametrize("name", EXPLORERS)


@every_explorer
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


@every_explorer
def test_paper_is_light_and_has_no_controls(show_explorer, name):
    page = show_explorer(name)
    colors = """() => ["1", "2", "3", "4", "text", "grid"].map(
        (name) => getComputedStyle(document.querySelector(".explorer-panel")).getPropertyValue(`--panel-${name}`))"""
    shaded = "(shade) => document.querySelector('.explorer-panel').dataset.shade === shade"
    light = page.evaluate(colors)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(shaded, arg="dark")
    frame(page)
    dark = pictures(page)
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_function(shaded, arg="print")
    assert page.evaluate(colors) == light
    assert changed(dark, pictures(page)) == list(dark)
    assert page.locator(".panels :is(svg, canvas)").first.is_visible()
    assert page.locator(".explorer-panel > output").is_visible()
    for control in page.locator("seqlab-explorer :is(input, select, button, summary, .pen)").all():
        assert not control.is_visible()
    page.emulate_media(media="screen", color_scheme="dark")
    page.wait_for_function(shaded, arg="dark")
    frame(page)
    assert changed(dark, pictures(page)) == []


@every_explorer
@pytest.mark.parametrize("width", [390, 1280])
def test_without_javascript_there_is_a_picture_and_a_sentence(show_explorer, name, width):
    still = CLASSES[name]().element()
    inside = still[still.index('<div class="still">') + 19 : still.rindex("</div>")]
    size = {"width": width, "height": 900}
    page = show_explorer(name, asleep=True, still=inside, java_script_enabled=False, viewport=size)
    assert "it needs JavaScript" in page.inner_text("seqlab-explorer")
    assert page.locator(".still > p").is_visible()
    box, whole = (page.locator(part).bounding_box() for part in (".still svg", "seqlab-explorer"))
    assert box["width"] <= width
    assert (
        100 < box["height"] < whole["height"] < box["height"] + 120
    )  # no room is kept for what does not come
    assert page.locator(".still svg :is(path, circle)").count() > 3
    assert re.search(r"\d", page.get_attribute(".still svg", "aria-label"))


@every_explorer
def test_canvases_are_as_sharp_as_the_screen(show_explorer, name):
    page = show_explorer(name, device_scale_factor=2)
    sizes = page.evaluate(
        "[...document.querySelectorAll('canvas')].map(({ width, clientWidth }) => [width, clientWidth])"
    )
    assert len(sizes) >= 3
    for pixels, css in sizes:
        assert abs(pixels - 2 * css) <= 1


@every_explorer
@pytest.mark.parametrize("width", [320, 1000])
def test_accessibility(show_explorer, axe, name, width):
    """In the dark colors change, and nothing else."""
    unusual = {"eigenvalues": {"initialization": "glorot"}, "poles": {"preset": "stiff", "method": "euler"}}
    page = show_explorer(name, unusual.get(name), viewport={"width": width, "height": 900})
    page.evaluate(axe)
    for theme, rules in {"light": {}, "dark": {"runOnly": {"type": "rule", "values": COLOR_RULES}}}.items():
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        frame(page)
        found = page.evaluate(
            """(rules) => axe.run(document, rules).then(
                 ({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))""",
            rules,
        )
        assert found == [], theme


@every_explorer
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


@every_explorer
def test_the_keyboard_reaches_everything(show_explorer, name):
    page = show_explorer(name)
    page.evaluate("document.activeElement.blur()")
    expected, reached = KEYBOARD[name].split(), []
    for _ in range(2 * len(expected)):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.getAttribute('name') ?? document.activeElement.getAttribute('role')"
            )
        )
    assert [each for each in reached if each in expected][: len(expected)] == expected


@every_explorer
def test_nothing_sticks_out(show_explorer, name):
    parameters, field, choices = LARGEST[name]
    page = show_explorer(name, parameters)
    page.locator("details").evaluate("(details) => { details.open = true; }")
    for width in (320, 360, 620, 1100):
        page.set_viewport_size({"width": width, "height": 800})
        for choice in choices:
            page.select_option(f"[name={field}]", choice)
            frame(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            clipped = page.evaluate(
                """(width) => [...document.querySelectorAll("seqlab-explorer *:not(svg *)")].filter((node) => {
                     const box = node.getBoundingClientRect();
                     return box.width > 1 && (box.left < -0.5 || box.right > width + 0.5);
                   }).map((node) => node.outerHTML.slice(0, 99))""",
                width,
            )
            assert clipped == [], f"at {width} pixels, {choice}"


@pytest.mark.parametrize("name", GLIDE)
@pytest.mark.parametrize(("motion", "seconds"), [("no-preference", "0.35s"), ("reduce", "0s")])
def test_points_glide_only_where_motion_is_welcome(show_explorer, name, motion, seconds):
    field, choice, drawing, point = GLIDE[name]
    page = show_explorer(name, reduced_motion=motion)
    page.select_option(f"[name={field}]", choice)
    assert page.locator(f"{drawing}.settling").count() == 1
    duration = page.evaluate(
        "(point) => getComputedStyle(document.querySelector(point)).transitionDuration", point
    )
    assert duration == seconds
