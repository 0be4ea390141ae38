"""Discretization as a PyTorch op: argument checks, the canonical form of the diagonal
case, registration with torch.library."""

from math import prod

import torch
from torch import Tensor

from seqlab.ops.arguments import check_tensor
from seqlab.ops.backends import choose_backend, load_kernel
from seqlab.ops.discretize import portable

PRECISIONS = {
    torch.float16: torch.float16,
    torch.bfloat16: torch.bfloat16,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}
"""The dtypes of A and B, each with its real counterpart."""
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.complex64)

TRANSFORMS = {"euler": 0.0, "bilinear": 0.5, "backward_euler": 1.0}
"""The methods that are the generalized bilinear transform with an alpha of their own."""
METHODS = (*TRANSFORMS, "gbt", "zoh", "foh")


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
    alpha dt A), inf or nan comes out.

    Args:
        A: dense, (N, N): the state matrix. Diagonal, (..., N): its eigenvalues. float16,
            bfloat16, float32, float64, complex64 or complex128.
        B: dense, (N,), or (N, M) for M inputs. Diagonal, (..., N). Of A's precision,
            real or complex.
        dt: the time that a step takes, in the units of 1 / A: a number, or a tensor of
            any shape (...), real, of A's precision, or float32 where A is float16 or
            bfloat16.
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
        ValueError: a shape, a device, ``method``, ``alpha`` or ``backend`` is not as
            described, or a tensor is empty.

    Source: Gu et al., "Combining Recurrent, Convolutional, and Continuous-time Models
    with Linear State-Space Layers" (2021), equation 3 (gbt); Van Loan, "Computing
    Integrals Involving the Matrix Exponential" (1978), theorem 1 (zoh); Franklin, Powell
    and Workman, "Digital Control of Dynamic Systems" (1997), section 6.3.2 (foh). In the
    book: chapter 5, equations 5.4 to 5.12.
    """
    dt = _check(A, B, dt, diagonal)
    transform, alpha = _check_method(method, alpha)
    if diagonal:
        name = choose_backend(backend, A, KERNEL_DTYPES)
        return _discretize_diagonal(A, B, dt, transform, alpha, name)
    if backend == "triton":
        raise ValueError(
            "backend: the 'triton' kernel is for diagonal=True; a dense A needs 'portable' or None"
        )
    choose_backend(backend, A, ())
    return portable.dense(A, B, dt, transform, alpha)


def _discretize_diagonal(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float, backend: str
) -> tuple[Tensor, Tensor]:
    shape = torch.broadcast_shapes(A.shape, (*dt.shape, 1))
    wider = torch.broadcast_shapes(shape, B.shape) != shape
    if wider or (B.is_complex() and not A.is_complex()):
        # B_bar is linear in B: its weights come in the shape and the dtype of dt A.
        ones = A.new_ones(A.shape[-1])
        A_bar, weights = _discretize_diagonal(A, ones, dt, method, alpha, backend)
        if method == "foh":
            return A_bar, torch.stack([weight * B for weight in weights])
        return A_bar, weights * B
    B = B.to(A.dtype).expand(*B.shape[:-1], shape[-1])
    folded = _fold([A, B, dt[..., None]], shape[:-1])
    A_bar, B_bar = _discretize(*folded, method, alpha, backend)
    holds = (2,) if method == "foh" else ()
    return A_bar.reshape(shape), B_bar.reshape(*holds, *shape)


def _fold(tensors: list[Tensor], leading: torch.Size) -> list[Tensor]:
    """Each tensor with its leading axes folded in two, (T, D, last), where it varies
    along all of T or not at all (T is 1), and likewise along D.

    The leading axes are cut where most tensors have this form without being expanded.
    """
    padded = [x.reshape((1,) * (len(leading) + 1 - x.ndim) + x.shape) for x in tensors]

    def halves(x: Tensor, cut: int) -> list[tuple[torch.Size, torch.Size]]:
        axes = (slice(0, cut), slice(cut, len(leading)))
        return [(x.shape[:-1][part], leading[part]) for part in axes]

    def expansions(cut: int) -> int:
        parts = [half for x in padded for half in halves(x, cut)]
        return sum(prod(part) != 1 and part != whole for part, whole in parts)

    counts = [expansions(cut) for cut in range(len(leading) + 1)]
    cut = counts.index(min(counts))
    folded = []
    for x in padded:
        parts = [part if prod(part) == 1 else whole for part, whole in halves(x, cut)]
        x = x.expand(*parts[0], *parts[1], x.shape[-1])
        folded.append(x.reshape(prod(parts[0]), prod(parts[1]), x.shape[-1]))
    return folded


@torch.library.custom_op("seqlab::discretize", mutates_args=())
def _discretize(
    A: Tensor, B: Tensor, dt: Tensor, method: str, alpha: float, backend: str
) -> tuple[Tensor, Tensor]:
    if backend == "triton":
        return load_kernel("discretize", A).steps(A, B, dt, method, alpha)
    return portable.diagonal(A, B, dt, method, alpha)


@_discretize.register_fake
def _(A, B, dt, method, alpha, backend):
    shape = torch.broadcast_shapes(A.shape, dt.shape)
    holds = (2,) if method == "foh" else ()
    return A.new_empty(shape), A.new_empty((*holds, *shape))


@torch.library.custom_op("seqlab::discretize_backward", mutates_args=())
def _discretize_backward(
    A: Tensor,
    B: Tensor,
    dt: Tensor,
    grad_A_bar: Tensor,
    grad_B_bar: Tensor,
    method: str,
    alpha: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    form = (
        load_kernel("discretize", A).gradients
        if backend == "triton"
        else portable.diagonal_gradients
    )
    return form(A, B, dt, grad_A_bar, grad_B_bar, method, alpha)


@_discretize_backward.register_fake
def _(A, B, dt, grad_A_bar, grad_B_bar, method, alpha, backend):
    return A.new_empty(A.shape), B.new_empty(B.shape), dt.new_empty(dt.shape)


def _keep_for_backward(ctx, inputs, output):
    A, B, dt, ctx.method, ctx.alpha, ctx.backend = inputs
    ctx.save_for_backward(A, B, dt)


def _backward(ctx, grad_A_bar, grad_B_bar):
    gradients = _discretize_backward(
        *ctx.saved_tensors, grad_A_bar, grad_B_bar, ctx.method, ctx.alpha, ctx.backend
    )
    return *gradients, None, None, None


_discretize.register_autograd(_backward, setup_context=_keep_for_backward)


def _check_method(method: str, alpha: float | None) -> tuple[str, float]:
    """gbt, zoh or foh, and gbt's alpha (0 where there is none)."""
    if method not in METHODS:
        raise ValueError(
            f"method: expected one of {', '.join(METHODS)}, got {method!r}"
        )
    if method != "gbt":
        if alpha is not None:
            raise ValueError(
                f"alpha: expected None, as method is {method!r} and not 'gbt', got {alpha!r}"
            )
        if method in TRANSFORMS:
            return "gbt", TRANSFORMS[method]
        return method, 0.0
    if alpha is None:
        raise ValueError(
            "alpha: expected a number in [0, 1] for method 'gbt', got None"
        )
    if not isinstance(alpha, int | float) or isinstance(alpha, bool):
        raise TypeError(f"alpha: expected a number, got {type(alpha).__name__}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha: expected a number in [0, 1], got {alpha!r}")
    return method, float(alpha)


