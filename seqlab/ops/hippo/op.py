"""The HiPPO projection as a PyTorch op: argument checks, choice of backend,
registration with torch.library."""

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    boolean,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
    choice,
    integer,
    number,
    positive_integer,
)
from seqlab.ops.backends import choose_backend
from seqlab.ops.hippo import portable, windows
from seqlab.ops.hippo.full_precision import matmul
from seqlab.ops.hippo.reference import MEASURES, METHODS
from seqlab.ops.hippo.transition import DTYPES
from seqlab.ops.registration import register

KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
KERNEL_METHODS = ("bilinear", "backward_euler")
MOST_STEPS = 2**53
"""Numbers of steps, so that a float64 tells each from the next."""


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

    What is not finite spreads to all coefficients of its batch entry and channel that
    come after it, and of gradients to all that come before it. With ``legs`` it never
    goes the other way. The fixed windows are products of matrices, which may take it to
    any other time of that sequence as well, as NaN and never as a wrong finite number.

    A step of LegS can only follow a signal that changes little within it. With
    "bilinear" or "backward_euler", coefficients with N near the number of samples or
    beyond it are far from the projection (4.1); with "zoh" they are those of the held
    samples at any N.

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
            lasts 1. A call that continues from a ``state`` needs it (not for ``legs``,
            which has no time scale).
        start: how many samples ``state`` has seen, at least 1 with a state for
            ``legs``. The time-invariant measures do the same at any ``start``.
        return_all: whether to return the coefficients after every sample; else those
            after the last one alone.
        backend: "triton" (on CPU tensors: in Triton's interpreter), for ``legs`` with
            "bilinear" or "backward_euler" alone; "portable"; or None, which takes Triton
            for them on CUDA tensors up to float32, and the portable form for all else.

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
    check_shape("f", f, "batch, length, channels")
    N, theta, start = _check(f, "f", N, measure, method, theta, state, start)
    if dt is not None:
        dt = number("dt", dt, above=0)
    elif state is not None and measure != "legs":
        raise ValueError(
            "dt: expected the time between two samples, as the sequence goes on from a "
            "state, got None"
        )
    return_all = boolean("return_all", return_all)
    name = _backend(backend, f, measure, method)
    return _hippo_project(
        f, state, N, measure, method, theta, dt, start, return_all, name
    )


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
    check_shape("f_t", f_t, "batch, channels")
    N, theta, start = _check(
        f_t[:, None], "f_t", N, measure, method, theta, state, start
    )
    step = number("dt", dt, above=0) / theta
    name = _backend(None, f_t, measure, method)
    return checked_step(f_t, state, N, measure, method, step, start, name)


def _forward(
    f: Tensor,
    state: Tensor | None,
    order: int,
    measure: str,
    method: str,
    theta: float,
    dt: float | None,
    start: int,
    return_all: bool,
    backend: str,
) -> tuple[Tensor, Tensor]:
    if measure != "legs":
        step = (1 / f.shape[1] if dt is None else dt) / theta
        return windows.project(f, state, measure, order, method, step, return_all)
    if backend == "portable":
        return portable.project(f, state, order, method, start, return_all)
    from seqlab.ops.hippo import legs

    return legs.project(f, state, order, method, start, return_all)


def _backward(
    f: Tensor,
    grad_c: Tensor | None,
    grad_last: Tensor | None,
    order: int,
    measure: str,
    method: str,
    theta: float,
    dt: float | None,
    start: int,
    return_all: bool,
    backend: str,
) -> tuple[Tensor, Tensor]:
    if not return_all:  # c is the last state in another dtype
        grad_last = _sum_of(grad_c, grad_last)
        grad_c = None
    if grad_c is None and grad_last is None:
        grad_last = _zeros(f, order)
    if measure != "legs":
        step = (1 / f.shape[1] if dt is None else dt) / theta
        return windows.gradients(f, grad_c, grad_last, measure, order, method, step)
    if backend == "portable":
        return portable.gradients(f, grad_c, grad_last, order, method, start)
    from seqlab.ops.hippo import legs

    return legs.gradients(f, grad_c, grad_last, order, method, start)


def _sum_of(grad_c: Tensor | None, grad_last: Tensor | None) -> Tensor | None:
    """The gradient to coefficients that are returned twice."""
    if grad_c is None or grad_last is None:
        only = grad_last if grad_c is None else grad_c
        return None if only is None else only.to(accumulation_dtype(only.dtype))
    return grad_last + grad_c


def _zeros(f: Tensor, order: int) -> Tensor:
    """A gradient to the coefficients after a sample of f, where there is none."""
    shape = f.shape[0], f.shape[-1], order
    return f.new_zeros(shape, dtype=accumulation_dtype(f.dtype))


def _save(arguments, outputs):
    return (arguments[0],)  # its shape alone is needed


def _fake(f, state, order, measure, method, theta, dt, start, return_all, backend):
    batch, length, channels = f.shape
    shape = (batch, channels, order)
    last = f.new_empty(shape, dtype=accumulation_dtype(f.dtype))
    return f.new_empty((batch, length, channels, order) if return_all else shape), last


def _fake_backward(f, grad_c, grad_last, order, *options):
    batch, _, channels = f.shape
    dtype = accumulation_dtype(f.dtype)
    return f.new_empty(f.shape), f.new_empty((batch, channels, order), dtype=dtype)


_hippo_project = register(
    "hippo_project", _forward, _backward, _save, _fake, _fake_backward
)


def _step_forward(
    f_t: Tensor,
    state: Tensor | None,
    order: int,
    measure: str,
    method: str,
    step: float,
    start: int,
    backend: str,
) -> tuple[Tensor, Tensor]:
    if measure == "legs" and backend == "portable":
        return portable.step(f_t, state, order, method, start)
    if measure == "legs":
        from seqlab.ops.hippo import legs

        return legs.project(f_t[:, None], state, order, method, start, False)
    wide = accumulation_dtype(f_t.dtype)
    change, B_bar = windows.step_matrices(
        measure, order, method, step, wide, f_t.device
    )
    c_t = f_t.to(wide)[..., None] * B_bar
    if state is not None:
        c_t += state + matmul(state, change.mT)  # eq. 4.12
    return c_t.to(f_t.dtype, copy=True), c_t


def _step_backward(
    f_t: Tensor,
    grad_c: Tensor | None,
    grad_last: Tensor | None,
    order: int,
    measure: str,
    method: str,
    step: float,
    start: int,
    backend: str,
) -> tuple[Tensor, Tensor]:
    g = _sum_of(grad_c, grad_last)
    g = _zeros(f_t, order) if g is None else g
    if measure == "legs" and backend == "portable":
        return portable.step_gradients(f_t, g, method, start)
    if measure == "legs":
        from seqlab.ops.hippo import legs

        grad_f, grad_state = legs.gradients(f_t[:, None], None, g, order, method, start)
        return grad_f[:, 0], grad_state
    change, B_bar = windows.step_matrices(
        measure, order, method, step, g.dtype, g.device
    )
    grad_f = (g * B_bar).sum(-1)  # eq. 4.15
    return grad_f.to(f_t.dtype), g + matmul(g, change)


def _step_save(arguments, outputs):
    return (arguments[0],)


def _step_fake(f_t, state, order, measure, method, step, start, backend):
    c_t = f_t.new_empty((*f_t.shape, order))
    return c_t, c_t.new_empty(c_t.shape, dtype=accumulation_dtype(f_t.dtype))


def _step_fake_backward(f_t, grad_c, grad_last, order, *options):
    dtype = accumulation_dtype(f_t.dtype)
    return f_t.new_empty(f_t.shape), f_t.new_empty((*f_t.shape, order), dtype=dtype)


checked_step = register(
    "hippo_project_step",
    _step_forward,
    _step_backward,
    _step_save,
    _step_fake,
    _step_fake_backward,
)
"""``hippo_project_step`` with arguments that are known to be right, for a layer that takes
it at every time step: (f_t, state, N, measure, method, dt / theta, start, backend)."""


def _backend(backend: str | None, f: Tensor, measure: str, method: str) -> str:
    has_kernel = measure == "legs" and method in KERNEL_METHODS
    if backend is None and not has_kernel:
        return "portable"
    name = choose_backend(backend, f, KERNEL_DTYPES)
    if name == "triton" and measure != "legs":
        raise ValueError(
            "backend: the fixed windows have no kernel of their own, as matrix products "
            f"are as fast: expected None or 'portable' for {measure!r}, got 'triton'"
        )
    if name == "triton" and not has_kernel:
        raise ValueError(
            f"backend: 'triton' computes legs by one of {KERNEL_METHODS}; "
            f"{method!r} needs None or 'portable'"
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
    start: int,
) -> tuple[int, float, int]:
    """N, theta and start as numbers of Python. ``f`` is (B, L, D) here; ``name`` is what
    the caller calls it."""
    check_dtype(name, f, DTYPES)
    check_not_empty(name, f)
    N = positive_integer("N", N)
    choice("measure", measure, MEASURES)
    choice("method", method, METHODS)
    theta = number("theta", theta, above=0)
    start = integer("start", start)
    if start >= MOST_STEPS:
        raise ValueError(f"start: expected less than 2^53, got {start}")
    if state is not None:
        batch, _, channels = f.shape
        wide = accumulation_dtype(f.dtype)
        shape = (batch, channels, N)
        check_like("state", state, name, f, "batch, channels, N", shape, wide)
        if measure == "legs" and start == 0:
            raise ValueError(
                "start: expected how many samples state has seen, at least 1, as legs "
                "weighs them by their number, got 0"
            )
    return N, theta, start
