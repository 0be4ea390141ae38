"""Hyena: long convolutions and gates in turn."""

from collections.abc import Sequence

from torch import Tensor

from seqlab.ops.arguments import (
    accumulation_dtype,
    check_dtype,
    check_like,
    check_not_empty,
    check_shape,
    check_tensor,
)
from seqlab.ops.convolution import causal_convolution
from seqlab.ops.convolution.op import DTYPES
from seqlab.ops.shift_ssm.op import check_window


def hyena(
    v: Tensor,
    gates: Sequence[Tensor],
    filters: Sequence[Tensor],
    backend: str | None = None,
) -> Tensor:
    """The Hyena recurrence of order n: z <- gate (filter * z) for each of n gates and
    filters, from z = v on, where * is the causal convolution.

    H3 is of order 2: with the gates (v, q), and its shift and its diagonal system's
    response as filters, ``hyena(k, ...)`` is ``h3(q, k, v, ...)``. The code that came
    with Hyena's paper leaves out the first convolution, which amounts to a first filter
    with the single tap 1.

    Between gates numbers are kept in the filters' dtype, so that errors of rounding do not
    grow with the order.

    Filters have no state, so there is no step, and every call starts a sequence.
    Differentiable in all tensors. What is not finite may spread to earlier times of its
    channel, as Fourier transforms spread it.

    Args:
        v: (B, L, D): float16, bfloat16, float32 or float64.
        gates: a list or tuple of n tensors like ``v``, at least one, the first of them
            applied first.
        filters: as many tensors (D, M), each with its own M, of v's dtype, but float32
            for float16 and bfloat16.
        backend: as of :func:`causal_convolution`.

    Returns:
        z after the last gate, (B, L, D), of v's dtype.

    Raises:
        TypeError: an argument is not of the type described, or has a dtype that is not
            listed or does not match.
        ValueError: a shape, a device or ``backend`` is not as described, an axis has
            length 0, there are no gates, or not as many filters as gates.

    Source: Poli et al., "Hyena Hierarchy: Towards Larger Convolutional Language Models"
    (2023), definition 3.1.
    """
    axes = "batch, length, channels"
    check_tensor("v", v)
    check_dtype("v", v, DTYPES)
    check_shape("v", v, axes)
    check_not_empty("v", v)
    for name, several in (("gates", gates), ("filters", filters)):
        if not isinstance(several, (list, tuple)):
            raise TypeError(
                f"{name}: expected a list or tuple of tensors, got {type(several).__name__}"
            )
    if not gates:
        raise ValueError("gates: expected one or more, got 0")
    if len(filters) != len(gates):
        raise ValueError(
            f"filters: expected as many as gates, {len(gates)}, got {len(filters)}"
        )
    for i, (gate, taps) in enumerate(zip(gates, filters, strict=True)):
        check_like(f"gates[{i}]", gate, "v", v, axes, v.shape)
        check_window(f"filters[{i}]", taps, "v", v)
    z = v.to(accumulation_dtype(v.dtype))
    for gate, taps in zip(gates, filters, strict=True):
        z = gate * causal_convolution(z, taps, backend)
    return z.to(v.dtype)
