"""For each exercise of chapter 6, lines of its solution, what someone might write instead, and what they are told."""

WRONG = {
    "6.4": [
        (".conj()", "", "dl/dK[0] is"),
        ("len(u) + M - 1", "len(u)", "dl/dK[1] is"),
        ("np.fft.irfft(spectrum, n)[:M]", "np.fft.irfft(spectrum, n)", "dl/dK has shape (8,), expected (3,)"),
        ("np.fft.irfft(spectrum, n)", "np.fft.irfft(spectrum)", "for u of shape (9,)"),
    ],
    "6.5": [
        (" * (1 - lam**L)", "", "K[0] is"),
        ("np.exp(-2j", "np.exp(2j", "K[1] is"),
        (".real", "", "K has dtype complex128, expected float64"),
        ("np.fft.ifft(values.sum(axis=1)).real", "np.fft.irfft(values.sum(axis=1), L)", "K[0] is"),
    ],
    "6.6": [
        ("powers[1:] @ (C * state)", "powers[:T] @ (C * state)", "y[0] is"),
        ("powers[T] * state", "state", "after[0] is"),
        ("u @ powers[T - 1 :: -1]", "u @ powers[:T]", "after[0] is"),
        ("return y, after", "return y", "expected 2 results"),
        (" + (powers[1:] @ (C * state)).real", "", "y[0] is"),
    ],
    "6.7": [
        (
            "3.0, 0.0, 0.0, 0.0]",
            "3.0, 1.0, 0.0, 0.0]",
            "output 0 of the circle is 3, of the causal convolution 1",
        ),
        (
            "3.0, 0.0, 0.0, 0.0]",
            "0.0, 0.0, 0.0, 0.0]",
            "u has 4 numbers that are not zero, expected 5 or more",
        ),
        ("2.0, 0.0, 0.0, 0.0, 0.0]", "2.0]", "K has shape (4,), expected (8,)"),
        ("2.0, 0.0, 0.0, 0.0, 0.0]", "0.0, 0.0, 0.0, 0.0, 0.0]", "K has 3 numbers that are not zero"),
    ],
    "6.8": [
        ("n < N", "n < BLOCK", "a load of 3 numbers beside the kernel's tensors"),
        ("u_ptr + t * D + d", "u_ptr + t + d * L", "y[0, 1] is"),
        ("tl.store(y_ptr + t * D + d", "tl.store(y_ptr + t", "y[0, 0] is"),
        ("A * x + B", "x + B", "y[1, 0] is"),
        ("tl.sum(C * x, 0)", "tl.sum(x, 0)", "y[0, 0] is"),
    ],
}
