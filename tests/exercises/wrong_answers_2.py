"""For the exercises of chapter 2; wrong_answers_5.py explains."""

WRONG = {
    "2.4": [
        ("np.maximum(x1 - w2, x2)", "np.maximum(x1, x2) - w2", "x[0] is"),
        ("np.maximum(x1 - w2, x2)", "np.maximum(x1 - w1, x2)", "x[1] is"),
        ("w1 + w2, np", "w2, np", "w[0] is"),
        ("(0.0, -np.inf)", "(0.0, 0.0)", "neutral before the pair (0.5, -7.0) makes (0.5, -0.5) of it"),
        (
            "(0.0, -np.inf)",
            "(0.0, -1e9)",
            "neutral before the pair (0.5, -inf) makes (0.5, -1000000000.5) of it",
        ),
        ("(0.0, -np.inf)", "(1.0, -np.inf)", "neutral before the pair (0.5, -7.0) makes (1.5, -7.0) of it"),
        ("return join, (0.0, -np.inf)", "return join", "expected 2 results, join, neutral, got 1"),
    ],
    "2.7": [
        ("10**6, 0.1)", "10**6, 0.9)", "the state that is most wrong is off by"),
        ("10**6, 0.1)", "10**6, 0.01)", "a lies between 0.01 and 0.01, expected 0.1 to 1"),
        ("np.linspace(0.1, 1.0, 10**6)", "np.linspace(0.0, 1.0, 10**6)", "b lies between 0 and 1"),
        ("np.linspace(0.1, 1.0, 10**6)", "np.linspace(0.1, 1.0, 10**5)", "b has shape (100000,), expected"),
        ("10**6", "2 * 10**6", "a has 2,000,000 steps"),
    ],
    "2.8": [
        ("h = A * h + B", "h = B * h + A", "before[1, 0] is"),
        ("h = A * h + B", "h = A * (h + B)", "before[1, 0] is"),
        ("before_ptr + c * D + d, h", "before_ptr + c + d, h", "before[0, 1] is"),
        (
            "tl.load(first_ptr + d, mask=ours, other=0.0)",
            "tl.zeros((BLOCK,), tl.float32)",
            "before[0, 0] is 0,",
        ),
        ("range(chunks)", "range(chunks - 1)", "before[2, 0] is nan"),
        ("B_ptr + c * D + d, mask=ours, other=0.0", "B_ptr + c * D + d", "a load of 3 numbers beside"),
    ],
}
