"""For the exercises of chapter 1; wrong_answers_5.py explains."""

WRONG = {
    "1.5": [
        ("return o * c, last", "return o * c, (o * c)[:, -1]", "state[0, 0] is"),
        ("(1 - f) * n, state)", "n, state)", "h[0, 0, 0] is"),
        ("(1 - f) * n, state)", "(1 - f) * n)", "h[0, 0, 0] is"),
        ("f, (1 - f) * n, state", "1 - f, f * n, state", "h[0, 0, 0] is"),
        (
            "f, (1 - f) * n, state)\n    return o * c",
            "f, o * (1 - f) * n, state)\n    return c",
            "h[0, 0, 0]",
        ),
        ("return o * c, last", "return o * c", "expected 2 results, h, state, got"),
    ],
    "1.6": [
        ("1 - 2 * bits, bits", "1 - bits, bits", "after the bits"),
        ("1 - 2 * bits, bits", "1 - 2 * bits, 0 * bits", "after the bits"),
        ("1 - 2 * bits, bits", "0 * bits, bits.cumsum(1) % 2", "b takes several values where the bit is 0"),
        (
            "1 - 2 * bits, bits",
            "1 - 2 * (bits.cumsum(1) % 2), bits",
            "a takes several values where the bit is 0",
        ),
    ],
    "1.7": [
        ("np.triu(np.ones((16, 16)), 1)", "np.eye(16, k=1)", "no gradient grows more than"),
        ("np.triu(np.ones((16, 16)), 1)", "9 * np.eye(16, k=1)", "an entry of size 9"),
        ("0.5 * np.eye(16)", "np.eye(16)", "an eigenvalue of size 1.0000"),
        ("(16, 16)), 1) + 0.5 * np.eye(16)", "(8, 8)), 1) + 0.5 * np.eye(8)", "U is float64 of shape (8, 8)"),
    ],
    "1.8": [
        ("old * above + new * v", "above + new * v", "y[0] is"),
        ("old * below + new", "below + new", "y[0] is"),
        ("larger = tl.maximum(largest, s)", "larger = 0.0 * s", "y[0] is nan"),
        ('float("-inf")', "0.0", "y[0] is nan, expected"),
        ("tl.maximum(largest, s)", "tl.where(t == 0, s, largest)", "y[1] is nan, expected"),
        ("above / below, mask=ours", "above / below", "a store of 3 numbers beside"),
        (
            "t * D + d, mask=ours, other=0.0)\n            larger",
            "d, mask=ours, other=0.0)\n            larger",
            "y[0]",
        ),
    ],
}
