"""For each exercise of chapter 10, lines of its solution, what someone might write instead, and what they are told."""

WRONG = {
    "10.4": [
        ("g * (1 - g) * (u - h), ", "g * (u - h), ", "by_hold is"),
        ("g * u - g * (1 - g) * h", "g * (1 - g) * (u - h)", "by_euler is"),
        ("g * u - g * (1 - g) * h", "g * u + g * (1 - g) * h", "by_euler is"),
        ("1 / (1 + np.exp(-r))", "np.tanh(r)", "by_hold is"),
        (
            "return g * (1 - g) * (u - h), g * u - g * (1 - g) * h",
            "return g * (1 - g) * (u - h)",
            "expected 2 results",
        ),
    ],
    "10.5": [
        ("[::-1] - delta", "[::-1]", "made[0] is"),
        ("delta[::-1].cumsum()[::-1] - delta", "delta.cumsum() - delta", "made[0] is"),
        ("(delta * u)[:, None]", "u[:, None]", "made[0] is"),
        ("np.exp(delta.sum() * A), made", "np.exp(delta.mean() * A), made", "decay[0] is"),
        (".sum(0)", "", "made has shape (7, 5), expected (5,)"),
        (
            "np.exp(later[:, None] * A) * (delta * u)[:, None] * B",
            "np.exp(delta.sum() * A) * (delta * u)[:, None] * B / np.exp(delta.cumsum()[:, None] * A)",
            "made[0] is nan",
        ),
    ],
    "10.6": [
        ("np.full(6, 8.0)", "np.full(6, 0.1)", "which is right, for steps that sum to 0.6"),
        ("np.full(6, 8.0)", "np.full(6, 9.0)", "expected above 0 and at most 8"),
        ("np.full(6, 8.0)", "np.full(5, 8.0)", "delta has shape (5,), expected (6,)"),
        ("np.full(6, 8.0)", "np.full(6, -8.0)", "delta runs from -8 to -8"),
    ],
    "10.7": [
        ("ours[:, None] & modes", "ours[:, None]", "beside the kernel's tensors"),
        ("mask=ours)\n", ")\n", "a store of 3 numbers beside the kernel's tensors"),
        ("tl.program_id(0) * BLOCK + ", "", "h[0, 0] is 0.921863"),
        ("(delta * u)[:, None] * B", "u[:, None] * B", "h[0, 0] is"),
        ("tl.sum(h * C, 1)", "tl.sum(h, 1)", "y[0] is"),
        ("        tl.store(h_ptr + tile, h, mask=inside)\n", "", "h[0, 0] is"),
    ],
}
