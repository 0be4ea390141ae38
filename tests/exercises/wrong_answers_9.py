"""For each exercise of chapter 9, lines of its solution, what someone might write instead, and what they are told."""

WRONG = {
    "9.4": [
        ("np.maximum(m_1 + log_f_2, m_2)", "np.maximum(m_1, m_2)", "m[0] is"),
        ("m = np.maximum(m_1 + log_f_2, m_2)", "m = 0 * m_1", "m[0] is"),
        ("old * c_1 + new * c_2", "c_1 + new * c_2", "c[0] is"),
        ("return log_f_1 + log_f_2, m", "return log_f_2, m", "log_f[0] is"),
        (", old * n_1 + new * n_2", "", "expected 4 results"),
    ],
    "9.5": [
        ("* np.sign(nq) * (np.abs(nq) > bound)", "* np.sign(nq)", "dnq["),
        ("* np.sign(nq) *", "*", "dnq[0] is"),
        ("/ rho**2", "/ rho", "dnq[0] is"),
        ("dnq = -(dh * y).sum(1)", "dnq = 0 * (dh * y).sum(1)", "dnq[0] is"),
        (".sum(1)", ".sum(0)", "it raises ValueError"),
    ],
    "9.6": [
        ("[-1.0, 0.0], [0.0, 1.0]", "[1.0, 0.0], [0.0, 1.0]", "the last output is"),
        ("np.array([10.0, 10.0, 0.0])", "np.array([5.0, 5.0, 0.0])", "expected more than 1000"),
        ("np.array([10.0, 10.0, 0.0])", "np.array([30.0, 30.0, 0.0])", "i has numbers beyond 10"),
        ("np.array([1.0, -1.0, 0.0])", "np.array([1.0, -1.0])", "v has shape (2,), expected (3,)"),
    ],
    "9.7": [
        ("m = tl.maximum(past, i)", "m = 0 * i", "h["),
        ("tl.exp(past - m), tl.exp(i - m)", "tl.exp(past), tl.exp(i - m)", "h["),
        ("ours = d < D", "ours = d < D + BLOCK", "beside the kernel's tensors"),
        ("n = kept * n + written", "n = n + written", "h[1, 0] is"),
        ("at = t * D + d", "at = t + d * L", "h[0, 1] is"),
    ],
}
