"""What the controls of every explorer do alike: they say what is used, stay where they are, and go back."""

import pytest
from hands import EXPLORERS, center, frame, model, pictures

pytestmark = pytest.mark.browser
every_explorer = pytest.mark.parametrize("name", EXPLORERS)

# Opened as a chapter may open it; a control that is idle there, and what puts it to use.
OPENED = {
    "duality": {"modes": "three", "input": "step", "time": 20, "selected": 1},
    "eigenvalues": {"initialization": "real", "state_size": 8, "r_min": 0.5, "selected": 3},
    "function": {"preset": "chirp", "order": 9, "time": 200},
    "gates": {"preset": "revise", "precision": "float16", "f": 1, "time": 1},
    "poles": {"preset": "stiff", "method": "euler", "dt": 0.03, "duration": 2},
    "recall": {"preset": "far", "decay": 0.9, "time": 12, "broken": "query"},
    "wkv": {"preset": "loud", "precision": "float16", "time": 20, "selected": 1},
    "selection": {"text": "abcd12·1" * 4, "rule": "constant", "position": 20, "channel": 3},
}
IDLE = {
    "duality": ("step", lambda page: page.click("[name=back]")),
    "eigenvalues": ("max_phase", lambda page: page.select_option("[name=initialization]", "ring")),
    "function": ("theta", lambda page: page.check("[name=legt]")),
    "gates": ("back", lambda page: page.click("[name=step]")),
    "poles": ("state_size", lambda page: page.select_option("[name=preset]", "s4d_lin")),
    "recall": ("decay", lambda page: page.select_option("[name=broken]", "nothing")),
    "wkv": ("step", lambda page: page.click("[name=back]")),
    "selection": ("insert", lambda page: page.click("[name=delete]")),
}
# What is typed into a field of numbers, and what the field shows once it is left: what is used.
TYPED = [
    ("eigenvalues", "selected", "9999", "8"),
    ("eigenvalues", "selected", "0", "1"),
    ("eigenvalues", "selected", "", "4"),
    ("eigenvalues", "modulus", "7", "0.9999"),
    ("eigenvalues", "phase", "3.5", "-0.5"),
    ("eigenvalues", "seed", "-5", "0"),
    ("eigenvalues", "seed", "1.5", "1"),
    ("poles", "selected", "9999", "2"),
    ("poles", "re", "", "-1"),
    ("wkv", "key", "-999", "-200"),
]

STATE = """() => [...document.querySelectorAll("seqlab-explorer :is(input, select):not([name=time])")].map(
    (field) => [field.name, field.type === "checkbox" ? field.checked : field.value, field.disabled])"""


@every_explorer
def test_reset_goes_back_to_what_was_opened(show_explorer, name):
    page = show_explorer(name, OPENED[name])
    words, state = page.inner_text("output"), page.evaluate(STATE)
    frame(page)
    drawn = pictures(page)
    x, y = center(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y - 30, steps=3)
    page.mouse.up()
    for field in page.locator("seqlab-explorer :is(input[type=checkbox])").all():
        field.click()
    for field in page.locator("seqlab-explorer select:enabled").all():
        field.select_option(index=1)
    page.locator("seqlab-explorer input[type=range]:enabled").first.press("ArrowLeft")
    for field in page.locator("seqlab-explorer :is([name=add], [name=out])").all():
        field.click()
    frame(page)
    assert page.evaluate(STATE) != state
    page.click("[name=reset]")
    page.mouse.move(2, 2)
    frame(page)
    page.wait_for_function("(words) => document.querySelector('output').textContent === words", arg=words)
    page.wait_for_timeout(400)  # what waits for the hand to rest is drawn too
    frame(page)
    assert page.evaluate(STATE) == state
    assert pictures(page) == drawn
    for trait, value in OPENED[name].items():
        assert model(page, trait) == value


@every_explorer
def test_a_control_without_a_use_stays_and_is_disabled(show_explorer, name):
    control, use = IDLE[name]
    idle = {
        "function": {"measures": ["legs"]},
        "duality": {"time": 31},
        "recall": {"broken": "memory"},
        "wkv": {"time": 23},
    }
    opened = {**OPENED[name], **idle.get(name, {})}
    page = show_explorer(name, opened)
    field = page.locator(f"[name={control}]")
    assert field.is_visible()
    assert field.is_disabled()
    use(page)
    frame(page)
    assert field.is_enabled()


@pytest.mark.parametrize(("name", "field", "typed", "used"), TYPED)
def test_a_field_shows_what_is_used_once_it_is_left(show_explorer, name, field, typed, used):
    page = show_explorer(name, OPENED[name])
    if field == "phase":
        page.fill("[name=selected]", "1")
    page.fill(f"[name={field}]", typed)
    page.keyboard.press("Tab")
    frame(page)
    assert page.input_value(f"[name={field}]") == used
