"""For each exercise of chapter 5, lines of its solution, what someone might write instead, and what they are told."""

WRONG = {
    "5.4": [
        ("dt / 2 * A_bar, dt / 2", "dt / 2, dt / 2 * A_bar", "before is 0.1, expected 0.0675728+0.046229j"),
        ("np.exp(dt * s)", "np.exp(s)", "A_bar is -0.364198+0.0519151j, expected"),
        ("dt / 2 * A_bar, dt / 2", "dt / 2 * A_bar, dt", "now is 0.2, expected 0.1, for s = -1+3j"),
        ("return A_bar, dt / 2 * A_bar, dt / 2", "return A_bar, dt / 2", "expected 3 results"),
    ],
    "5.6": [
        ("(1 - dt * s / 2) ** 2", "(1 - dt * s / 2)", "slope of A_bar[0] is"),
        ("carried * s, carried * B", "carried * s, carried * B * dt", "slope of B_bar[0] is"),
        ("carried * s, carried * B", "carried * s, (carried * B).sum()", "slope of B_bar has shape ()"),
        ("carried * s, carried * B", "carried * s, abs(carried * B)", "slope of B_bar has dtype float64"),
        ("1 / (1 - dt * s / 2) ** 2", "np.exp(dt * s)", "slope of A_bar[0] is"),
    ],
    "5.7": [
        ("[-0.1, 10.0], [-10.0, -0.1]", "[0.1, 10.0], [-10.0, 0.1]", "an eigenvalue of real part 0.1"),
        ("[-0.1, 10.0], [-10.0, -0.1]", "[-0.1, 10.0], [0.0, -0.1]", "A has a zero in it"),
        ("), 0.1", "), 0.2", "dt times the largest |Re s| is 0.02"),
        ("), 0.1", "), 0.001", "Euler does not explode: its largest |λ| is 0.999950"),
        ("), 0.1", "), np.array([0.1])", "dt has shape (1,), expected a number"),
        ("[[-0.1, 10.0], [-10.0, -0.1]]", "[-0.1 + 10j, -0.1 - 10j]", "A is complex128 of shape (2,)"),
    ],
    "5.8": [
        ("dt_ptr + i // N", "dt_ptr + i % N", "a load of 2 numbers beside the kernel's tensors"),
        ("dt_ptr + i // N", "dt_ptr + i // D", "a load of 6 numbers beside"),
        ("(1 - a) / size, mask=ours", "(1 - a) / size", "a store of 1 numbers beside the kernel's tensors"),
        ("2 * b / size", "-2 * b / size", "A_bar[0, 0] is"),
        ("dt / 2 *", "dt *", "A_bar[0, 0] is"),
        ("tl.program_id(0) * BLOCK + ", "", "A_bar[1, 3] is nan"),
        ("dt * (1 - a)", "dt / 2 * (1 - a)", "B_bar[0, 0] is"),
    ],
}
