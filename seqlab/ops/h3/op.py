"""H3 as a PyTorch op: argument checks, and the choice between heads of one channel, which
are one recurrence, and wider ones."""

from typing import NamedTuple

import torch
from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
    parts_of,
    positive_integer,
)
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.registration import register
from seqlab.ops.shift_ssm.op import (
    check_memory,
    check_window,
    shift_ssm,
    shift_ssm_step,
)
from seqlab.ops.ssm import ssm_convolution, ssm_scan_step
from seqlab.ops.ssm.op import DTYPES, KERNEL_DTYPES, check_decay


class H3State(NamedTuple):
    """What H3 remembers: (window, memory)."""

    window: Tensor
    """The last M - 1 keys, (B, M - 1, D), the oldest first, of k's dtype."""
    memory: Tensor
    """N modes for each product of a key's and a value's channel of a head, (B, D head_dim,
    N), in the order head, key, value, of A_bar's dtype."""


def h3(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shift: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    D_skip: Tensor | None = None,
    state: H3State | tuple[Tensor, Tensor] | None = None,
    head_dim: int = 1,
    backend: str | None = None,
) -> tuple[Tensor, H3State]:
    """H3, y = q SSM_diagonal(SSM_shift(k) v): a sliding memory of the last M keys, times the
    values, goes into a long memory, which the queries read. In each of H = D / head_dim
    heads the key and the value make an outer product, every entry of which has N modes
    of the head's diagonal system; D_skip adds the product itself to what is read.

    Channels of all inputs and of y are in the order (head, channel of the head). (In
    the paper's code the output of the slow path is in the order (channel, head), that
    of the fast path as here.)

    Heads of one channel are one op, with kernels of its own. Wider ones are made of
    :func:`shift_ssm` and :func:`ssm_convolution`, and take the memory of all their
    products, (B, L, D head_dim).

    Differentiable in all tensors, those of the state too, and through all results; complex
    gradients follow PyTorch's convention. What is not finite may spread to earlier times of
    its channel, as these are products of matrices. Products of keys and values, and what
    the queries multiply, are kept in q's dtype: in float16 they are infinite from 65520 on.

    Args:
        q: queries, (B, L, D): float16, bfloat16, float32 or float64.
        k: keys, like ``q``.
        v: values, like ``q``.
        shift: weights of the last M keys, (D, M), the newest one's first. Of q's dtype,
            but float32 for float16 and bfloat16.
        A_bar: decay of each mode, (H, N), of a modulus of at most about 1. Real or
            complex; of q's precision, but float32 or complex64 for float16 and bfloat16.
        B_bar: gain of the input, (H, N), of A_bar's dtype.
        C: weight of each mode in the output, (H, N), of A_bar's dtype; the real parts of
            all N modes are summed, as in :func:`ssm_scan`.
        D_skip: weight of the product beside the modes, (H,), of the dtype of ``shift``;
            zeros if None.
        state: of the steps before; zeros if None.
        head_dim: channels of a head, at least 1, a divisor of D.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or None,
            which takes Triton for CUDA tensors of up to 32 bits and the portable form for
            all else.

    Returns:
        y, (B, L, D), of q's dtype, and the state after the last step.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or does
            not match.
        ValueError: a shape, a device, ``head_dim`` or ``backend`` is not as described, or
            an axis has length 0.

    Source: Fu et al., "Hungry Hungry Hippos: Towards Language Modeling with State Space
    Models" (2023), section 3.
    """
    heads = check("q", q, "k", k, "v", v, "batch, length, channels", head_dim)
    _check_parameters(k, shift, A_bar, B_bar, C, D_skip, heads)
    window, memory = _check_state(state, k, shift, A_bar, head_dim)
    if head_dim == 1 and choose_backend(backend, q, KERNEL_DTYPES) == "triton":
        y, window, memory, *_ = _h3(
            q, k, v, shift, A_bar, B_bar, C, D_skip, window, memory
        )
        return y, H3State(window, memory)
    keys, window = shift_ssm(k, shift, window, backend)
    kv = _products(keys, v, head_dim)
    A_bar, B_bar, C = (_of_products(x, head_dim) for x in (A_bar, B_bar, C))
    read, memory = ssm_convolution(A_bar, B_bar, C, kv, memory, backend)
    return _read(q, kv, read, D_skip, head_dim), H3State(window, memory)


def h3_step(
    q_t: Tensor,
    k_t: Tensor,
    v_t: Tensor,
    shift: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    state: H3State | tuple[Tensor, Tensor],
    D_skip: Tensor | None = None,
    head_dim: int = 1,
) -> tuple[Tensor, H3State]:
    """One step of :func:`h3`, for generation.

    Args:
        q_t, k_t, v_t: query, key and value, (B, D).
        shift, A_bar, B_bar, C, D_skip, head_dim: as in :func:`h3`.
        state: of the steps before.

    Returns:
        y_t, (B, D), of q_t's dtype, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`h3`.
    """
    heads = check("q_t", q_t, "k_t", k_t, "v_t", v_t, "batch, channels", head_dim)
    _check_parameters(k_t, shift, A_bar, B_bar, C, D_skip, heads)
    parts_of("state", state, H3State)
    window, memory = _check_state(state, k_t, shift, A_bar, head_dim)
    assert window is not None
    assert memory is not None
    keys, window = shift_ssm_step(k_t, shift, window)
    kv = _products(keys, v_t, head_dim)
    A_bar, B_bar, C = (_of_products(x, head_dim) for x in (A_bar, B_bar, C))
    read, memory = ssm_scan_step(A_bar, B_bar, C, kv, memory)
    return _read(q_t, kv, read, D_skip, head_dim), H3State(window, memory)


