"""What ``discretize`` takes, and which argument it names where one is wrong."""

import numpy as np
import pytest
import torch
from systems import TRITON, draw

from seqlab.ops import discretize


def test_numbers_of_numpy_are_numbers():
    A, B, _ = draw("per channel")
    for step in (np.float32(0.25), np.float64(0.25), 0.25):
        made = discretize(A, B, step, "gbt", diagonal=np.True_, alpha=np.float64(0.5))
        torch.testing.assert_close(made, discretize(A, B, 0.25, "bilinear", diagonal=True))
    torch.testing.assert_close(
        discretize(A, B, np.int64(2), diagonal=True), discretize(A, B, 2.0, diagonal=True)
    )


ONES = torch.ones(3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"A": [1.0]}, TypeError, r"A: expected a torch.Tensor, got list"),
        ({"B": 1.0}, TypeError, r"B: expected a torch.Tensor, got float"),
        ({"dt": "0.1"}, TypeError, r"dt: expected a number, got str"),
        ({"dt": True}, TypeError, r"dt: expected a number, got bool"),
        ({"dt": None}, TypeError, r"dt: expected a number, got NoneType"),
        ({"dt": -1.0}, ValueError, r"dt: expected .* from 0 to 3.4\S*e\+38, got -1.0"),
        ({"dt": float("nan")}, ValueError, r"dt: expected a number from 0 .* got nan"),
        ({"dt": float("inf")}, ValueError, r"dt: expected a number from 0 .* got inf"),
        ({"dt": 10**400}, ValueError, r"dt: expected a number from 0 .* got inf"),
        ({"dt": 1e39}, ValueError, r"dt: expected a number from 0 .* got 1e\+39"),
        ({"diagonal": "no"}, TypeError, r"diagonal: expected True or False, got str"),
        ({"diagonal": None}, TypeError, r"diagonal: expected True or False, got NoneType"),
        ({"method": None}, ValueError, r"method: expected one of .* got None"),
        ({"A": ONES.int()}, TypeError, r"A: expected one of float16, .* got torch.int32"),
        (
            {"B": ONES.double()},
            TypeError,
            r"B: expected dtype torch.float32 or torch.complex64 for an A of torch.float32, got torch.float64",
        ),
        (
            {"dt": ONES.double()},
            TypeError,
            r"dt: expected dtype torch.float32 for an A of .*, got torch.float64",
        ),
        ({"dt": ONES * 1j}, TypeError, r"dt: expected dtype torch.float32 for .*, got torch.complex64"),
        (
            {"A": ONES.half(), "B": ONES.half(), "dt": ONES.double()},
            TypeError,
            r"dt: expected dtype torch.float16 or torch.float32 for",
        ),
        (
            {"A": torch.ones(2, 0), "B": torch.ones(0)},
            ValueError,
            r"A: expected every axis to be at least 1 long, got \(2, 0\)",
        ),
        ({"dt": torch.ones(0)}, ValueError, r"dt: expected every axis to be at least 1 long, got \(0,\)"),
        ({"B": torch.ones(3, device="meta")}, ValueError, r"B: expected device cpu like A, got meta"),
        ({"A": torch.ones(())}, ValueError, r"A: expected shape \(..., N\), got \(\)"),
        (
            {"A": torch.ones(4, 3), "dt": torch.ones(5)},
            ValueError,
            r"dt: expected a shape .* A's \(4, 3\), got \(5,\)",
        ),
        ({"B": torch.ones(4)}, ValueError, r"B: expected a shape that broadcasts with \(3,\).*, got \(4,\)"),
        (
            {"A": torch.ones(3, 2), "diagonal": False},
            ValueError,
            r"A: expected shape \(N, N\), got \(3, 2\)",
        ),
        ({"A": ONES, "diagonal": False}, ValueError, r"A: expected shape \(N, N\), got \(3,\)"),
        (
            {"A": torch.ones(3, 3), "B": torch.ones(4), "diagonal": False},
            ValueError,
            r"B: expected shape \(3,\) or \(3, M\) .*, got \(4,\)",
        ),
        (
            {"method": "tustin"},
            ValueError,
            r"method: expected one of 'euler', 'bilinear', .*, 'foh', got 'tustin'",
        ),
        ({"method": "gbt"}, TypeError, r"alpha: expected a number, got NoneType"),
        ({"method": "gbt", "alpha": 1.5}, ValueError, r"alpha: expected a number from 0 to 1, got 1.5"),
        ({"method": "gbt", "alpha": "half"}, TypeError, r"alpha: expected a number, got str"),
        (
            {"alpha": 0.5},
            ValueError,
            r"alpha: expected None, as method is 'zoh' and not 'gbt', got 0.5",
        ),
        ({"backend": "cuda"}, ValueError, r"backend: expected one of .*got 'cuda'"),
        (
            {"A": torch.ones(3, 3), "diagonal": False, "backend": "triton"},
            ValueError,
            r"backend: expected 'portable' or None for a dense A, got 'triton'",
        ),
        (
            {"A": torch.ones(3, 3), "diagonal": False, "backend": "cuda"},
            ValueError,
            r"backend: expected one of .*got 'cuda'",
        ),
    ],
)
def test_wrong_input_names_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        discretize(**{"A": ONES, "B": ONES, "dt": 0.1, "diagonal": True, **arguments})


@TRITON
def test_the_kernel_says_which_dtypes_it_computes():
    with pytest.raises(TypeError, match=r"backend: 'triton' computes .*float64 needs backend='portable'"):
        discretize(*draw("Mamba"), diagonal=True, backend="triton")


def test_without_triton_the_portable_form_still_runs(monkeypatch):
    monkeypatch.setattr("seqlab.ops.backends.has_triton", lambda: False)
    inputs = draw("Mamba", dtype=torch.float32)
    discretize(*inputs, diagonal=True)
    with pytest.raises(ValueError, match="backend: 'triton' needs the triton package"):
        discretize(*inputs, diagonal=True, backend="triton")
