"""For each exercise of chapter 7, lines of its solution, what someone might write instead, and what they are told."""

WRONG = {
    "7.4": [
        ("np.tril(q @ k.T)", "q @ k.T", "y[0, 0] is"),
        ("np.tril(q @ k.T)", "np.tril(q @ k.T, -1)", "y[0, 0] is"),
        (" + q @ S", "", "y[0, 0] is"),
        (" + q @ z", "", "y[0, 0] is"),
        ("S + k.T @ v", "k.T @ v", "S[0, 0] is"),
        ("z + k.sum(0)", "z + k.sum()", "z[0] is"),
        ("return y, S + k.T @ v, z + k.sum(0)", "return y, S + k.T @ v", "expected 3 results"),
    ],
    "7.5": [
        ("C @ powers[i] @ s for i in range(T)", "C @ powers[i + 1] @ s for i in range(T)", "y[0] is"),
        ("powers[T - i] @ B", "powers[T - 1 - i] @ B", "s[0] is"),
        ("powers[T] @ s +", "s +", "s[0] is"),
        ("C @ powers[i] @ B for", "C @ powers[i + 1] @ B for", "y[0] is"),
        ("return y, s", "return y", "expected 2 results"),
    ],
    "7.6": [
        ("[0.9, 0.5, -1.0]", "[0.9, 0.6, -1.0]", "output 4 by the wrong rows is"),
        ("[1.0, -2.0, 0.5, 3.0]", "[1.0, 0.0, 0.0, 0.0]", "u has 5 numbers that are not zero, expected 6"),
        ("[1.0, -2.0, 0.5, 3.0]", "[1.0, -2.0, 0.5]", "u has shape (7,), expected (8,)"),
        ("first = np.poly([0.9, 0.5, -1.0])", "first = np.poly([0.9, 0.5, -1.0])[::-1]", "output 4 by"),
    ],
    "7.7": [
        ("(t >= j) & (t < L)", "t < L", "a load of"),
        ("(t - j) * D + d", "t * D + d", "y[1, 0] is"),
        ("key * v, mask=t < L", "key * v", "a store of"),
        ("taps_ptr + d * M + j", "taps_ptr + j", "y[0, 1] is"),
        ("key * v", "key", "y[0, 0] is"),
    ],
}