def _of_products(x: Tensor, head_dim: int) -> Tensor:
    """What a head has, for each of its products."""
    return x if head_dim == 1 else x.repeat_interleave(head_dim**2, 0)


def _products(keys: Tensor, v: Tensor, head_dim: int) -> Tensor:
    """k_i v_j of every head, (..., D head_dim)."""
    keys, v = (x.unflatten(-1, (-1, head_dim)) for x in (keys, v))
    return (keys[..., None] * v[..., None, :]).flatten(-3)


def _read(
    q: Tensor, kv: Tensor, read: Tensor, D_skip: Tensor | None, head_dim: int
) -> Tensor:
    """The queries' product with what the memories give, in q's dtype."""
    wide = accumulation_dtype(q.dtype)
    total = read.to(wide)
    if D_skip is not None:
        total = total + _of_products(D_skip, head_dim) * kv
    total = total.unflatten(-1, (-1, head_dim, head_dim))
    y = (q.to(wide).unflatten(-1, (-1, head_dim))[..., None] * total).sum(-2)
    return y.flatten(-2).to(q.dtype)


def check(
    q_name: str,
    q: Tensor,
    k_name: str,
    k: Tensor,
    v_name: str,
    v: Tensor,
    axes: str,
    head_dim: int,
) -> int:
    """The number of heads; raises TypeError or ValueError unless the inputs agree."""
    check_tensor(q_name, q)
    check_dtype(q_name, q, DTYPES)
    check_shape(q_name, q, axes)
    check_not_empty(q_name, q)
    check_like(k_name, k, q_name, q, axes, q.shape)
    check_like(v_name, v, q_name, q, axes, q.shape)
    channels, head_dim = q.shape[-1], positive_integer("head_dim", head_dim)
    if channels % head_dim:  # no divmod, which symbols do not have in a compiled graph
        raise ValueError(
            f"head_dim: expected a divisor of {channels} channels, got {head_dim}"
        )
    return channels // head_dim


def _check_parameters(
    k: Tensor,
    shift: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    D_skip: Tensor | None,
    heads: int,
) -> None:
    check_window("shift", shift, "k", k)
    check_decay(A_bar, "heads, N", (heads, None), "k", k)
    check_like("B_bar", B_bar, "A_bar", A_bar, "heads, N", A_bar.shape)
    check_like("C", C, "A_bar", A_bar, "heads, N", A_bar.shape)
    if D_skip is not None:
        wide = accumulation_dtype(k.dtype)
        check_like("D_skip", D_skip, "k", k, "heads", (heads,), wide)


def _check_state(
    state: object, k: Tensor, shift: Tensor, A_bar: Tensor, head_dim: int
) -> tuple[Tensor | None, Tensor | None]:
    """The two parts of the state, or two times None."""
    if state is None:
        return None, None
    window, memory = parts_of("state", state, H3State)
    check_memory("state.window", window, "k", k, shift)
    shape = k.shape[0], k.shape[-1] * head_dim, A_bar.shape[1]
    letters = "batch, channels * head_dim, N"
    check_like("state.memory", memory, "A_bar", A_bar, letters, shape)
    return window, memory


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shift: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    D_skip: Tensor | None,
    window: Tensor | None,
    memory: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """y, the last window and memory, and what the kernel keeps."""
    return kernel_of("h3").forward(
        q, k, v, shift, A_bar, B_bar, C, D_skip, window, memory
    )


def _backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shift: Tensor,
    A_bar: Tensor,
    B_bar: Tensor,
    C: Tensor,
    D_skip: Tensor | None,
    window: Tensor | None,
    memory: Tensor | None,
    read: Tensor,
    between: Tensor,
    middle: Tensor,
    grad_y: Tensor | None,
    grad_window: Tensor | None,
    grad_memory: Tensor | None,
    grad_read: Tensor | None,
    grad_between: Tensor | None,
    grad_middle: Tensor | None,
) -> tuple[
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor
]:
    grad_y = torch.zeros_like(q) if grad_y is None else grad_y
    return kernel_of("h3").gradients(
        q, k, v, shift, A_bar, B_bar, C, D_skip, window, memory, read, between, middle,
        grad_y, grad_window, grad_memory,
    )  # fmt: skip


def _save(arguments, outputs):
    return *arguments[:10], *outputs[3:]


def _fake(q, k, v, shift, A_bar, B_bar, C, D_skip, window, memory):
    batch, _, channels = q.shape
    last = k.new_empty((batch, shift.shape[1] - 1, channels))
    states = A_bar.new_empty((batch, *A_bar.shape))
    kernel = kernel_of("h3")
    between, middle = kernel.kept_shapes(
        q.shape, A_bar.shape[-1], A_bar.is_complex(), q.is_cuda
    )
    kept = (
        q.new_empty(kernel.kept_read(q, A_bar)),
        q.new_empty(between, dtype=torch.float32),
        states.new_empty(middle),
    )
    return q.new_empty(q.shape), last, states, *kept


def _fake_backward(q, k, v, shift, A_bar, B_bar, C, D_skip, *others):
    window = k.new_empty((q.shape[0], shift.shape[1] - 1, q.shape[2]))
    memory = A_bar.new_empty((q.shape[0], *A_bar.shape))
    skip = shift.new_empty(q.shape[2] if D_skip is not None else 0)
    inputs = (x.new_empty(x.shape) for x in (q, k, v, shift, A_bar, B_bar, C))
    return *inputs, skip, window, memory


_h3 = register("h3", _forward, _backward, _save, _fake, _fake_backward)
