"""Whole numbers that launches ask for at every call. Triton's own ``cdiv`` and
``next_power_of_2`` take some ten microseconds outside of a kernel, as they look out for
constants of its language; a size may be a symbol here as well."""


def ceil_div(x: int, y: int) -> int:
    """How many blocks of y hold x. Nothing here is below 0, as -(-x // y) would be: of
    symbols PyTorch makes x // (a b) of x // a // b, which is wrong for a negative b."""
    return (x + y - 1) // y


def power_of_two(least: int) -> int:
    """The smallest power of two that is at least so much."""
    bits = max(1, least) - 1
    for shift in (1, 2, 4, 8, 16, 32):
        bits |= bits >> shift  # a symbol has no bit_length
    return bits + 1
