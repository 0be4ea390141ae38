"""Discretization as a PyTorch op: argument checks, choice of the form, registration."""

from collections.abc import Iterable

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    boolean,
    check_dtype,
    check_not_empty,
    check_tensor,
    choice,
    number,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.discretize import portable
from seqlab.ops.discretize.reference import ALPHAS, METHODS
from seqlab.ops.registration import register

PRECISIONS = {
    torch.float16: torch.float16,
    torch.bfloat16: torch.bfloat16,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}
"""The dtypes of A and B, each with its real counterpart."""
PARTNERS = {
    dtype: [other for other, real in PRECISIONS.items() if real == precision]
    for dtype, precision in PRECISIONS.items()
}
"""The dtypes that B may have, by A's."""
STEPS = {
    dtype: (precision, accumulation_dtype(precision))
    for dtype, precision in PRECISIONS.items()
}
"""The dtypes that dt may have, by A's; a number becomes one of the second."""
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.complex64)


def discretize(
    A: Tensor,
    B: Tensor,
    dt: Tensor | float,
    method: str = "zoh",
    diagonal: bool = False,
    alpha: float | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """From x' = A x + B u to the step x_k = A_bar x_{k-1} + B_bar u_k.

    Differentiable in ``A``, ``B`` and ``dt``; complex gradients follow PyTorch's
    convention. Safe for a singular or zero A, and for dt from 0 (A_bar is the identity,
    B_bar is 0) up. Where the system has a pole that ``method`` cannot step over (1 =
    alpha dt A), inf or nan comes out. A NaN goes where the equation takes it; a dense A
    spreads it as a product of matrices does, from A to all of A_bar and B_bar (but for
    "euler"), from B along its column of B_bar.

    Args:
        A: dense, (N, N): the state matrix. Diagonal, (..., N): its eigenvalues. float16,
            bfloat16, float32, float64, complex64 or complex128.
        B: dense, (N,), or (N, M) for M inputs. Diagonal, (..., N). Of A's precision,
            real or complex.
        dt: the time that a step takes, in the units of 1 / A: a number from 0 up (in the
            range of float32, but for a double A), or a tensor of any shape (...), real,
            of A's precision, or float32 where A is float16 or bfloat16. A tensor's values
            are not checked, as that would wait for a GPU.
        method: "euler", "backward_euler", "bilinear", "gbt" (the generalized bilinear
            transform, of which these are alpha = 0, 1 and 1/2), "zoh" (exact for a u
            that is held over the step) or "foh" (exact for a u that is linear in it).
        diagonal: whether ``A`` holds eigenvalues. A, B and dt[..., None] are then
            broadcast: for Mamba, A (D, N), B (B, L, 1, N) and dt (B, L, D).
        alpha: gbt's weight of the step's end, in [0, 1]; for "gbt" alone.
        backend: "triton" (diagonal alone; on CPU tensors: in Triton's interpreter),
            "portable", or None, which takes Triton for diagonal CUDA tensors of a dtype
            that the kernel knows (up to 32 bits a real number) and the portable form
            for all else.

    Returns:
        A_bar: dense, dt.shape + (N, N); diagonal, the shape of dt[..., None] * A. Of A's
            dtype.
        B_bar: dense, dt.shape + B.shape; diagonal, the shape of dt[..., None] * A * B.
            Complex if A or B is. For "foh" two of them along a first axis, (before,
            now): x_k = A_bar x_{k-1} + before u_{k-1} + now u_k.

    Raises:
        TypeError: an argument is of a type or dtype that is not listed.
        ValueError: a shape, a device, a number, ``method`` or ``backend`` is not as
            described, or a tensor is empty.

    Source: Gu et al., "Combining Recurrent, Convolutional, and Continuous-time Models
    with Linear State-Space Layers" (2021), equation 3 (gbt); Van Loan, "Computing
    Integrals Involving the Matrix Exponential" (1978), theorem 1 (zoh); Franklin, Powell
    and Workman, "Digital Control of Dynamic Systems" (1997), section 6.3.2 (foh). In the
    book: chapter 5, equations 5.4 to 5.12.
    """
    check_tensor("A", A)
    check_tensor("B", B)
    check_dtype("A", A, PRECISIONS)
    if B.dtype not in PARTNERS[A.dtype]:
        raise _wrong_dtype("B", B, PARTNERS[A.dtype], A)
    dt = _step(A, dt)
    for name, x in (("A", A), ("B", B), ("dt", dt)):
        check_not_empty(name, x)
        if x.device != A.device:
            raise ValueError(
                f"{name}: expected device {A.device} like A, got {x.device}"
            )
    transform, alpha = _transform(method, alpha)
    if boolean("diagonal", diagonal):
        name = choose_backend(backend, A, KERNEL_DTYPES)
        return _diagonal(A, B, dt, transform, alpha, name)
    if backend == "triton":
        raise ValueError(
            "backend: expected 'portable' or None for a dense A, got 'triton', whose "
            "kernel is for diagonal=True"
        )
    choose_backend(backend, A, ())
    _check_dense(A.shape, B.shape)
    return portable.dense(A, B, dt, transform, alpha)


def _diagonal(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float, backend: str
) -> tuple[Tensor, Tensor]:
    if not A.ndim:
        raise ValueError("A: expected shape (..., N), got ()")
    shape = _broadcast(A.shape, (*dt.shape, 1))
    if shape is None:
        raise ValueError(
            "dt: expected a shape (...) such that (..., 1) broadcasts with A's "
            f"{tuple(A.shape)}, got {tuple(dt.shape)}"
        )
    whole = _broadcast(shape, B.shape)
    if whole is None:
        raise ValueError(
            f"B: expected a shape that broadcasts with {shape}, that of dt[..., None] * A, "
            f"got {tuple(B.shape)}"
        )
    if whole != shape or (B.is_complex() and not A.is_complex()):
        # B_bar is linear in B: its weights come in the shape and the dtype of dt A.
        A_bar, weights = _discretize(A, A.new_ones(1), dt, method, alpha, backend)
        if method == "foh":
            return A_bar, torch.stack([weight * B for weight in weights])
        return A_bar, weights * B
    return _discretize(A, B.to(A.dtype), dt, method, alpha, backend)


def _broadcast(
    first: tuple[int, ...], second: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The shape of the sum of two tensors, None if there is none. (That of PyTorch takes
    ten times as long.)"""
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    extra = len(longer) - len(shorter)
    sizes = []
    for x, y in zip(longer[extra:], shorter, strict=True):
        if x != y and x != 1 and y != 1:
            return None
        sizes.append(y if x == 1 else x)
    return (*longer[:extra], *sizes)


def _forward(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float, backend: str
) -> tuple[Tensor, Tensor]:
    if backend == "triton":
        return kernel_of("discretize").steps(A, B, dt, method, alpha)
    return portable.diagonal(A, B, dt, method, alpha)


def _backward(
    A: Tensor,
    B: Tensor,
    dt: Tensor,
    grad_A_bar: Tensor,
    grad_B_bar: Tensor,
    method: str,
    alpha: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    if backend == "triton":
        kernel = kernel_of("discretize")
        return kernel.gradients(A, B, dt, grad_A_bar, grad_B_bar, method, alpha)
    return portable.diagonal_gradients(A, B, dt, grad_A_bar, grad_B_bar, method, alpha)


def _save(arguments, outputs):
    return arguments[:3]


def _fake(A, B, dt, method, alpha, backend):
    shape = torch.broadcast_shapes(A.shape, (*dt.shape, 1))
    holds = (2,) if method == "foh" else ()
    return A.new_empty(shape), A.new_empty((*holds, *shape))


def _fake_backward(A, B, dt, grad_A_bar, grad_B_bar, method, alpha, backend):
    return tuple(x.new_empty(x.shape) for x in (A, B, dt))


# A, B and dt are broadcast, to the shape of dt[..., None] * A; A and B share a dtype.
_discretize = register("discretize", _forward, _backward, _save, _fake, _fake_backward)


def _step(A: Tensor, dt: Tensor | float) -> Tensor:
    """dt as a tensor of a dtype that goes with A's."""
    dtypes = STEPS[A.dtype]
    if isinstance(dt, Tensor):
        check_tensor("dt", dt)
        if dt.dtype not in dtypes:
            raise _wrong_dtype("dt", dt, dict.fromkeys(dtypes), A)
        return dt
    step = number("dt", dt, least=0, most=torch.finfo(dtypes[1]).max)
    return torch.full((), step, dtype=dtypes[1], device=A.device)


def _wrong_dtype(
    name: str, x: Tensor, dtypes: Iterable[torch.dtype], A: Tensor
) -> TypeError:
    expected = " or ".join(str(dtype) for dtype in dtypes)
    return TypeError(
        f"{name}: expected dtype {expected} for an A of {A.dtype}, got {x.dtype}"
    )


def _transform(method: str, alpha: float | None) -> tuple[str, float]:
    """gbt, zoh or foh, and gbt's alpha (0 where there is none)."""
    choice("method", method, METHODS)
    if method == "gbt":
        return method, number("alpha", alpha, 0, 1)
    if alpha is not None:
        raise ValueError(
            f"alpha: expected None, as method is {method!r} and not 'gbt', got {alpha!r}"
        )
    return ("gbt", ALPHAS[method]) if method in ALPHAS else (method, 0.0)


def _check_dense(A: torch.Size, B: torch.Size) -> None:
    if len(A) != 2 or A[0] != A[1]:
        raise ValueError(f"A: expected shape (N, N), got {tuple(A)}")
    if len(B) not in (1, 2) or B[0] != A[0]:
        raise ValueError(
            f"B: expected shape ({A[0]},) or ({A[0]}, M) for an A of {tuple(A)}, got {tuple(B)}"
        )
