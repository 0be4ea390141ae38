"""FlashConv's state passing, which its paper describes and its code leaves out: a long
convolution that starts and stops anywhere."""

from types import ModuleType

import torch
from torch import Tensor

from seqlab.ops.arguments import check_dtype, check_not_empty, check_shape, check_tensor
from seqlab.ops.backends import choose_backend, kernel_of
from seqlab.ops.convolution import portable
from seqlab.ops.registration import register
from seqlab.ops.shift_ssm import shift_ssm, shift_ssm_step
from seqlab.ops.shift_ssm.op import check_memory, check_window
from seqlab.ops.ssm import ssm_convolution, ssm_scan_step
from seqlab.ops.ssm.op import DTYPES, KERNEL_DTYPES

System = tuple[Tensor, Tensor, Tensor]
WINDOW = 16
"""Up to so many taps are a sliding memory, whose kernel is compiled for their number."""


def flashconv(
    u: Tensor,
    K_or_ssm: Tensor | System,
    state: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The causal convolution y_t = sum over j of K_j u_{t-j} of a sequence that comes in
    pieces of any length: each call goes on from the state that the one before returned,
    and all of them together are one convolution.

    The kernel may be given by its taps, whose state is the inputs that they still see, or
    by the diagonal system whose response it is, which has no last tap: K_j = Re(C A_bar^j
    B_bar). The system takes O(L) operations and :func:`ssm_convolution`, many taps take
    Fourier transforms, a few a product each. All M taps take part whatever L is, as their
    state says; where a sequence starts and ends, :func:`causal_convolution` leaves out
    those beyond L.

    Differentiable in ``u``, the kernel's tensors and ``state``, and through both results.
    What is not finite may spread to earlier times of its channel within a call, unless
    there are 16 taps or fewer. A transform's error is relative to the norms of a channel's
    kernel, inputs and inputs before, not to each output.

    Args:
        u: input, (B, L, D): float16, bfloat16, float32 or float64.
        K_or_ssm: taps, (D, M), of u's dtype, but float32 for float16 and bfloat16; or
            (A_bar, B_bar, C), each (D, N), as in :func:`ssm_convolution`.
        state: of the pieces before, zeros if None: of taps the M - 1 inputs before, (B,
            M - 1, D), the oldest first, of u's dtype; of a system (B, D, N), of A_bar's.
        backend: "triton" (on CPU tensors: in Triton's interpreter), "portable", or None,
            which takes Triton for CUDA tensors of up to 32 bits and the portable form for
            all else. Fourier transforms are PyTorch's in each.

    Returns:
        y, (B, L, D), of u's dtype, and the state after the last step. One step is
            :func:`flashconv_step`.

    Raises:
        TypeError: an argument is not a tensor, or has a dtype that is not listed or does
            not match.
        ValueError: a shape, a device or ``backend`` is not as described, or an axis has
            length 0.

    Source: Fu et al., "Hungry Hungry Hippos" (2023), section 4.2, algorithm 2, with the
    exponents that belong to x_t = A_bar x_{t-1} + B_bar u_t.
    """
    if isinstance(K_or_ssm, tuple) and len(K_or_ssm) == 3:
        A_bar, B_bar, C = K_or_ssm
        return ssm_convolution(A_bar, B_bar, C, u, state, backend)
    K = _taps("u", u, "batch, length, channels", K_or_ssm)
    if state is not None:
        check_memory("state", state, "u", u, K)
    name = choose_backend(backend, u, KERNEL_DTYPES)
    if K.shape[1] <= WINDOW:
        return shift_ssm(u, K, state, name)
    y, last = _flashconv(u, K, state, name)
    return y, last


def flashconv_step(
    u_t: Tensor, K_or_ssm: Tensor | System, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of :func:`flashconv`, for generation: a product for each tap, or for each
    mode of a system.

    Args:
        u_t: input, (B, D).
        K_or_ssm: as in :func:`flashconv`.
        state: of the steps before.

    Returns:
        y_t, (B, D), of u_t's dtype, and the new state.

    Raises:
        TypeError, ValueError: as for :func:`flashconv`.
    """
    if isinstance(K_or_ssm, tuple) and len(K_or_ssm) == 3:
        A_bar, B_bar, C = K_or_ssm
        return ssm_scan_step(A_bar, B_bar, C, u_t, state)
    K = _taps("u_t", u_t, "batch, channels", K_or_ssm)
    check_memory("state", state, "u_t", u_t, K)
    return shift_ssm_step(u_t, K, state)


def _taps(name: str, u: Tensor, axes: str, K_or_ssm: object) -> Tensor:
    """The taps; raises TypeError or ValueError unless they go with the input."""
    if not isinstance(K_or_ssm, Tensor):
        got = type(K_or_ssm).__name__
        if isinstance(K_or_ssm, tuple):
            got = f"a tuple of {len(K_or_ssm)}"
        raise TypeError(f"K_or_ssm: expected taps or (A_bar, B_bar, C), got {got}")
    check_tensor(name, u)
    check_dtype(name, u, DTYPES)
    check_shape(name, u, axes)
    check_not_empty(name, u)
    check_window("K_or_ssm", K_or_ssm, name, u)
    return K_or_ssm


def _forward(
    u: Tensor, K: Tensor, state: Tensor | None, backend: str
) -> tuple[Tensor, Tensor]:
    """y and the last M - 1 inputs."""
    length, before = u.shape[1], K.shape[1] - 1
    seen = u if length >= before else _inputs(u, K, state)
    last = _own(seen[:, seen.shape[1] - before :])
    if not _are_summed(K, backend):
        return _form(backend).convolve_by_transforms(u, K, state), last
    sums = kernel_of("convolution").convolve
    if state is None:
        return sums(u, K), last
    return _own(sums(_inputs(u, K, state), K)[:, before:]), last


def _backward(
    u: Tensor,
    K: Tensor,
    state: Tensor | None,
    grad_y: Tensor | None,
    grad_last: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    length, before = u.shape[1], K.shape[1] - 1
    grad_y = torch.zeros_like(u) if grad_y is None else grad_y
    grad_state: Tensor | None
    if not _are_summed(K, backend):
        # What is added to is rounded after that.
        dtype = u.dtype if grad_last is None else K.dtype
        grad_u, grad_K, grad_state = _form(backend).gradients_by_transforms(
            u, K, state, grad_y, dtype
        )
    elif state is None:
        grad_u, grad_K = kernel_of("convolution").gradients(u, K, grad_y)
        grad_state = None
    else:
        grad_y = torch.cat([_nothing(u, K), grad_y], dim=1)
        inputs = _inputs(u, K, state)
        flow, grad_K = kernel_of("convolution").gradients(inputs, K, grad_y)
        grad_u, grad_state = _own(flow[:, before:]), _own(flow[:, :before])
    if grad_last is not None:
        seen = min(before, length)
        grad_u[:, length - seen :] += grad_last[:, before - seen :]
        if grad_state is not None:
            grad_state[:, seen:] += grad_last[:, : before - seen]
    if grad_state is None:
        return grad_u.to(u.dtype), grad_K, u.new_empty(0)
    return grad_u.to(u.dtype), grad_K, grad_state.to(u.dtype)


def _are_summed(K: Tensor, backend: str) -> bool:
    """Whether a kernel sums them one by one, faster than a transform."""
    return backend == "triton" and K.shape[1] <= kernel_of("convolution").SHORT


def _form(backend: str) -> ModuleType:
    """Where many taps are transformed."""
    return kernel_of("convolution", "transforms") if backend == "triton" else portable


def _inputs(u: Tensor, K: Tensor, state: Tensor | None) -> Tensor:
    """Those before and those of u, (B, M - 1 + L, D)."""
    return torch.cat([_nothing(u, K) if state is None else state, u], dim=1)


def _nothing(u: Tensor, K: Tensor) -> Tensor:
    return u.new_zeros((u.shape[0], K.shape[1] - 1, u.shape[2]))


def _own(x: Tensor) -> Tensor:
    """The same numbers in memory of their own."""
    return x.clone(memory_format=torch.contiguous_format)


def _save(arguments, outputs):
    return arguments[:3]


def _fake(u, K, state, backend):
    return u.new_empty(u.shape), _nothing(u, K)


def _fake_backward(u, K, state, grad_y, grad_last, backend):
    grad_state = u.new_empty(0) if state is None else _nothing(u, K)
    return u.new_empty(u.shape), K.new_empty(K.shape), grad_state


_flashconv = register("flashconv", _forward, _backward, _save, _fake, _fake_backward)
