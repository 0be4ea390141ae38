"""How many features there are in the heads of a layer (chapters 8 and 9)."""

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
