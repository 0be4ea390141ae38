"""For the exercises of chapter 3; wrong_answers_5.py explains."""

WRONG = {
    "3.4": [
        ("[a, -b], [b, a]", "[a, b], [-b, a]", "R[0, 1] is 0.2, expected -0.2, for lam = 0.9+0.2j"),
        ("[a, -b], [b, a]", "[a, -b], [b, -a]", "R[1, 1] is -0.9, expected 0.9"),
        ("[[a, -b], [b, a]]", "[lam, lam.conjugate()]", "R has shape (2,), expected (2, 2)"),
        (
            "lam.real, lam.imag",
            "np.cos(np.angle(lam)), np.sin(np.angle(lam))",
            "R[0, 0] is 0.976187, expected 0.9",
        ),
        (
            "np.array([[a, -b], [b, a]])",
            "np.diag([lam, lam.conjugate()])",
            "R has dtype complex128, expected float64",
        ),
    ],
    "3.5": [
        ("((1 + q * lam) / (1 - q * lam)).real", "1", "energy is 5.26316, expected 11.2366"),
        (
            "(1 + q * lam) / (1 - q * lam)",
            "(1 - q * lam) / (1 + q * lam)",
            "energy is 2.06619, expected 11.2366",
        ),
        ("((1 + q * lam) / (1 - q * lam)).real", "(1 + q * lam) / (1 - q * lam)", "energy is 11.2366+4.9"),
        ("return gain / (1 - abs(lam) ** 2)", "return 1 / abs(1 - lam) ** 2", "energy is 6.57"),
        ("(1 + q * lam) / (1 - q * lam)", "(1 + q * abs(lam)) / (1 - q * abs(lam))", "energy is 13.8"),
    ],
    "3.6": [
        ("np.linspace(0.49, 0.5, 8)", "np.linspace(-0.5, 0.5, 8)", "A comes back with a relative error of"),
        ("np.linspace(0.49, 0.5, 8)", "np.linspace(0.89, 0.9, 8)", "an eigenvalue of modulus 0.9, above 0.5"),
        ("np.ones(7)", "np.full(7, 10)", "A has an entry of modulus 10, above 1"),
        ("np.linspace(0.49, 0.5, 8)", "np.zeros(8)", "have no inverse, which nobody overlooks"),
        ("np.ones(7)", "np.full(7, 1j)", "A is complex128 of shape (8, 8), expected real (8, 8)"),
    ],
    "3.7": [
        ("+ c * y - d * x", "+ c * y - d * real", "db[0, 0] is 0.0997021+0.642165j"),
        ("+ c * y - d * x", "+ c * y + d * x", "db[0, 0] is 0.0917875+0.646814j"),
        ("to_d += y * p - x * q", "to_d += y * p + x * q", "dlam[0] is"),
        ("h_ptr + i - 2 * N", "h_ptr + i", "dlam[0] is"),
        ("ours & (t > 0)", "ours", "a load of 4 numbers beside the kernel's tensors"),
        ("t = length - 1 - back", "t = back", "db[0, 0] is 0.052029+0.683686j"),
    ],
}
