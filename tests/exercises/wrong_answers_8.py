"""For each exercise of chapter 8, lines of its solution, what someone might write instead, and what they are told."""

WRONG = {
    "8.4": [
        ("log_1 - length * w", "log_1", "average is -0.329531, expected -1.17047"),
        (
            "np.logaddexp(older, log_2)",
            "np.log(np.exp(older) + np.exp(log_2))",
            "average is -2, expected 0.489825",
        ),
        ("share * average_1 + (1 - share) * average_2", "(average_1 + average_2) / 2", "average is -0.75"),
        (", whole\n", "\n", "expected 2 results"),
    ],
    "8.5": [
        ("p * (v - p @ v)", "p * v", "dk[0] is"),
        ("-(age * dk).sum()", "(age * dk).sum()", "dw is"),
        ("np.exp(x - x.max())", "np.exp(x)", "dk[0] is nan"),
        ("    x[-1] += u\n", "", "dk[0] is"),
    ],
    "8.6": [
        ("0.5, 0.01, np.zeros(400)", "0.2, 0.01, np.zeros(400)", "with w = 0.2 and 400 keys all outputs are"),
        ("0.5, 0.01", "0.5, 0.4", "with w = 0.4 the output of token 220 is no number"),
        ("np.zeros(400)", "np.zeros(500)", "k has shape (500,)"),
        ("np.zeros(400)", "np.full(400, 50.0)", "the largest |k| is 50"),
        ("0.5, 0.01", "0.01, 0.5", "the rates are 0.01 and 0.5"),
    ],
    "8.7": [
        ("state_ptr + batch * 3 * C", "state_ptr + batch * C", "y[1, 0] is"),
        ("tl.exp(u + k - top)", "tl.exp(k - top)", "y[0, 0] is"),
        ("p, q = tl.exp(m - w - top)", "p, q = tl.exp(m - top)", "after it[0, 0] is"),
        ("/ (s * b + r), mask=ours)", "/ (s * b + r))", "beside the kernel's tensors"),
        ("top = tl.maximum(m, u + k)", "top = 0.0", "is nan"),
        ("p * b + q, mask", "p * b, mask", "average after it"),
    ],
}
