"""The HiPPO projection as a PyTorch op: argument checks, choice of backend,
registration with torch.library."""

import math

import torch
from torch import Tensor

from seqlab.ops.arguments import check_dtype, check_tensor, positive_integer
from seqlab.ops.backends import choose_backend, load_kernel
from seqlab.ops.hippo import portable
from seqlab.ops.hippo.transition import METHODS, check_measure, memory_of

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
LEGS_KERNEL_METHODS = ("bilinear", "backward_euler")


def hippo_project(
    f: Tensor,
    N: int,
    measure: str = "legs",
    method: str = "bilinear",
    theta: float = 1.0,
    state: Tensor | None = None,
    dt: float | None = None,
    start: int = 0,
    return_all: bool = True,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The coefficients of a signal's history after every sample, one history per batch
    entry and channel.

    Sample f_k is the value held from time k - 1 to time k, in units of dt. Before the
    first sample the signal is zero, except for ``legs``, whose history begins with it.
    Linear in ``f`` and ``state`` and differentiable in both, through both results.

    Args:
        f: signal, (B, L, D), float16, bfloat16, float32 or float64.
        N: order, the number of coefficients, at least 1.
        measure: "legs", "legt", "lagt" or "fourier", see :func:`hippo_transition`.
        method: "bilinear", "backward_euler", "euler" (unstable for ``legs``) or "zoh"
            (exact for held samples; for ``legs`` in logarithmic time).
        theta: window of the time-invariant measures (for ``lagt`` its time constant),
            positive, in the units of ``dt``. ``legs`` has none.
        state: coefficients before the first sample, (B, D, N); zeros if None. Of f's
            dtype, but float32 for float16 and bfloat16.
        dt: time between two samples, positive; None means 1 / L, so that the sequence
            lasts 1. A sequence that goes on from a ``state`` needs it (not for
            ``legs``, which has no time scale).
        start: how many samples ``state`` has seen, at least 1 with a state for
            ``legs``. The time-invariant measures do the same at any ``start``.
        return_all: whether the coefficients are wanted after every sample or after the
            last one alone.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or
            None, which takes Triton for CUDA tensors up to float32, and for ``legs``
            with "bilinear" and "backward_euler", and the portable form for all else.

    Returns:
        c, (B, L, D, N), or (B, D, N) without ``return_all``, of f's dtype, and the
            state after the last sample, (B, D, N), of the dtype that ``state`` has.

    Raises:
        TypeError: an argument is of another type or dtype than listed.
        ValueError: a shape, a device or a value is not as described, or B, L or D is 0.

    Source: Gu et al., "HiPPO: Recurrent Memory with Optimal Polynomial Projections"
    (2020), theorems 1 and 2 and appendix B.3. In the book: chapter 4, equations 4.9 to
    4.12.
    """
    check_tensor("f", f)
    if f.ndim != 3:
        raise ValueError(
            f"f: expected shape (batch, length, channels), got {tuple(f.shape)}"
        )
    _check(f, "f", N, measure, method, theta, state, dt, start)
    name = _backend(backend, f, measure, method)
    step = (1 / f.shape[1] if dt is None else dt) / theta
    return _hippo_project(f, state, N, measure, method, step, start, return_all, name)


def hippo_project_step(
    f_t: Tensor,
    N: int,
    measure: str = "legs",
    method: str = "bilinear",
    theta: float = 1.0,
    state: Tensor | None = None,
    dt: float = 1.0,
    start: int = 0,
) -> tuple[Tensor, Tensor]:
    """One step of :func:`hippo_project`: the coefficients after one more sample.

    Args:
        f_t: sample, (B, D).
        N, measure, method, theta: as for :func:`hippo_project`.
        state: coefficients before the sample, (B, D, N); zeros if None.
        dt: time between two samples, positive, in the units of theta.
        start: how many samples ``state`` has seen.

    Returns:
        c_t, (B, D, N), of f_t's dtype, and the new state, of the dtype that ``state``
            has.

    Raises:
        TypeError, ValueError: as for :func:`hippo_project`.
    """
    check_tensor("f_t", f_t)
    if f_t.ndim != 2:
        raise ValueError(
            f"f_t: expected shape (batch, channels), got {tuple(f_t.shape)}"
        )
    _check(f_t[:, None], "f_t", N, measure, method, theta, state, dt, start)
    wide = torch.promote_types(f_t.dtype, torch.float32)
    memory = memory_of(measure, N, method, dt / theta, wide, f_t.device)
    A_bar, B_bar = memory.steps([start + 1])
    c_t = f_t.to(wide)[..., None] * B_bar[0]  # eq. 4.12
    if state is not None:
        c_t = state @ A_bar[0].mT + c_t
    return c_t.to(f_t.dtype), c_t


@torch.library.custom_op("seqlab::hippo_project", mutates_args=())
def _hippo_project(
    f: Tensor,
    state: Tensor | None,
    order: int,
    measure: str,
    method: str,
    step: float,
    start: int,
    return_all: bool,
    backend: str,
) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(f.dtype, torch.float32)
    memory = memory_of(measure, order, method, step, wide, f.device)
    if backend == "triton":
        return load_kernel("hippo", f).project(f, state, memory, start, return_all)
    return portable.project(f, state, memory, start, return_all)


@_hippo_project.register_fake
def _(f, state, order, measure, method, step, start, return_all, backend):
    batch, length, channels = f.shape
    last = f.new_empty(
        (batch, channels, order), dtype=torch.promote_types(f.dtype, torch.float32)
    )
    if not return_all:
        return last.new_empty(last.shape, dtype=f.dtype), last
    return f.new_empty((batch, length, channels, order)), last


@torch.library.custom_op("seqlab::hippo_project_backward", mutates_args=())
def _hippo_project_backward(
    grad_c: Tensor,
    grad_last: Tensor,
    length: int,
    measure: str,
    method: str,
    step: float,
    start: int,
    return_all: bool,
    backend: str,
) -> tuple[Tensor, Tensor]:
    order = grad_last.shape[2]
    memory = memory_of(measure, order, method, step, grad_last.dtype, grad_last.device)
    form = load_kernel("hippo", grad_c) if backend == "triton" else portable
    return form.gradients(grad_c, grad_last, length, memory, start, return_all)


@_hippo_project_backward.register_fake
def _(grad_c, grad_last, length, measure, method, step, start, return_all, backend):
    batch, channels, _ = grad_last.shape
    return grad_c.new_empty((batch, length, channels)), torch.empty_like(
        grad_last, memory_format=torch.contiguous_format
    )


def _keep_for_backward(ctx, inputs, output):
    f, state, _, *ctx.options = inputs
    ctx.length, ctx.has_state = f.shape[1], state is not None


def _backward(ctx, grad_c, grad_last):
    grad_f, grad_state = _hippo_project_backward(
        grad_c, grad_last, ctx.length, *ctx.options
    )
    return grad_f, grad_state if ctx.has_state else None, *[None] * 7


_hippo_project.register_autograd(_backward, setup_context=_keep_for_backward)


def _backend(backend: str | None, f: Tensor, measure: str, method: str) -> str:
    has_kernel = measure != "legs" or method in LEGS_KERNEL_METHODS
    if backend is None and not has_kernel:
        return "portable"
    name = choose_backend(backend, f, KERNEL_DTYPES)
    if name == "triton" and not has_kernel:
        raise ValueError(
            f"backend: 'triton' computes legs by one of {LEGS_KERNEL_METHODS}; "
            f"{method!r} needs backend='portable'"
        )
    return name


def _check(
    f: Tensor,
    name: str,
    N: int,
    measure: str,
    method: str,
    theta: float,
    state: Tensor | None,
    dt: float | None,
    start: int,
) -> None:
    """``f`` is (B, L, D) here; ``name`` is what the caller calls it."""
    check_dtype(name, f, DTYPES)
    if 0 in f.shape:
        raise ValueError(
            f"{name}: expected batch, length and channels of at least 1, got {tuple(f.shape)}"
        )
    positive_integer("N", N)
    check_measure(measure)
    if method not in METHODS:
        raise ValueError(f"method: expected one of {METHODS}, got {method!r}")
    for key, value in (("theta", theta), ("dt", 1.0 if dt is None else dt)):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{key}: expected a number, got {type(value).__name__}")
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{key}: expected a positive number, got {value}")
    if isinstance(start, bool) or not isinstance(start, int):
        raise TypeError(f"start: expected an int, got {type(start).__name__}")
    if start < 0:
        raise ValueError(f"start: expected at least 0, got {start}")
    if state is None:
        return
    check_tensor("state", state)
    wide = torch.promote_types(f.dtype, torch.float32)
    if state.dtype != wide:
        raise TypeError(
            f"state: expected dtype {wide} for {f.dtype} inputs, got {state.dtype}"
        )
    shape = (f.shape[0], f.shape[2], N)
    if state.shape != shape:
        raise ValueError(
            f"state: expected shape (batch, channels, N) = {shape}, got {tuple(state.shape)}"
        )
    if state.device != f.device:
        raise ValueError(
            f"state: expected device {f.device} like {name}, got {state.device}"
        )
    if measure == "legs" and start == 0:
        raise ValueError(
            "start: expected how many samples state has seen, at least 1, as legs "
            "weighs them by their number, got 0"
        )
    if measure != "legs" and dt is None:
        raise ValueError(
            "dt: expected the time between two samples, as the sequence goes on from a "
            "state, got None"
        )
