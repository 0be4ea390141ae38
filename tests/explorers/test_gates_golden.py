"""The gates explorer's JavaScript mathematics, run by Node, against NumPy on the same numbers."""

import numpy as np
import pytest
from evaluation import evaluator

from seqlab.explorers import GatesExplorer
from seqlab.explorers.gates.cell import cell, inputs, keys_of, log_forget, matrix_memory, rounded, values_of

evaluate = evaluator("gates/mathematics.mjs")
PRESETS = ("ordinary", "climb", "deep", "revise")
PRECISIONS = ("float16", "float32", "float64")


def drawn(length):
    return np.random.default_rng(length).uniform(-120, 120, length)


def test_half_is_the_nearest_number_of_float16():
    random = np.random.default_rng(0)
    powers = 2.0 ** np.arange(-26, 18)
    edges = np.concatenate([powers, np.nextafter(powers, 0), np.nextafter(powers, np.inf)])
    ties = np.concatenate(
        [(np.arange(1, 40) + 0.5) * 2.0**-24, 2048.0 + np.arange(1, 40, 2), [65519.999, 65520, 1e300]]
    )
    ordinary = random.standard_normal(2000) * 10.0 ** random.uniform(-9, 6, 2000)
    numbers = np.concatenate([edges, -edges, ties, -ties, ordinary, [0.0]])
    found = np.array(evaluate(*[("half", x) for x in numbers.tolist()]))
    np.testing.assert_array_equal(found, rounded(numbers, "float16"))
    subnormal = (numbers != 0) & (np.abs(found) < 2.0**-14)
    assert subnormal.sum() > 50
    assert np.isinf(found).sum() > 10


def test_rounding_after_each_operation_is_the_arithmetic_of_the_precision():
    """Products, sums and quotients of float64, rounded, are those of the precision itself."""
    random = np.random.default_rng(1)
    for precision in ("float16", "float32"):
        a, b = rounded(
            random.standard_normal((2, 4000)) * 10.0 ** random.uniform(-3, 3, (2, 4000)), precision
        )
        small_a, small_b = a.astype(precision), b.astype(precision)
        with np.errstate(all="ignore"):
            pairs = [(a * b, small_a * small_b), (a + b, small_a + small_b), (a / b, small_a / small_b)]
        for wide, narrow in pairs:
            np.testing.assert_array_equal(rounded(wide, precision), narrow.astype(float))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("stabilized", [False, True])
@pytest.mark.parametrize("readout", ["slstm", "mlstm"])
def test_cell(precision, stabilized, readout):
    gates = [GatesExplorer(preset=preset).input_gates for preset in PRESETS] + [drawn(2), drawn(32)]
    cases = [
        (i, log_forget(f, kind)) for i in gates for f, kind in ((-4, "sigmoid"), (3.5, "sigmoid"), (6, "exp"))
    ]
    options = {"stabilized": stabilized, "precision": precision, "readout": readout}
    found = evaluate(*[("cell", i.tolist(), log_f, inputs(len(i)).tolist(), options) for i, log_f in cases])
    for (i, log_f), ours in zip(cases, found, strict=True):
        truth = cell(i, log_f, inputs(len(i)), **options)
        for name, wanted in truth.items():
            np.testing.assert_allclose(ours[name], wanted, rtol=1e-13, atol=0)
        if stabilized:
            assert np.isfinite(ours["h"]).all()
    if not stabilized and precision != "float64":
        assert any(np.isnan(ours["h"]).any() for ours in found)


@pytest.mark.parametrize("kind", ["orthogonal", "scattered"])
@pytest.mark.parametrize("size", [2, 8, 16])
def test_matrix_memory(kind, size):
    log_f = log_forget(2.0, "sigmoid")
    found_keys, found_values = evaluate(("keysOf", kind, size, 32), ("valuesOf", size, 32))
    keys, values = keys_of(kind, size, 32), values_of(size, 32)
    np.testing.assert_allclose(found_keys.reshape(-1, size), keys, rtol=0, atol=1e-15)
    np.testing.assert_allclose(found_values.reshape(-1, size), values, rtol=0, atol=1e-15)
    gates = [*(GatesExplorer(preset=preset).input_gates for preset in PRESETS), drawn(32)]
    cases = [(i, time) for i in gates for time in (1, len(i))]
    stored = (keys.ravel().tolist(), values.ravel().tolist(), size)
    found = evaluate(*[("matrixMemory", i.tolist(), log_f, *stored, time) for i, time in cases])
    for (i, time), ours in zip(cases, found, strict=True):
        C, n, errors = matrix_memory(i[:time], log_f, keys[:time], values[:time])
        np.testing.assert_allclose(ours["C"].reshape(size, size), C, rtol=0, atol=1e-13)
        np.testing.assert_allclose(ours["n"], n, rtol=0, atol=1e-13)
        np.testing.assert_allclose(ours["errors"], errors, rtol=1e-9, atol=1e-12)


def test_orthogonal_keys_are_read_back_exactly_until_they_begin_again():
    keys, values = keys_of("orthogonal", 8, 9), values_of(8, 9)
    *_, errors = matrix_memory(np.zeros(8), 0.0, keys[:8], values[:8])
    np.testing.assert_allclose(errors, 0, atol=1e-15)
    *_, errors = matrix_memory(np.zeros(9), 0.0, keys, values)
    assert (errors > 0.1).nonzero()[0].tolist() == [0, 8]


@pytest.mark.parametrize("preset", PRESETS)
def test_gates_are_the_same_in_both_languages(preset):
    (found,) = evaluate(("presetGates", preset))
    np.testing.assert_allclose(found, GatesExplorer(preset=preset).input_gates, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("kind", ["sigmoid", "exp"])
def test_log_forget_and_inputs(kind):
    f = np.linspace(-4, 8, 25)
    found = evaluate(*[("logForget", x, kind) for x in f.tolist()])
    np.testing.assert_allclose(np.array(found), [log_forget(x, kind) for x in f], rtol=1e-14)
    (z,) = evaluate(("inputs", 32))
    np.testing.assert_allclose(z, inputs(32), rtol=0, atol=1e-15)
