"""The heads of a layer: how many features there are in each, and a norm of each (chapters
8 and 9)."""

from torch import Tensor
from torch.nn.functional import group_norm

from seqlab.ops.arguments import positive_integer


def of_heads(name: str, size: object, heads: int, least: int = 1) -> int:
    """``size``, the features of all heads together, of Python or NumPy, as an int.

    Where a norm of each head follows, each has 2 at ``least``, as it makes 0 of one alone.

    Raises:
        TypeError: it is no integer.
        ValueError: it is no multiple of ``heads``, or less than ``least`` in each.
    """
    whole = positive_integer(name, size)
    if whole % heads:
        raise ValueError(f"{name}: expected a multiple of heads = {heads}, got {whole}")
    if whole < least * heads:
        raise ValueError(
            f"{name}: expected at least {least} features in each of {heads} heads, got "
            f"{whole} in all"
        )
    return whole


def normed_heads(o: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """o (..., heads, features) with a norm of each head, times ``scale`` and plus ``bias``,
    (heads x features,) -> (..., heads x features)."""
    flat = o.flatten(-2)
    tokens = flat.flatten(0, -2).to(scale.dtype)
    # By the function, as a compiled graph would first be made with eps left open.
    return group_norm(tokens, o.shape[-2], scale, bias).view(flat.shape)
