"""FlashConv's state passing, which its paper describes and its code leaves out: a long
convolution that starts and stops anywhere."""

import torch
from torch import Tensor

from seqlab.ops.arguments import check_dtype, check_not_empty, check_shape, check_tensor
from seqlab.ops.convolution import causal_convolution
from seqlab.ops.shift_ssm import shift_ssm
from seqlab.ops.shift_ssm.op import check_memory, check_window
from seqlab.ops.ssm import ssm_convolution
from seqlab.ops.ssm.op import DTYPES

System = tuple[Tensor, Tensor, Tensor]
WINDOW = 16
"""Up to so many taps are summed one by one."""


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
    Fourier transforms, a few a product each.

    Differentiable in ``u``, the kernel's tensors and ``state``, and through both results.
    What is not finite may spread to earlier times of its channel within a call, unless
    there are 16 taps or fewer.

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
        y, (B, L, D), of u's dtype, and the state after the last step.

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
    if not isinstance(K_or_ssm, Tensor):
        got = type(K_or_ssm).__name__
        if isinstance(K_or_ssm, tuple):
            got = f"a tuple of {len(K_or_ssm)}"
        raise TypeError(f"K_or_ssm: expected taps or (A_bar, B_bar, C), got {got}")
    K = K_or_ssm
    check_tensor("u", u)
    check_dtype("u", u, DTYPES)
    check_shape("u", u, "batch, length, channels")
    check_not_empty("u", u)
    check_window("K_or_ssm", K, "u", u)
    if state is not None:
        check_memory("state", state, "u", u, K)
    taps = K.shape[1]
    if taps <= WINDOW:
        return shift_ssm(u, K, state, backend)
    before = u.new_zeros((u.shape[0], taps - 1, u.shape[2])) if state is None else state
    everything = torch.cat([before, u], dim=1)
    y = causal_convolution(everything if state is not None else u, K, backend)
    return y[:, -u.shape[1] :].clone(), everything[:, u.shape[1] :].clone()
