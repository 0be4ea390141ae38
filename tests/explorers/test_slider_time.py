"""A frame while a slider moves, from one to the next, with everything that a browser does in it: script, style, layout,
paint. The browser does not wait for the screen here, so what passes between two frames is what one costs, and what
else the machine does meanwhile: every frame is drawn three times or more, and its cost is the least of them."""

import numpy as np
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timing]

UNHELD = ["--disable-frame-rate-limit", "--disable-gpu-vsync"]
FULL = {"eigenvalues": [[0.9, 0.1], [0.5, 0.6], [-0.7, 0.2], [0.2, 0]], "signal": [0.5, -1] * 32}
SLIDERS = [
    ("duality", FULL, "radius"),
    ("duality", FULL, "angle"),
    ("duality", FULL, "time"),
    ("eigenvalues", {"state_size": 256}, "r_max"),
    ("eigenvalues", {"state_size": 256}, "r_min"),
    ("eigenvalues", {"state_size": 256}, "max_phase"),
    ("eigenvalues", {"state_size": 256, "initialization": "s4d_lin"}, "dt"),
    ("gates", {"input_gates": [120, -120] * 16, "key_size": 16, "time": 32}, "shift"),
    ("gates", {"input_gates": [120, -120] * 16, "key_size": 16, "time": 32}, "key_size"),
    ("gates", {"input_gates": [120, -120] * 16, "key_size": 16, "time": 32}, "time"),
    ("poles", {"state_size": 64}, "dt"),
    ("poles", {"state_size": 64}, "duration"),
    ("function", {"order": 64}, "theta"),
    ("function", {"order": 64}, "time"),
    ("recall", {"sequence": "a1b2c3d4" * 3, "time": 23}, "decay"),
    ("recall", {"sequence": "a1b2c3d4" * 3, "time": 23}, "time"),
    ("wkv", {"preset": "climbing"}, "decay"),
    ("wkv", {"preset": "climbing"}, "time"),
    ("selection", {"text": "abcd12·1" * 4}, "channel"),
    ("selection", {"text": "abcd12·1" * 4}, "position"),
]
# The slider goes up and down its middle half, a step in each frame.
SLIDE = """(name) => new Promise((done) => {
    const field = document.querySelector(`[name=${name}]`), times = [];
    const [low, high] = [Number(field.min), Number(field.max)];
    const step = () => {
        times.push(performance.now());
        if (times.length > 160) return done(times);
        field.value = low + (high - low) * (0.5 + 0.25 * Math.sin(times.length / 15));
        field.dispatchEvent(new Event("input"));
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step); })"""


@pytest.fixture(scope="module")
def browser(launch):
    """A Chromium that draws as fast as it can."""
    return launch(*UNHELD)


@pytest.mark.parametrize(("name", "parameters", "slider"), SLIDERS)
def test_a_frame_takes_under_16_ms_at_the_95th_percentile(show_explorer, name, parameters, slider):
    page = show_explorer(name, parameters, viewport={"width": 1280, "height": 900})
    page.evaluate(SLIDE, slider)  # the browser compiles what it runs often
    rounds = [np.diff(page.evaluate(SLIDE, slider)) for _ in range(3)]
    while np.percentile(np.min(rounds, axis=0), 95) >= 16 and len(rounds) < 8:
        rounds.append(np.diff(page.evaluate(SLIDE, slider)))
    times = np.min(rounds, axis=0)
    median, high = np.percentile(times, [50, 95])
    found = f"median {median:.1f} ms, 95th percentile {high:.1f} ms, slowest {times.max():.1f} ms"
    print(found)
    assert high < 16, found
