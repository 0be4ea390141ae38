"""The selective scan as a PyTorch op: argument checks, choice of backend, registration."""

from types import ModuleType

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
    dtype_names,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.registration import register, runs_now
from seqlab.ops.selective_scan import portable
from seqlab.ops.selective_scan.plan import kept_shape

# Of the input, and which ones A and the state then have.
PARAMETER_DTYPES = {
    torch.float16: (torch.float32, torch.complex64),
    torch.bfloat16: (torch.float32, torch.complex64),
    torch.float32: (torch.float32, torch.complex64),
    torch.float64: (torch.float64, torch.complex128),
}
DTYPES = tuple(PARAMETER_DTYPES)
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
DISCRETIZATIONS = ("euler", "zoh")


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    state: Tensor | None = None,
    discretization: str = "euler",
    cu_seqlens: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Mamba's selective scan, S6: h_t = e^{dt_t A} h_{t-1} + B_bar_t u_t and
    y_t = (Re(C_t h_t) + D u_t) z_t sigmoid(z_t), N states for each batch entry and channel,
    where dt_t = softplus(delta_t + delta_bias), and B_t and C_t are shared by all channels.

    A dt of 0 skips a token; a large one forgets all before it. The real part is that of
    the N states given: a layer that keeps one of each conjugate pair doubles C itself.

    Differentiable in all tensors but ``cu_seqlens``, and through both results; complex
    gradients follow PyTorch's convention. Re(dt A) is meant to be at most 0. What is not
    finite may spread to later sequences of ``cu_seqlens``, and in gradients to earlier ones.

    Args:
        u: input, (B, L, D): float16, bfloat16, float32 or float64.
        delta: step sizes, like ``u``.
        A: (D, N), real or complex; of u's precision, but float32 or complex64 for float16
            and bfloat16. A trained ``A_log`` is A = -exp(A_log).
        B: weight of the input, (B, L, N), of u's dtype, or of A's where that is complex.
        C: weight of the states, like ``B``.
        D: weight of the direct path around the state, (D,), of u's dtype, but float32
            for float16 and bfloat16.
        z: gate, like ``u``.
        delta_bias: added to ``delta``, (D,), of the dtype that ``D`` has.
        delta_softplus: whether steps are made positive by softplus.
        state: h before the first step, (B, D, N), of A's dtype; zeros if None.
        discretization: "euler", B_bar = dt B, as in the paper's code and in all released
            models, or "zoh", B_bar = A^-1 (e^{dt A} - 1) B, zero-order hold, as the paper
            writes it.
        cu_seqlens: where the sequences begin that are packed one after the other along L,
            and where the last one ends, (sequences + 1,), int32 or int64, rising from 0 to
            L and alike for all batch entries. The first one begins with ``state``, all
            others with zeros. On a GPU, and in compiled graphs, its numbers are not looked
            at: any order will do, and one that is no time begins nothing.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or None,
            which takes Triton for CUDA tensors of up to 32 bits, and the portable form for
            all else.

    Returns:
        y, (B, L, D), of u's dtype, and the state after the last step, (B, D, N), of A's
            dtype.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or does
            not match, or ``delta_softplus`` is not a bool.
        ValueError: a shape, a device, ``discretization``, ``backend`` or a number of
            ``cu_seqlens`` is not as described, or an axis has length 0.

    Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces"
    (2023), algorithm 2 and section 3.6.
    """
    _check("", "batch, length", u, delta, A, B, C, D, z, delta_bias, state)
    softplus = boolean("delta_softplus", delta_softplus)
    zoh = choice("discretization", discretization, DISCRETIZATIONS) == "zoh"
    name = choose_backend(backend, u, KERNEL_DTYPES)
    begins = None if cu_seqlens is None else _begins(cu_seqlens, u)
    y, last, _ = _selective_scan(
        u, delta, A, B, C, D, z, delta_bias, state, begins, softplus, zoh, name
    )
    return y, last


def selective_scan_step(
    u_t: Tensor,
    delta_t: Tensor,
    A: Tensor,
    B_t: Tensor,
    C_t: Tensor,
    state: Tensor,
    D: Tensor | None = None,
    z_t: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    discretization: str = "euler",
) -> tuple[Tensor, Tensor]:
    """One step of :func:`selective_scan`, for generation.

    Args:
        u_t, delta_t, z_t: (B, D).
        A: (D, N).
        B_t, C_t: (B, N).
        state: h of the step before, (B, D, N).
        D, delta_bias, delta_softplus, discretization: as of :func:`selective_scan`.

    Returns:
        y_t, (B, D), of u_t's dtype, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`selective_scan`.
    """
    check_tensor("state", state)
    _check("_t", "batch", u_t, delta_t, A, B_t, C_t, D, z_t, delta_bias, state)
    softplus = boolean("delta_softplus", delta_softplus)
    zoh = choice("discretization", discretization, DISCRETIZATIONS) == "zoh"
    wide = accumulation_dtype(u_t.dtype)
    u, delta = u_t.to(wide), delta_t.to(wide)
    B, C = B_t.to(A.dtype), C_t.to(A.dtype)
    _, dt = portable.step_size(delta, delta_bias, softplus)
    gain = portable.gain_of(dt, A) if zoh else dt[..., None]
    h = torch.exp(dt[..., None] * A) * state + gain * u[..., None] * B[:, None]
    read = portable.real(h * C[:, None]).sum(-1)
    gate = None if z_t is None else z_t.to(wide)
    _, y = portable.output(read, u, D, gate)
    return y.to(u_t.dtype), h


def _check(
    suffix: str,
    axes: str,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    state: Tensor | None,
) -> None:
    name = f"u{suffix}"
    check_tensor(name, u)
    check_dtype(name, u, DTYPES)
    check_shape(name, u, f"{axes}, channels")
    check_not_empty(name, u)
    channels = u.shape[-1]
    wide = accumulation_dtype(u.dtype)
    check_like(f"delta{suffix}", delta, name, u, f"{axes}, channels", u.shape)
    check_tensor("A", A)
    if A.dtype not in PARAMETER_DTYPES[u.dtype]:
        raise TypeError(
            f"A: expected one of {dtype_names(PARAMETER_DTYPES[u.dtype])} for a {name} of "
            f"{u.dtype}, got {A.dtype}"
        )
    check_like("A", A, name, u, "channels, N", (channels, None), A.dtype)
    check_not_empty("A", A)
    N = A.shape[1]
    dtype = A.dtype if A.is_complex() else u.dtype
    for letter, x in (("B", B), ("C", C)):
        shape = (*u.shape[:-1], N)
        check_like(f"{letter}{suffix}", x, name, u, f"{axes}, N", shape, dtype)
    for vector_name, vector in (("D", D), ("delta_bias", delta_bias)):
        if vector is not None:
            check_like(vector_name, vector, name, u, "channels", (channels,), wide)
    if z is not None:
        check_like(f"z{suffix}", z, name, u, f"{axes}, channels", u.shape)
    if state is not None:
        shape = (u.shape[0], channels, N)
        check_like("state", state, "A", A, "batch, channels, N", shape)


def _begins(cu_seqlens: Tensor, u: Tensor) -> Tensor:
    """For each time, whether a sequence begins there; not for 0, (L,)."""
    check_tensor("cu_seqlens", cu_seqlens)
    check_dtype("cu_seqlens", cu_seqlens, (torch.int32, torch.int64))
    check_shape("cu_seqlens", cu_seqlens, "sequences + 1")
    check_not_empty("cu_seqlens", cu_seqlens)
    if cu_seqlens.device != u.device:
        raise ValueError(
            f"cu_seqlens: expected device {u.device} like u, got {cu_seqlens.device}"
        )
    length = u.shape[1]
    if cu_seqlens.device.type == "cpu" and runs_now(cu_seqlens):
        times = cu_seqlens.tolist()
        if times[0] != 0 or times[-1] != length or times != sorted(times):
            raise ValueError(
                f"cu_seqlens: expected numbers that rise from 0 to {length}, the length of "
                f"u, got {times}"
            )
    # What is no time comes to lie on 0, where nothing begins anew, or past the end.
    begins = torch.zeros(length + 1, dtype=torch.bool, device=u.device)
    begins = begins.index_fill(0, cu_seqlens.clamp(0, length).long(), True)
    return begins.index_fill(0, begins.new_zeros(1, dtype=torch.int64), False)[:-1]


def _kernel(A: Tensor) -> ModuleType:
    """The module with the kernels for such an A."""
    name = "complex_kernel" if A.is_complex() else "kernel"
    return kernel_of("selective_scan", name)


def _forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    state: Tensor | None,
    begins: Tensor | None,
    delta_softplus: bool,
    zoh: bool,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the last state, and states before stretches of time."""
    inputs = portable.Inputs(u, delta, A, B, C, D, z, delta_bias, state, begins)
    form = _kernel(A) if backend == "triton" else portable
    return form.scan(inputs, delta_softplus, zoh)


