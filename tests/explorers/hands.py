"""What tests do on a page with an explorer: wait for its picture and its words, look at them, move a finger."""

from pathlib import Path

import seqlab.explorers

_FOLDER = Path(seqlab.explorers.__file__).parent
EXPLORERS = sorted(module.parent.name for module in _FOLDER.glob("*/explorer.mjs"))
"""Whatever is a folder with a module for pages."""
CLASSES = {
    getattr(seqlab.explorers, name).name: getattr(seqlab.explorers, name) for name in seqlab.explorers.__all__
}
"""The class of each, by its name."""


def frame(page):
    """Wait until what was done is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def wait_until_still(page):
    """Wait until the page no longer scrolls, as it goes on to after a swipe."""
    page.wait_for_function(
        """async () => {
            const top = scrollY;
            for (let i = 0; i < 10; i++) await new Promise(requestAnimationFrame);
            return scrollY === top;
        }"""
    )


def wait_for_words(page, before):
    """The text summary, once it is another than before."""
    page.wait_for_function("(before) => document.querySelector('output').textContent !== before", arg=before)
    return page.inner_text("output")


def swipe(page, start, end):
    """A finger from one place to another, in eight moves."""
    client = page.context.new_cdp_session(page)
    path = [tuple(a + (b - a) * step / 8 for a, b in zip(start, end, strict=True)) for step in range(9)]
    for kind, place in [
        ("touchStart", path[0]),
        *[("touchMove", place) for place in path[1:]],
        ("touchEnd", None),
    ]:
        points = [{"x": place[0], "y": place[1]}] if place else []
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    client.detach()
    frame(page)


def slide(page, name, value):
    """A slider moved to a value and let go."""
    page.evaluate(
        """([name, value]) => { const field = document.querySelector(`[name=${name}]`);
             field.value = value;
             for (const event of ["input", "change"]) field.dispatchEvent(new Event(event)); }""",
        [name, value],
    )
    frame(page)


def model(page, name):
    return page.evaluate("(name) => document.querySelector('seqlab-explorer').model.get(name)", name)


def play_until(page, past):
    """Play until the time is past this, pause, and the time at which the page and its model then stand."""
    page.click("[name=play]")
    assert page.inner_text("[name=play]") == "Pause"
    page.wait_for_function("past => Number(document.querySelector('[name=time]').value) > past", arg=past)
    page.click("[name=play]")
    assert page.inner_text("[name=play]") == "Play"
    frame(page)
    stopped = int(page.input_value("[name=time]"))
    assert model(page, "time") == stopped
    return stopped


def pictures(page):
    """What each plot shows, by its name, once what was done is drawn."""
    frame(page)
    return page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("canvas")].map(
             (canvas) => [canvas.parentElement.className, canvas.toDataURL()]))"""
    )


def changed(before, after):
    return [name for name in before if before[name] != after[name]]


def center(page, n):
    """Where the nth point is on the screen."""
    box = page.locator("[role=slider]").nth(n).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
