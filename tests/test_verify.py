"""Verification: passes for what is right, fails for what is wrong by a little, and is never fooled by NaN."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from seqlab.__main__ import main
from seqlab.catalogue import PAIRINGS, Bound, sizes
from seqlab.ops.backends import has_triton
from seqlab.verify import Row, absent_backends, backends, comparisons, relative_error, table, verify
from seqlab.verify.errors import Errors, error_in

PAIRING = PAIRINGS["linear_scan"]


@pytest.fixture
def altered(monkeypatch):
    """The catalogue with linear_scan changed, on a few samples and one size."""

    def alter(**changes):
        few = tuple(sample for sample in PAIRING.samples if "moderate" in sample.name)[::4]
        small = dict.fromkeys(PAIRING.sizes, (sizes(2, 9, 3),))
        pairing = dataclasses.replace(PAIRING, **{"samples": few, "sizes": small, **changes})
        monkeypatch.setitem(PAIRINGS, "linear_scan", pairing)

    return alter


REAL = ("float64", "float32", "bfloat16", "float16")
COMPLEX = ("complex128", "complex64")  # of an op that takes complex inputs alone


def rows_of(backend: str, rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.backend == backend]


@pytest.mark.spread
@pytest.mark.parametrize("name", PAIRINGS)
def test_a_portable_op_passes_on_every_sample(name):
    rows = verify([name], ["portable"])
    assert all(row.passed for row in rows), table(rows)
    for dtype in REAL if any(not sample.imaginary for sample in PAIRINGS[name].samples) else COMPLEX:
        assert {row.hard for row in rows_of("portable", rows) if row.dtype == dtype} == {True, False}


@pytest.mark.spread
@pytest.mark.skipif(not has_triton(), reason="Triton exists for Linux only")
@pytest.mark.parametrize("name", [name for name in PAIRINGS if "interpreter" in PAIRINGS[name].sizes])
@pytest.mark.parametrize("halves", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_a_kernel_passes_in_the_interpreter(name, halves):
    """Every kind of input, at sizes that are no multiple of a block, under a watch over memory; 16 bits are loaded,
    computed in float32 and stored by the same lines."""
    from seqlab.ops.sanitizer import watched

    every = [each for each in comparisons([name], ["interpreter"]) if each.backend]
    chosen = [each for each in every if (each.precision == "float16") == halves]
    with watched():
        rows = [each.run() for each in chosen]
    assert rows or halves
    assert all(row.passed for row in rows), table(rows)
    assert halves or {row.hard for row in rows} == {True, False}


def test_quick_takes_ordinary_inputs_of_one_size_in_two_dtypes():
    quick = comparisons(["linear_scan"], ["portable"], quick=True)
    assert not any(PAIRING.samples[each.sample].hard for each in quick)
    assert {each.precision for each in quick} == {None, "float64", "float32"}
    rows = [each.run() for each in quick]
    assert all(row.passed for row in rows), table(rows)
    assert len(rows) < len(comparisons(["linear_scan"], ["portable"])) / 2


def test_quick_draws_the_first_size_alone(altered):
    drawn = []

    def op(**arguments):
        drawn.append(arguments["b"].shape[1])
        return PAIRING.op(**arguments)

    two = dict.fromkeys(PAIRING.sizes, (sizes(2, 9, 3), sizes(2, 5, 3)))
    altered(op=op, sizes=two)
    verify(["linear_scan"], ["portable"], quick=True)
    assert set(drawn) == {9}
    verify(["linear_scan"], ["portable"])
    assert set(drawn) == {9, 5}


def test_the_truth_of_a_sample_is_found_once_and_rows_keep_their_order(altered):
    """The loop that is checked gives the gradients that the widest dtype is held to."""
    looped = []

    def loop(**arguments):
        looped.append(arguments["b"].dtype)
        return PAIRING.loop(**arguments)

    altered(loop=loop)
    rows = verify(["linear_scan"], ["portable"])
    assert len(looped) == len(rows_of("portable", rows)) < len(rows)
    samples = PAIRINGS["linear_scan"].samples
    chosen = comparisons(["linear_scan"], ["portable"])
    wanted = [(each.backend or "(truth)", samples[each.sample].name) for each in chosen]
    assert [(row.backend, row.sample) for row in rows] == wanted


@pytest.mark.parametrize("output", PAIRING.outputs)
def test_a_value_wrong_by_a_little_is_caught(altered, output):
    def wrong(**arguments):
        outputs = list(PAIRING.op(**arguments))
        place = PAIRING.outputs.index(output)
        outputs[place] = outputs[place] * (1 + 3e-5)
        return tuple(outputs)

    altered(op=wrong)
    rows = rows_of("portable", verify(["linear_scan"], ["portable"]))
    single = [row for row in rows if row.dtype in ("float32", "complex64")]
    assert single
    assert not any(row.passed for row in single)


@pytest.mark.parametrize("argument", PAIRING.differentiable)
def test_a_gradient_wrong_by_a_little_is_caught(altered, argument):
    class Skewed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * (1 + 3e-4)

    def wrong(**arguments):
        if argument in arguments:
            arguments[argument] = Skewed.apply(arguments[argument])
        return PAIRING.op(**arguments)

    altered(op=wrong)
    rows = [
        row
        for row in rows_of("portable", verify(["linear_scan"], ["portable"]))
        if "no state" not in row.sample
    ]
    single = [row for row in rows if row.dtype in ("float32", "complex64")]
    assert single
    for row in single:
        assert not row.passed
        over = {name for name, bound in row.bounds.items() if row.errors[name] > bound}
        assert over == {f"grad {argument}"}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_inf_never_pass(altered, bad):
    def wrong(**arguments):
        h, last = PAIRING.op(**arguments)
        return h + torch.zeros_like(h).index_fill(1, torch.tensor([4]), bad), last

    altered(op=wrong)
    rows = rows_of("portable", verify(["linear_scan"], ["portable"]))
    assert rows
    assert not any(row.passed for row in rows)


def test_what_float16_has_no_room_for_has_to_come_out_infinite():
    true = np.array([1.0, 7e4, -7e4])
    for found, right in (
        ([1, np.inf, -np.inf], True),
        ([1, 6e4, -np.inf], False),
        ([np.inf, 7e4, -7e4], False),
    ):
        error = error_in(torch.float16, np.array(found), true)
        assert (error < 1e-2) == right


@pytest.mark.parametrize(("dtype", "right"), [(torch.float16, True), (torch.float32, False)])
def test_what_lies_below_the_range_of_a_dtype_may_come_out_as_zero(dtype, right):
    true = np.array([3e-9, -2e-8, 5e-6])
    error = error_in(dtype, np.zeros(3), true)
    assert (error < 1e-2) == right
    assert error_in(dtype, np.zeros(3), 100 * true) > 0.9


def test_a_wrong_shape_is_an_infinite_error(altered):
    def wrong(**arguments):
        h, last = PAIRING.op(**arguments)
        return h, last[:, None]

    altered(op=wrong)
    rows = rows_of("portable", verify(["linear_scan"], ["portable"]))
    assert rows
    for row in rows:
        assert row.errors["last"] == np.inf
        assert row.errors["h"] <= row.bounds["h"]
        assert not row.passed


def test_a_wrong_loop_is_caught_before_it_can_excuse_a_wrong_op(altered):
    """The truth itself is checked: here its values are right and its gradient is not."""

    def wrong(a, b, state=None, reverse=False):
        return PAIRING.loop(a, b.detach() + 0.9 * (b - b.detach()), state, reverse)

    altered(loop=wrong)
    truth = rows_of("(truth)", verify(["linear_scan"], ["portable"]))
    assert truth
    for row in truth:
        assert row.errors["h"] == pytest.approx(0, abs=1e-12)
        assert row.errors["grad b"] > 0.01
        assert not row.passed


def test_the_slope_check_holds_an_op_whose_values_are_large(altered):
    """Sums over large values, or a step that is too small for them, leave rounding behind that exceeds the bound."""
    many = dict.fromkeys(PAIRING.sizes, (sizes(2, 200, 10),))
    altered(loop=large_values(PAIRING.loop), reference=large_values(PAIRING.reference), sizes=many)
    truth = rows_of("(truth)", [each.run() for each in comparisons(["linear_scan"]) if each.backend is None])
    assert truth
    assert all(row.passed for row in truth), table(truth)


def large_values(function):
    def shifted(*arguments, **options):
        return tuple(output + 2000 for output in function(*arguments, **options))

    return shifted


def test_relative_error():
    assert relative_error(np.array([3.0, 4.1]), np.array([3.0, 4.0])) == pytest.approx(0.1 / 5)
    assert relative_error(np.array([0.5]), np.array([0.0])) == 0.5
    assert relative_error(np.array([0.5, 2.0]), np.array([0.0, 1.0]), smallest=0.6) == 1.0
    assert np.isnan(relative_error(np.array([np.nan]), np.array([1.0]), smallest=1.0))


def test_the_largest_error_is_kept_with_its_sizes_and_nan_is_the_largest():
    errors = Errors(PAIRING.samples[0])
    for length, error in enumerate((0.1, 0.3, 0.2)):
        errors.note("h", error, sizes(1, length, 1))
    assert (errors.largest["h"], errors.where["h"]["length"]) == (0.3, 1)
    for length, error in enumerate((float("nan"), 0.5, float("inf"))):
        errors.note("h", error, sizes(1, length, 1))
    assert np.isnan(errors.largest["h"])
    assert errors.where["h"]["length"] == 0


ROW = Row(
    "scan",
    "portable",
    "float32",
    "easy",
    False,
    {"h": 1e-7, "grad a": 1e-6},
    {"h": 1e-5, "grad a": 1e-4},
    dict.fromkeys(("h", "grad a"), sizes(2, 9, 3)),
)


def test_table_names_what_is_over_and_at_which_size():
    nan = dataclasses.replace(ROW, sample="nasty", hard=True, errors={"h": float("nan"), "grad a": 0.0})
    text = table([ROW, nan])
    assert "1 of 2 comparisons" in text
    assert (
        "over: scan, portable, float32, nasty:\n    h: nan, bound 1e-05, at batch 2, length 9, channels 3"
        in text
    )
    ordinary, hard = (line for line in text.splitlines() if line.startswith("portable"))
    assert ordinary.endswith("ok")
    assert "1.0e-07" in ordinary
    assert hard.endswith("OVER")


def test_table_has_no_line_that_a_page_would_have_to_scroll():
    names = [f"grad {name}" for name in ("gates", "R", "b", "c", "n", "m", "h", "initial_state")]
    bounds = dict.fromkeys(names, 1e-4)
    errors = bounds | {"grad m": 2e-4}
    wide = dataclasses.replace(ROW, errors=errors, bounds=bounds, where=dict.fromkeys(names, ROW.where["h"]))
    text = table([wide])
    assert max(map(len, text.splitlines())) <= 88
    heads = [line for line in text.splitlines() if line.startswith("backend")]
    assert re.findall(r"grad \w+", " ".join(heads)) == names
    rows = [line for line in text.splitlines() if line.startswith("portable")]
    assert [row.endswith("OVER") for row in rows] == ["grad m" in head for head in heads]
    assert len(rows) > 1


def test_a_sample_has_wider_bounds_with_a_reason_that_is_printed(altered):
    def wrong(**arguments):
        h, last = PAIRING.op(**arguments)
        return h * (1 + 3e-5), last

    wide = dataclasses.replace(PAIRING.samples[0], bounds={"h": Bound(10, "its terms cancel")})
    altered(op=wrong, samples=(wide, PAIRING.samples[1]))
    own, other = (
        row
        for row in rows_of("portable", verify(["linear_scan"], ["portable"]))
        if row.dtype in ("float32", "complex64")
    )
    assert own.bounds["h"] == pytest.approx(10 * other.bounds["h"])
    assert own.bounds["last"] == other.bounds["last"]
    assert own.passed
    assert not other.passed
    assert f"wider: linear_scan, {wide.name}, h: its terms cancel" in table([own, other])
    assert "wider" not in table([other])


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"names: expected some of linear_scan.*got 'scam'"):
        verify(names=["scam"])
    with pytest.raises(ValueError, match=r"backends: expected some of portable.*got 'cpu'"):
        verify(backends=["cpu"])
    with pytest.raises(TypeError, match="names: expected a list of names, got the text 'linear_scan'"):
        verify(names="linear_scan")
    with pytest.raises(ValueError, match=r"names: expected some of linear_scan.*got none"):
        verify(names=[])


def test_an_op_that_has_none_of_the_backends_is_no_success():
    if not has_triton():
        pytest.skip("Triton exists for Linux only")
    message = "backends: expected one that discretize_dense has, portable, got interpreter"
    with pytest.raises(ValueError, match=message):
        verify(names=["discretize_dense"], backends=["interpreter"])


def test_a_backend_this_machine_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="backends: 'cuda' cannot run here: there is no CUDA GPU"):
        verify(backends=["cuda"])
    monkeypatch.setattr(backends, "has_triton", lambda: False)
    assert set(absent_backends()) == {"interpreter", "cuda"}


def test_command_fails_when_an_op_is_wrong(altered, capsys):
    altered()
    assert main(["verify", "--ops", "linear_scan", "--backends", "portable"]) == 0
    assert "comparisons are within their bounds" in capsys.readouterr().out
    altered(op=lambda **arguments: tuple(2 * output for output in PAIRING.op(**arguments)))
    assert main(["verify", "--ops", "linear_scan", "--backends", "portable"]) == 1
    assert "over: linear_scan, portable, float32" in capsys.readouterr().out


def test_command_says_what_it_did_not_run(altered, capsys, monkeypatch):
    altered()
    monkeypatch.setattr(backends, "has_triton", lambda: False)
    assert main(["verify", "--ops", "linear_scan"]) == 0
    assert "Not run: interpreter, because Triton is not installed" in capsys.readouterr().out
    assert main(["verify", "--backends", "interpreter"]) == 2
    assert "cannot run here" in capsys.readouterr().err
