"""The WKV explorer's JavaScript mathematics, run by Node, against the NumPy reference on the same numbers."""

import numpy as np
import pytest
from evaluation import evaluator

from seqlab.explorers import WKVExplorer
from seqlab.ops.wkv.reference import first_sums, join, wkv_recurrence, wkv_sum

evaluate = evaluator("wkv/mathematics.mjs")
PRESETS = ["ordinary", "even", "loud", "huge", "climbing", "faint"]
CHANNELS = [(0.0, 0.0), (0.02, -1.0), (0.3, 1.0), (20.0, 10.0)]
every_preset = pytest.mark.parametrize("preset", PRESETS)
every_channel = pytest.mark.parametrize(("w", "u"), CHANNELS)


def drawn(preset):
    explorer = WKVExplorer(preset=preset)
    return explorer.k, explorer.v


def as_batch(*arrays):
    return [np.array(x)[None, :, None] for x in arrays]


def run(kind, w, u, k, v, precision="float64"):
    (found,) = evaluate((kind, w, u, k.tolist(), v.tolist(), precision))
    return found


@every_preset
@every_channel
def test_the_guarded_recurrence_is_the_references(preset, w, u):
    k, v = drawn(preset)
    found = run("guarded", w, u, k, v)
    truth = wkv_sum(np.array([w]), np.array([u]), *as_batch(k - k.max(), v))
    np.testing.assert_allclose(found["y"], truth[0, :, 0], rtol=0, atol=1e-12)
    past = first_sums(*as_batch(v), None)
    for t in range(len(k)):
        past = join(past, w, (v[t], 1, k[t]))
        sums = [found[name][t] for name in ("a", "b", "m")]
        np.testing.assert_allclose(sums, np.ravel(past), rtol=1e-13, atol=1e-13)


@every_preset
@every_channel
def test_the_plain_recurrence_is_the_references_in_64_bits(preset, w, u):
    k, v = drawn(preset)
    found = run("plain", w, u, k, v)
    truth = wkv_recurrence(np.array([w]), np.array([u]), *as_batch(k, v))
    np.testing.assert_allclose(found["y"], truth[0, :, 0], rtol=1e-9, atol=1e-12)
    assert found["lost"] == -1


@every_channel
def test_shares_are_what_a_value_counts(w, u):
    k, v = drawn("ordinary")
    for t in (0, 1, 23):
        (shares,) = evaluate(("shares", w, u, k.tolist(), t))
        y = wkv_sum(np.array([w]), np.array([u]), *as_batch(k, v))
        assert shares.sum() == pytest.approx(1)
        assert shares @ v[: t + 1] == pytest.approx(y[0, t, 0], abs=1e-12)


@pytest.mark.parametrize("precision", ["float16", "float32", "float64"])
def test_rounding_is_numpys(precision):
    random = np.random.default_rng(0)
    x = random.standard_normal(300) * 10.0 ** random.integers(-9, 6, 300)
    x = np.append(x, [0, 65504, 65519.9, 65520, -65520, 2**-24, 2**-25, 3 * 2**-26, 2049, 2051, 1e39, -1e-46])
    found = evaluate(*[("rounded", precision, each) for each in x.tolist()])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.ravel(found), x.astype(precision).astype(float))


def in_numpy(kind, w, u, k, v, precision):
    """The recurrence, every result rounded by NumPy; exponentials are those of 64 bits, rounded."""
    r = np.dtype(precision).type

    def exp(x):
        return r(np.exp(np.float64(x)))

    w, u, k, v = r(w), r(u), k.astype(r), v.astype(r)
    y = np.zeros(len(k))
    a, b, m = r(0), r(0), r(-65504 if precision == "float16" else -1e38)

    def joined(age, exponent, value):
        top = max(m - age, exponent)
        p, q = exp(m - age - top), exp(exponent - top)
        return p * a + q * value, p * b + q, top

    for t in range(len(k)):
        if kind == "plain":
            own = exp(u + k[t])
            y[t] = (a + own * v[t]) / (b + own)
            a, b = exp(-w) * a + exp(k[t]) * v[t], exp(-w) * b + exp(k[t])
        else:
            numerator, denominator, _ = joined(r(0), u + k[t], v[t])
            y[t] = numerator / denominator
            a, b, m = joined(w, k[t], v[t])
    return y


@every_preset
@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("kind", ["plain", "guarded"])
def test_narrow_recurrences_are_numpys_and_are_lost_at_the_same_token(preset, precision, kind):
    k, v = drawn(preset)
    found = run(kind, 0.3, 1.0, k, v, precision)
    with np.errstate(all="ignore"):
        truth = in_numpy(kind, 0.3, 1.0, k, v, precision)
    tolerance = {"float16": 2e-3, "float32": 1e-6}[precision]
    np.testing.assert_allclose(found["y"], truth, rtol=0, atol=tolerance)
    lost = {
        ("loud", "float16"): 6, ("huge", "float16"): 6, ("huge", "float32"): 6, ("climbing", "float16"): 3,
        ("climbing", "float32"): 18, ("faint", "float16"): 0, ("faint", "float32"): 0,
    }  # fmt: skip
    assert found["lost"] == (lost.get((preset, precision), -1) if kind == "plain" else -1)


@every_preset
def test_keys_are_the_same_in_both_languages(preset):
    (found,) = evaluate(("presetKeys", preset))
    np.testing.assert_array_equal(found, WKVExplorer(preset=preset).k)


def test_values_are_the_same_in_both_languages():
    (found,) = evaluate(("usualValues",))
    np.testing.assert_array_equal(found, WKVExplorer().v)
