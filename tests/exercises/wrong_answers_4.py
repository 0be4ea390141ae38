"""For the exercises of chapter 4; wrong_answers_5.py explains."""

WRONG = {
    "4.5": [
        ("2 * np.arange(L + 1) / L - 1", "1 - 2 * np.arange(L + 1) / L", "W[0, 0] is -0.166667"),
        ("P[1:] - below", "P[1:]", "W[2, 0] is"),
        ("(2 * r[:, None])", "r[:, None]", "W[0, 0] is 0.333333"),
        ("(2 * r[:, None])", "(2 * r[:, None] ** 2)", "W[1, 0] is"),
        ("np.diff(P[1:] - below)", "(P[1:] - below)", "W has shape (4, 7), expected (4, 6)"),
    ],
    "4.6": [
        ("-np.tril(np.ones((N, N)))", "-np.tril(np.ones((N, N)), -1) - np.eye(N) / 2", "A[0, 0] is -0.5"),
        ("np.tril(", "np.triu(", "A[0, 1] is -1, expected 0"),
        ("-np.tril(", "np.tril(", "A[0, 0] is 1, expected -1"),
        ("np.ones(N)", "np.ones((N, 1))", "B has shape (4, 1), expected (4,)"),
        ("np.ones(N)", "(-1.0) ** np.arange(N)", "B[1] is -1, expected 1"),
    ],
    "4.8": [
        ("(n + 1)", "n", "x[0, 0] is"),
        ("q += r * x", "q += x", "x[2, 0] is"),
        ("q += r * x", "q = r * x", "x[2, 0] is"),
        ("q += r * x", "q += r * y", "x[1, 0] is"),
        ("y - a * r * q", "y + a * r * q", "x[1, 0] is"),
        ("x, mask=ours", "x", "a store of 3 numbers beside"),
    ],
}
