"""The catalogue's inputs for discretization are those that break careless forms, and its bytes are equation 5.17's."""

import numpy as np
import pytest
import torch

from seqlab.catalogue import PAIRINGS, sizes

CASE = sizes(2, 7, 3, states=4)


def drawn(name, hard=True):
    samples = [sample for sample in PAIRINGS[name].samples if sample.hard == hard]
    return [sample.draw(np.random.default_rng(0), CASE) for sample in samples]


def test_diagonal_samples_cover_what_breaks_discretization():
    hard = drawn("discretize")
    for method in ("bilinear", "zoh", "foh"):
        own = [arguments for arguments in hard if arguments["method"] == method]
        for imaginary in (False, True):
            kind = [x for x in own if np.iscomplexobj(x["A"]) == imaginary]
            assert any((x["dt"] == 0).any() for x in kind)
            assert any((x["dt"] == 1e3).any() for x in kind)
            assert any((x["dt"] <= 1e-2).all() for x in kind)
            assert any((x["A"] == 0).any() for x in kind)
            assert any(np.abs(x["A"]).max() > 1e3 for x in kind)
    undamped = [x for x in hard if (x["A"].real == 0).all() and np.iscomplexobj(x["A"])]
    assert any(np.abs(x["dt"][:, None] * x["A"]).max() > 300 for x in undamped)
    ordinary = {(x["method"], np.iscomplexobj(x["A"]), x["dt"].ndim) for x in drawn("discretize", hard=False)}
    methods = ("euler", "backward_euler", "bilinear", "gbt", "zoh", "foh")
    assert ordinary == {(m, c, n) for m in methods for c in (False, True) for n in (1, 3)}


def test_dense_samples_cover_singular_stiff_and_complex_systems():
    hard = drawn("discretize_dense")
    singular = [x for x in hard if np.linalg.matrix_rank(x["A"]) < len(x["A"])]
    assert {x["method"] for x in singular} == {"bilinear", "zoh", "foh"}
    legs = [x for x in hard if x["A"].shape == (32, 32)]
    assert any((x["dt"] == 1e3).any() for x in legs)
    assert any((x["dt"] == 0).any() for x in hard)
    assert any(np.iscomplexobj(x["A"]) and (x["dt"] == 1e3).any() for x in hard)
    assert {x["method"] for x in hard if x["dt"].size == 1 and x["dt"].max() < 0.02} == {
        "bilinear",
        "zoh",
        "foh",
    }


@pytest.mark.parametrize(
    ("workload", "method", "inputs", "outputs"),
    [
        # numbers of 4 bytes: A (3, 4), B (2, 7, 1, 4), dt (2, 7, 3); two or three (2, 7, 3, 4)
        ("Mamba", "zoh", 12 + 56 + 42, 2 * 168),
        ("Mamba", "foh", 12 + 56 + 42, 3 * 168),
        # pairs of them: A, B and the outputs (3, 4); dt (3,) is real
        ("S4D", "zoh", 2 * 12 + 2 * 12 + 3, 2 * 2 * 12),
    ],
)
def test_bytes_are_those_of_the_equation(workload, method, inputs, outputs):
    pairing = PAIRINGS["discretize"]
    (found,) = (w for w in pairing.workloads if w.name == workload)
    arguments = found.draw(torch.Generator().manual_seed(0), CASE, found.dtypes[0]) | {"method": method}
    assert pairing.fewest_bytes(arguments) == (4 * (inputs + outputs), 4 * (2 * inputs + outputs))
    made = pairing.op(**arguments)
    assert sum(x.nbytes for x in made) == 4 * outputs
    as_arrays = {key: x.numpy() if isinstance(x, torch.Tensor) else x for key, x in arguments.items()}
    assert pairing.fewest_bytes(as_arrays) == pairing.fewest_bytes(arguments)
    assert pairing.operations(as_arrays) == pairing.operations(arguments)


def test_dense_bytes_are_those_of_its_tensors():
    pairing = PAIRINGS["discretize_dense"]
    arguments = pairing.workloads[0].draw(torch.Generator().manual_seed(0), CASE, torch.float32)
    inputs, outputs = 4 * (16 + 16 + 3), 4 * 3 * (16 + 16)
    assert pairing.fewest_bytes(arguments) == (inputs + outputs, 2 * inputs + outputs)
    assert sum(x.nbytes for x in pairing.op(**arguments)) == outputs
