"""What every explorer does with arguments that it does not have, and with numbers of NumPy."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hands import CLASSES

from seqlab.explorers import EigenvalueExplorer, FunctionExplorer, PoleExplorer


@pytest.mark.parametrize("explorer", CLASSES.values(), ids=CLASSES)
def test_refuses_an_argument_that_it_does_not_have(explorer):
    with pytest.raises(
        TypeError, match=rf"^{explorer.__name__}: expected arguments among .*, got state_sizes$"
    ) as e:
        explorer(state_sizes=4)
    named = str(e.value).partition("among ")[2].partition(", got")[0].split(", ")
    assert named
    for name in named:
        assert name in explorer.__doc__


@pytest.mark.parametrize("explorer", CLASSES.values(), ids=CLASSES)
def test_takes_what_every_widget_takes(explorer):
    assert explorer(layout={"width": "50%"}).layout.width == "50%"


@pytest.mark.parametrize(
    ("explorer", "name", "value"),
    [
        (EigenvalueExplorer, "state_size", np.int64(4)),
        (EigenvalueExplorer, "r_min", np.float32(0.5)),
        (EigenvalueExplorer, "dt", np.int64(1)),
        (EigenvalueExplorer, "normalize", np.bool_(True)),
        (FunctionExplorer, "order", np.int32(4)),
        (FunctionExplorer, "theta", np.float16(0.5)),
        (PoleExplorer, "duration", np.float32(2)),
        (PoleExplorer, "pairs", np.bool_(False)),
    ],
)
def test_numbers_of_numpy_are_numbers(explorer, name, value):
    for made in (explorer(**{name: value}), explorer()):
        setattr(made, name, value)
        kept = getattr(made, name)
        assert kept == value
        assert not isinstance(kept, np.generic)  # it travels to the browser as JSON


@pytest.mark.parametrize("explorer", CLASSES.values(), ids=CLASSES)
def test_a_question_travels_to_the_page(explorer):
    tag = BeautifulSoup(explorer(question="Is 1 < 2?").element(), "html.parser").find("seqlab-explorer")
    assert tag.find(class_="explorer-question").text == "Is 1 < 2?"
    assert json.loads(tag["params"])["question"] == "Is 1 < 2?"
    assert explorer().get_state()["question"] == ""