def _check(A: Tensor, B: Tensor, dt: Tensor | float, diagonal: bool) -> Tensor:
    """dt as a tensor, once everything is as the op describes it."""
    for name, value in (("A", A), ("B", B)):
        check_tensor(name, value)
    if A.dtype not in PRECISIONS:
        raise TypeError(f"A: expected one of {_names(PRECISIONS)}, got {A.dtype}")
    precision = PRECISIONS[A.dtype]
    partners = [dtype for dtype, real in PRECISIONS.items() if real == precision]
    if B.dtype not in partners:
        raise TypeError(
            f"B: expected {_names(partners)} for an A of {A.dtype}, got {B.dtype}"
        )
    wide = torch.promote_types(precision, torch.float32)
    steps = [precision] if wide == precision else [precision, wide]
    if isinstance(dt, int | float) and not isinstance(dt, bool):
        dt = torch.full((), dt, dtype=wide, device=A.device)
    if not isinstance(dt, Tensor):
        raise TypeError(
            f"dt: expected a number or a torch.Tensor, got {type(dt).__name__}"
        )
    if dt.dtype not in steps:
        raise TypeError(
            f"dt: expected {_names(steps)} for an A of {A.dtype}, got {dt.dtype}"
        )
    for name, x in (("A", A), ("B", B), ("dt", dt)):
        if 0 in x.shape:
            raise ValueError(f"{name}: expected no empty axis, got {tuple(x.shape)}")
        if x.device != A.device:
            raise ValueError(
                f"{name}: expected device {A.device} like A, got {x.device}"
            )
    (_check_diagonal if diagonal else _check_dense)(A.shape, B.shape, dt.shape)
    return dt


def _check_dense(A: torch.Size, B: torch.Size, dt: torch.Size) -> None:
    if len(A) != 2 or A[0] != A[1]:
        raise ValueError(f"A: expected shape (N, N), got {tuple(A)}")
    if len(B) not in (1, 2) or B[0] != A[0]:
        raise ValueError(
            f"B: expected shape ({A[0]},) or ({A[0]}, M) for an A of {tuple(A)}, got {tuple(B)}"
        )


def _check_diagonal(A: torch.Size, B: torch.Size, dt: torch.Size) -> None:
    if not A:
        raise ValueError("A: expected shape (..., N), got ()")
    try:
        shape = torch.broadcast_shapes(A, (*dt, 1))
    except RuntimeError as error:
        raise ValueError(
            f"dt: expected a shape (...) such that (..., 1) broadcasts with A's {tuple(A)}, got {tuple(dt)}"
        ) from error
    try:
        torch.broadcast_shapes(shape, B)
    except RuntimeError as error:
        raise ValueError(
            f"B: expected a shape that broadcasts with {tuple(shape)}, that of dt[..., None] * A, got {tuple(B)}"
        ) from error


def _names(dtypes) -> str:
    return " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
