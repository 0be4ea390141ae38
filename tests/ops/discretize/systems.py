"""What ``discretize`` is tried on: every method, real and complex, systems of every form."""

import pytest
import torch

from seqlab.ops.backends import has_triton
from seqlab.ops.discretize.reference import METHODS

TRITON = pytest.mark.skipif(not has_triton(), reason="no Triton")
BACKENDS = ["portable", pytest.param("triton", marks=TRITON)]
every_method = pytest.mark.parametrize("method", METHODS)
real_and_complex = pytest.mark.parametrize("complex_", [False, True])
FORMS = {
    # shapes of A, B and dt
    "Mamba": ((5, 3), (2, 3, 1, 3), (2, 3, 5)),
    "per channel": ((4, 3), (4, 3), (4,)),
    "one dt": ((4, 3), (4, 3), ()),
    "one system": ((3,), (3,), (2, 5)),
    "all vary": ((2, 3, 5, 3), (2, 3, 5, 3), (2, 3, 5)),
    "one rate a channel": ((5, 1), (2, 3, 1, 3), (2, 3, 5)),
    "one B a channel": ((5, 3), (5, 1), (2, 3, 5)),
    "B alone in time": ((5, 3), (2, 3, 1, 3), (5,)),
    "in halves": ((2, 1, 4, 3), (1, 3, 4, 3), (2, 3, 1)),
}
every_form = pytest.mark.parametrize("form", FORMS)


def options(method):
    return {"alpha": 0.3} if method == "gbt" else {}


def draw(form, complex_=False, dtype=None, seed=0):
    """Eigenvalues in the left half plane, with a zero among them, and steps from 0.05 to 2.5."""
    generator = torch.Generator().manual_seed(seed)
    real = dtype or torch.float64
    wide = torch.promote_types(real, torch.float32)
    kind = wide.to_complex() if complex_ else real
    A_shape, B_shape, dt_shape = FORMS[form]
    A = -torch.rand(A_shape, dtype=wide, generator=generator) * 2
    if complex_:
        A = torch.complex(A, torch.randn(A_shape, dtype=wide, generator=generator))
    A.view(-1)[0] = 0
    B = torch.randn(B_shape, dtype=wide.to_complex() if complex_ else wide, generator=generator)
    dt = torch.rand(dt_shape, dtype=wide, generator=generator) * 2.45 + 0.05
    return A.to(kind), B.to(kind), dt


def dense_system(complex_=False, columns=True, states=4):
    generator = torch.Generator().manual_seed(3)
    dtype = torch.complex128 if complex_ else torch.float64
    A = torch.randn(states, states, dtype=dtype, generator=generator) / 2 - torch.eye(states, dtype=dtype)
    B = torch.randn(states, *((2,) if columns else ()), dtype=dtype, generator=generator)
    return A, B, torch.tensor([[0.1, 0.5, 1.4], [0.0, 1e-9, 2.0]], dtype=torch.float64)


def widen(x):
    return x.detach().to(torch.promote_types(x.dtype, torch.float64))


def gradients(outputs, inputs, weights):
    return torch.autograd.grad(
        outputs, inputs, [w.to(y.dtype) for w, y in zip(weights, outputs, strict=True)]
    )
