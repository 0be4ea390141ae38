"""Sums a e^m, of which a and m are kept."""

LOWEST = -1e38
"""The exponent m of nothing: -inf less -inf is not a number."""
