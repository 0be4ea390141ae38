"""How long an explorer's updates take, until their pixels are there. Tests that ask are marked ``timing``."""

import numpy as np
from hands import center, frame


def time_updates(page):
    page.evaluate(
        """() => { window.times = [];
          const canvases = [...document.querySelectorAll("canvas")].map((canvas) => canvas.getContext("2d"));
          const measure = performance.measure.bind(performance);
          performance.measure = (name, { start }) => { // drawing counts: wait for the pixels
            for (const canvas of canvases) canvas.getImageData(0, 0, 1, 1);
            times.push(performance.now() - start);
            return measure(name, { start, end: performance.now() });
          }; }"""
    )


def drag_a_point(page):
    x, y = center(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(120):
        page.mouse.move(x - step, y + step / 2)
    page.mouse.up()
    frame(page)


def assert_under_8_ms(page):
    times = np.array(page.evaluate("times"))[20:]  # the first ones are slower: the browser is still compiling
    assert len(times) > 50
    found = f"median {np.median(times):.1f} ms, slowest {times.max():.1f} ms"
    print(found)
    assert np.median(times) < 8, found