def _backward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    state: Tensor | None,
    begins: Tensor | None,
    starts: Tensor,
    grad_y: Tensor | None,
    grad_last: Tensor | None,
    grad_starts: Tensor | None,
    delta_softplus: bool,
    zoh: bool,
    backend: str,
) -> tuple[
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor
]:
    inputs = portable.Inputs(u, delta, A, B, C, D, z, delta_bias, state, begins)
    grad_y = torch.zeros_like(u) if grad_y is None else grad_y
    form = _kernel(A) if backend == "triton" else portable
    found = form.gradients(inputs, starts, grad_y, grad_last, delta_softplus, zoh)
    return *found, None  # and None for what was None


def _save(arguments, outputs):
    return *arguments[:10], outputs[2]


def _fake(
    u, delta, A, B, C, D, z, delta_bias, state, begins, delta_softplus, zoh, backend
):
    shape = (u.shape[0], *A.shape)
    kept: tuple[int, ...] = (portable.blocks_in(u) + 1, *shape)
    if backend == "triton":
        kept = kept_shape(u, A)
    return u.new_empty(u.shape), A.new_empty(shape), A.new_empty(kept)


def _fake_backward(
    u, delta, A, B, C, D, z, delta_bias, state, begins, starts, grad_y, grad_last,
    grad_starts, delta_softplus, zoh, backend,
):  # fmt: skip
    given = (
        None if x is None else x.new_empty(x.shape)
        for x in (u, delta, A, B, C, D, z, delta_bias)
    )
    return *given, A.new_empty((u.shape[0], *A.shape)), None


_selective_scan = register(
    "selective_scan", _forward, _backward, _save, _fake, _fake_backward
)
