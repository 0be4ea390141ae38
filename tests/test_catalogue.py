"""The catalogue: each entry is complete, draws what it promises, and counts bytes as the equation does."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab import ops
from seqlab.catalogue import PAIRINGS, Sample, sizes
from seqlab.catalogue.causal_convolution import convolution_operations
from seqlab.catalogue.distributions import (
    Arrays,
    Size,
    Tensors,
    bits,
    constant,
    every_third,
    index,
    log_uniform,
    matrix,
    normal,
    phases,
    signs,
    uniform,
)
from seqlab.chapters import CHAPTERS
from seqlab.verify import BACKENDS

every_pairing = pytest.mark.parametrize("name", PAIRINGS)


@every_pairing
def test_op_and_reference_are_one_function_twice(name):
    pairing = PAIRINGS[name]
    assert getattr(ops, pairing.op.__name__) is inspect.unwrap(pairing.op)
    assert pairing.reference.__module__.startswith("seqlab.ops.")
    assert pairing.reference.__module__.endswith(".reference")
    assert pairing.reference.__name__ == pairing.op.__name__
    op, reference = (list(inspect.signature(f).parameters) for f in (pairing.op, pairing.reference))
    assert op[: len(reference)] == reference
    assert pairing.chapter in CHAPTERS


@every_pairing
def test_samples_are_ordinary_and_hard_real_and_complex_and_distinct(name):
    samples = PAIRINGS[name].samples
    assert {sample.hard for sample in samples} == {True, False}
    assert len({sample.name for sample in samples}) == len(samples)


@every_pairing
def test_samples_depend_on_the_seed_alone(name):
    pairing = PAIRINGS[name]
    for sample in pairing.samples:
        for case in pairing.sizes["portable"]:
            one, same, other = (sample.draw(np.random.default_rng(seed), case) for seed in (0, 0, 1))
            assert set(one) <= set(inspect.signature(pairing.op).parameters)
            arrays = [key for key, value in one.items() if isinstance(value, np.ndarray)]
            for key in arrays:
                assert one[key].dtype in ((np.complex128, np.float64) if sample.imaginary else (np.float64,))
                np.testing.assert_array_equal(one[key], same[key])
            assert any(not np.array_equal(one[key], other[key]) for key in arrays)


@every_pairing
def test_every_backend_and_device_has_sizes(name):
    pairing = PAIRINGS[name]
    assert {"portable"} <= set(pairing.sizes) <= set(BACKENDS)
    assert set(pairing.workload_sizes) == {"cuda", "cpu"}
    for cases in [*pairing.sizes.values(), *pairing.workload_sizes.values()]:
        assert cases


@every_pairing
def test_kinds_and_carries_are_what_tests_over_all_ops_need(name):
    """A kind is an ordinary sample; a carry has several batch entries, and is no size that is tiny."""
    pairing = PAIRINGS[name]
    ordinary = {sample.name for sample in pairing.samples if not sample.hard}
    assert pairing.kinds
    assert set(pairing.kinds) <= ordinary
    assert (pairing.carry is None) == ("cuda" not in pairing.sizes)
    if pairing.carry:
        assert pairing.carry["batch"] > 1
        assert pairing.carry["length"] > 4 * max(case["length"] for case in pairing.sizes["interpreter"])


@every_pairing
def test_names_in_a_pairing_are_those_of_its_arguments_and_outputs(name):
    pairing = PAIRINGS[name]
    arguments = set(inspect.signature(pairing.op).parameters)
    assert {*pairing.differentiable, *pairing.full_precision, *pairing.any_shape} <= arguments
    assert set(pairing.linear) <= set(pairing.outputs)
    assert {key for keys in pairing.linear.values() for key in keys} <= set(pairing.differentiable)
    quantities = {*pairing.outputs, *(f"grad {key}" for key in pairing.differentiable)}
    assert set(pairing.nan_spreads) <= quantities
    for sample in pairing.samples:
        assert {*sample.bounds, *sample.nan_spreads} <= quantities


def test_every_op_has_a_pairing():
    """A folder of ``seqlab/ops`` with an op that the catalogue has forgotten would be verified by nothing."""
    folder = Path(ops.__file__).parent
    folders = {file.relative_to(folder).parts[0] for file in folder.glob("**/op.py")}
    assert folders == {pairing.reference.__module__.split(".")[-2] for pairing in PAIRINGS.values()}


CASE = sizes(2, 5, 3, states=4)


@pytest.mark.parametrize(
    ("distribution", "shape", "holds"),
    [
        (normal("BLD"), (2, 5, 3), lambda x: abs(x.mean()) < 1 and 0.5 < x.std() < 1.5),
        (normal("DN", imaginary=True), (3, 4), lambda x: x.imag.std() > 0.3 < x.real.std()),
        (uniform(0, 1, "B3D"), (2, 3, 3), lambda x: x.std() > 0.1),
        (uniform(2, 3, "BL1N"), (2, 5, 1, 4), lambda x: x.min() >= 2 and x.max() <= 3 and x.std() > 0.1),
        (log_uniform(1e-6, 1e-2, "BLD"), (2, 5, 3), lambda x: x.min() < 1e-4 < x.max() and x.min() > 9e-7),
        (constant(0.5, "D"), (3,), lambda x: (x == 0.5).all()),
        (index("DN"), (3, 4), lambda x: (x == x[:1]).all() and x[0].tolist() == [0, 1, 2, 3]),
        (matrix(np.eye), (4, 4), lambda x: x.sum() == 4 == x.diagonal().sum()),
        (signs("BLD"), (2, 5, 3), lambda x: set(x.flatten().tolist()) == {-1, 1}),
        (bits("BLD"), (2, 5, 3), lambda x: set(x.flatten().tolist()) == {0, 1}),
        (phases("BLD"), (2, 5, 3), lambda x: abs(abs(x) - 1).max() < 1e-6 and x.imag.min() < -0.3),
        (1 - 2 * uniform(0, 1, "D"), (3,), lambda x: abs(x).max() <= 1),
        (normal("B1D") * constant(1, "BLD"), (2, 5, 3), lambda x: (x == x[:, :1]).all()),
        (every_third(constant(7, "N"), constant(1, "N")), (4,), lambda x: x.tolist() == [1, 7, 1, 1]),
    ],
)
def test_distributions_draw_arrays_and_tensors_alike(distribution, shape, holds):
    array = distribution.draw(Arrays(np.random.default_rng(0)), CASE)
    tensor = distribution.draw(Tensors(torch.Generator().manual_seed(0), torch.float32), CASE)
    assert array.dtype == (np.complex128 if distribution.imaginary else np.float64)
    assert tensor.dtype == (torch.complex64 if distribution.imaginary else torch.float32)
    for x in (array, tensor):
        assert tuple(x.shape) == shape
        assert holds(x)


def test_a_sample_insists_on_its_own_sizes():
    sample = Sample("wide", {"x": normal("DN"), "N": Size("N")}, sizes={"states": 9})
    drawn = sample.draw(np.random.default_rng(0), CASE)
    assert drawn["x"].shape == (3, 9)
    assert drawn["N"] == 9


@every_pairing
def test_workloads_run_on_the_op(name):
    pairing = PAIRINGS[name]
    for workload in pairing.workloads:
        for dtype in workload.dtypes:
            case = pairing.sizes["portable"][0]
            arguments = workload.draw(torch.Generator().manual_seed(0), case, dtype)
            outputs = pairing.op(**arguments)
            assert len(outputs) == len(pairing.outputs)
            assert outputs[0].dtype in (dtype, dtype.to_real())
            assert all(torch.isfinite(output).all() for output in outputs)


def test_linear_scan_samples_cover_what_breaks_scans():
    drawn = {
        sample.name: sample.draw(np.random.default_rng(0), sizes(2, 50, 4))
        for sample in PAIRINGS["linear_scan"].samples
    }
    moduli = {name: np.abs(arguments["a"]) for name, arguments in drawn.items()}
    assert any((modulus == 0).any() and (modulus > 0.3).any() for modulus in moduli.values())
    assert any((modulus == 1).all() for modulus in moduli.values())
    assert any(
        np.isclose(modulus, 1, atol=1e-15).all() and np.iscomplexobj(drawn[name]["a"])
        for name, modulus in moduli.items()
    )
    assert any(((modulus > 0.99) & (modulus < 1)).all() for modulus in moduli.values())
    assert any((modulus < 1e-19).all() for modulus in moduli.values())
    kinds = {(np.iscomplexobj(x["a"]), x["a"].ndim, "state" in x, "reverse" in x) for x in drawn.values()}
    for imaginary in (False, True):
        for dimensions in (1, 3):
            for reverse in (False, True):
                assert (imaginary, dimensions, True, reverse) in kinds
    assert any(not state for _, _, state, _ in kinds)


@pytest.mark.parametrize(
    ("workload", "forward", "backward", "operations"),
    [
        ("real varying", 12, 20, 2),
        ("real fixed", 8, 12, 2),
        ("complex varying", 24, 40, 8),
        ("complex fixed", 16, 24, 8),
    ],
)
def test_linear_scan_counts_bytes_and_operations_per_element(workload, forward, backward, operations):
    pairing = PAIRINGS["linear_scan"]
    (found,) = (w for w in pairing.workloads if w.name == workload)
    arguments = found.draw(torch.Generator().manual_seed(0), sizes(2, 7, 3), found.dtypes[0])
    elements = 2 * 7 * 3
    assert pairing.fewest_bytes(arguments) == (forward * elements, backward * elements)
    assert pairing.operations(arguments)[0] == operations * elements
    as_arrays = {key: value.numpy() for key, value in arguments.items()}
    assert pairing.operations(as_arrays) == pairing.operations(arguments)
    assert pairing.fewest_bytes(as_arrays) == pairing.fewest_bytes(arguments)


def test_a_convolution_counts_the_cheaper_of_a_sum_and_transforms():
    """A sum where taps are few; else n log n, which of twice the length is little more than twice as much."""
    rows = 2 * 3
    assert convolution_operations(2, 100, 3, 1) == (2 * 100 * rows, 4 * 100 * rows)
    assert convolution_operations(2, 100, 3, 4)[0] == 2 * (4 * 100 - 6) * rows
    assert convolution_operations(2, 7, 3, 50) == convolution_operations(2, 7, 3, 7)
    one, two = (convolution_operations(2, n, 3, n) for n in (4096, 8192))
    assert all(2 < more / less < 2.3 for less, more in zip(one, two, strict=True))
    assert one[0] < one[1] < 4096**2


@pytest.mark.parametrize("name", ["flashconv", "hyena"])
def test_bytes_and_operations_of_long_convolutions_are_counted_of_arrays_as_of_tensors(name):
    pairing, case = PAIRINGS[name], sizes(2, 30, 3, states=4)
    for workload in pairing.workloads:
        arguments = workload.draw(torch.Generator().manual_seed(0), case, torch.float32)
        arrays = {key: x.numpy() for key, x in arguments.items()}
        assert pairing.operations(arrays) == pairing.operations(arguments)
        assert pairing.fewest_bytes(arrays) == pairing.fewest_bytes(arguments)


def test_bytes_of_long_convolutions_are_those_of_what_is_read_and_written():
    """Forward u, y and the kernel; v, z, two gates and two filters. Backward once more as many inputs and gradients."""
    numbers, taps = 2 * 30 * 3, 30 * 3
    found = {}
    for name in ("flashconv", "hyena"):
        workload = PAIRINGS[name].workloads[0]
        arguments = workload.draw(torch.Generator().manual_seed(0), sizes(2, 30, 3), torch.float32)
        found[name] = PAIRINGS[name].fewest_bytes(arguments)
    assert found["flashconv"] == (4 * (2 * numbers + taps), 4 * (3 * numbers + 2 * taps))
    assert found["hyena"] == (4 * (4 * numbers + 2 * taps), 4 * (7 * numbers + 4 * taps))


def test_kernels_are_short_enough_to_be_read():
    files = [
        file for file in Path(ops.__file__).parent.rglob("*.py") if "@triton.jit" in file.read_text("utf8")
    ]
    lengths = {str(file): len(file.read_text("utf8").splitlines()) for file in files}
    assert len(lengths) > len(PAIRINGS)
    assert not {file: lines for file, lines in lengths.items() if lines > 500}
    (model,) = (lines for file, lines in lengths.items() if file.endswith("decayed_logsumexp/kernel.py"))
    assert model <= 150  # the one to copy
