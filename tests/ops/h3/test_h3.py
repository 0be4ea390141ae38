"""H3, the long convolution that goes on from a state, and Hyena, as PyTorch ops."""

import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton
from seqlab.ops.h3 import reference


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def system(heads, N, dtype=torch.complex128):
    A_bar, B_bar, C = draw(3, heads, N, dtype=dtype)
    return A_bar / A_bar.abs().clamp(min=1), B_bar, C


def test_the_state_is_two_tensors_by_name():
    q, k, v = draw(3, 2, 5, 4)
    y, state = ops.h3(q, k, v, draw(4, 3), *system(2, 6), head_dim=2)
    assert y.shape == (2, 5, 4)
    assert state.window.shape == (2, 2, 4)
    assert state.memory.shape == (2, 8, 6)
    torch.testing.assert_close(state.window, k[:, -2:])
    again, _ = ops.h3(q, k, v, draw(4, 3), *system(2, 6), state=tuple(state), head_dim=2)
    assert not torch.equal(again, y)


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize("length", [8, 9], ids=["whole chunks", "and a step"])
@pytest.mark.parametrize("taps", [1, 2, 6, 9, 12])
def test_the_last_keys_are_those_of_any_window(taps, length):
    """One shorter than a tile, of several, and longer than the sequence, with keys of the pieces before."""
    q, k, v = draw(3, 2, length, 3, dtype=torch.float32)
    window, memory = draw(2, taps - 1, 3, dtype=torch.float32), draw(2, 3, 2, dtype=torch.float32)
    arguments = q, k, v, draw(3, taps, dtype=torch.float32), *system(3, 2, torch.float32)
    for state in (None, (window, memory)):
        before = torch.zeros_like(window) if state is None else window
        _, found = ops.h3(*arguments, state=state, backend="triton")
        assert torch.equal(found.window, torch.cat([before, k], dim=1)[:, length:])


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize("carried", [False, True])
@pytest.mark.parametrize("taps", [1, 2, 9, 12])
def test_gradients_of_a_ragged_end_know_the_keys_before_it(taps, carried):
    """Nine steps are whole chunks and one step, whose window lies in these, before them, or in both."""
    tensors = [*draw(3, 2, 9, 3, dtype=torch.float32), draw(3, taps, dtype=torch.float32)]
    tensors += [*system(3, 2, torch.float32), draw(3, dtype=torch.float32)]
    if carried:
        tensors += [draw(2, taps - 1, 3, dtype=torch.float32), draw(2, 3, 2, dtype=torch.float32)]
    tensors = [x.requires_grad_() for x in tensors]

    def found(backend):
        y, state = ops.h3(*tensors[:8], state=tuple(tensors[8:]) or None, backend=backend)
        return torch.autograd.grad(
            (y.sin().sum(), state.window.cos().sum(), state.memory.cos().sum()), tensors
        )

    for x, expected in zip(found("triton"), found("portable"), strict=True):
        assert (x - expected).norm() <= 1e-4 * expected.norm()


def test_with_full_heads_and_no_decay_it_is_linear_attention_without_features_and_normalizer():
    q, k, v = draw(3, 2, 9, 6)
    ones = torch.ones(2, 1, dtype=torch.float64)
    y, state = ops.h3(q, k, v, torch.ones(6, 1, dtype=torch.float64), ones, ones, ones, head_dim=3)
    heads = (x.unflatten(-1, (2, 3)) for x in (q, k, v))
    expected, S = ops.gated_linear_attention(*heads, torch.zeros(2, dtype=torch.float64), scale=1.0)
    torch.testing.assert_close(y, expected.flatten(-2))
    torch.testing.assert_close(state.memory, S.flatten(1)[..., None])


@pytest.mark.parametrize(
    "backend",
    ["portable", pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton"))],
)
def test_hyena_of_order_two_with_its_filters_is_h3(backend):
    dtype = torch.float64 if backend == "portable" else torch.float32
    q, k, v = draw(3, 1, 6, 2, dtype=dtype)
    shift, parameters = draw(2, 3, dtype=dtype), system(2, 3, dtype.to_complex())
    y, _ = ops.h3(q, k, v, shift, *parameters, backend=backend)
    response = ops.ssm_kernel(*parameters, 6, backend=backend)
    torch.testing.assert_close(ops.hyena(k, (v, q), (shift, response), backend=backend), y)


def test_between_the_gates_of_hyena_nothing_overflows_or_is_rounded():
    """In float16 a number between two gates may be larger than 65504 if the next gate makes it small."""
    v, big, small = (torch.full((1, 3, 1), x).half() for x in (300.0, 300.0, 1e-4))
    one = torch.ones(1, 1)
    z = ops.hyena(v, [big, small], [one, one])
    torch.testing.assert_close(z, torch.full((1, 3, 1), 9.0).half(), rtol=2e-3, atol=0)


def test_hyena_is_its_reference_and_causal():
    v, *gates = draw(4, 2, 7, 3)
    filters = list(draw(3, 3, 7))
    expected = reference.hyena(v.numpy(), [x.numpy() for x in gates], [x.numpy() for x in filters])
    torch.testing.assert_close(ops.hyena(v, gates, filters), torch.from_numpy(expected))
    leaf = v.clone().requires_grad_()
    ops.hyena(leaf, gates, filters)[:, 3].sum().backward()
    assert (leaf.grad[:, 4:].abs() < 1e-12).all()
    assert (leaf.grad[:, :4] != 0).all()


@pytest.mark.parametrize("cuts", [(1,), (3, 4), (20,)])
@pytest.mark.parametrize("kernel", ["few taps", "many taps", "system"])
def test_a_convolution_that_comes_in_pieces_is_one(kernel, cuts):
    """Pieces of any length, shorter than the kernel too, with gradients that flow through the states between."""
    u = draw(2, 31, 3).requires_grad_()
    K = system(3, 4) if kernel == "system" else draw(3, 5 if kernel == "few taps" else 25)
    tensors = [x.requires_grad_() for x in (K if isinstance(K, tuple) else (K,))]
    state = draw(2, 3, 4, dtype=torch.complex128) if kernel == "system" else draw(2, K.shape[1] - 1, 3)
    leaves = [u, *tensors, state.requires_grad_()]
    whole = ops.flashconv(u, K, state)
    exact = [tuple(x.detach().numpy() for x in K) if isinstance(K, tuple) else K.detach().numpy()]
    y, last = reference.flashconv_chunked(u.detach().numpy(), *exact, state.detach().numpy(), 7)
    torch.testing.assert_close(whole, (torch.from_numpy(y), torch.from_numpy(last)))
    done, passed = [], state
    for piece in u.tensor_split(cuts, dim=1):
        y, passed = ops.flashconv(piece, K, passed)
        done.append(y)
    pieces = torch.cat(done, dim=1), passed
    torch.testing.assert_close(pieces, whole)
    weights = [torch.randn_like(x) for x in whole]
    torch.testing.assert_close(
        torch.autograd.grad(pieces, leaves, weights), torch.autograd.grad(whole, leaves, weights)
    )


def test_a_prompt_and_then_steps_are_one_convolution():
    """Of odd length, with kernels of any kind: what is left of a prompt is where a step begins."""
    u = draw(2, 31, 3)
    for K in (draw(3, 5), draw(3, 25), draw(3, 40), system(3, 4)):
        whole, last = ops.flashconv(u, K)
        y, state = ops.flashconv(u[:, :13], K)
        steps = []
        for u_t in u[:, 13:].unbind(1):
            y_t, state = ops.flashconv_step(u_t, K, state)
            steps.append(y_t)
        torch.testing.assert_close(torch.cat([y, torch.stack(steps, 1)], 1), whole)
        torch.testing.assert_close(state, last)


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize("taps", [17, 101])
def test_each_form_of_many_taps_gives_the_same(taps):
    """Sums by a kernel or transforms; gradients through both results, from a state and without."""
    u, K, state = (draw(*shape, dtype=torch.float32) for shape in ((2, 4, 1), (1, taps), (2, taps - 1, 1)))
    for given in (state, None):
        leaves = [x.clone().requires_grad_() for x in (u, K, given) if x is not None]
        found = []
        for backend in ("portable", "triton"):
            results = ops.flashconv(*leaves, backend=backend)
            weights = [draw(*x.shape, seed=1, dtype=torch.float32) for x in results]
            found.append([*results, *torch.autograd.grad(results, leaves, weights)])
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "backend",
    ["portable", pytest.param("triton", marks=pytest.mark.skipif(not has_triton(), reason="no Triton"))],
)
def test_many_taps_without_a_state_are_registered_too(backend):
    """The catalogue's tests trace them with one; without, there is no gradient to it."""
    leaves = (
        x.requires_grad_() for x in (draw(2, 3, 1, dtype=torch.float32), draw(1, 17, dtype=torch.float32))
    )
    utils = ("test_schema", "test_faketensor", "test_autograd_registration")
    found = torch.library.opcheck(
        torch.ops.seqlab.flashconv.default, (*leaves, None, backend), test_utils=utils
    )
    assert set(found.values()) == {"SUCCESS"}
    given = draw(2, 3, 1), draw(1, 17), None, draw(2, 3, 1), draw(2, 16, 1)
    found = torch.library.opcheck(
        torch.ops.seqlab.flashconv_backward.default, (*(None if x is None else x.float() for x in given), backend),
        test_utils=utils[:2],
    )  # fmt: skip
    assert set(found.values()) == {"SUCCESS"}


def test_a_state_outlives_many_short_pieces():
    """Pieces that are far shorter than the kernel, so that the window is made of several of them."""
    u, K = draw(1, 12, 2), draw(2, 120)
    whole, last = ops.flashconv(u, K, state := draw(1, 119, 2, seed=1))
    y = []
    for piece in u.split(5, 1):
        done, state = ops.flashconv(piece, K, state)
        y.append(done)
    torch.testing.assert_close((torch.cat(y, 1), state), (whole, last))


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize(("batch", "length", "N"), [(1, 3, 2), (1, 10, 2), (1, 13, 2), (3, 9, 2), (1, 5, 33)])
def test_segments_join_at_every_length(batch, length, N):
    """Several of them, with steps left over or without; and a state that is too large for the chip, a recurrence."""
    dtypes = torch.float32, torch.complex64
    q, k, v = draw(3, batch, length, 2, dtype=dtypes[0])
    inputs = [q, k, v, draw(2, 4, dtype=dtypes[0]), *system(2, N, dtypes[1]), draw(2, dtype=dtypes[0])]
    state = draw(batch, 3, 2, seed=1, dtype=dtypes[0]), draw(batch, 2, N, seed=2, dtype=dtypes[1])
    leaves = [x.requires_grad_() for x in (*inputs, *state)]
    y, last = ops.h3(*leaves[:8], state=tuple(leaves[8:]), backend="triton")
    weights = [torch.randn_like(x) for x in (y, *last)]
    found = torch.autograd.grad((y, *last), leaves, weights)
    wide = [x.detach().to(torch.promote_types(x.dtype, torch.float64)).numpy() for x in (*leaves, *weights)]
    expected, (window, memory) = reference.h3(*wide[:8], tuple(wide[8:10]))
    true = reference.h3_gradients(*wide[:8], tuple(wide[8:10]), wide[10], tuple(wide[11:]))
    true = [expected, window, memory, *true[:-1], *true[-1]]
    for x, exact in zip((y, *last, *found), true, strict=True):
        exact = torch.from_numpy(exact.copy())
        assert (x.detach().to(exact.dtype) - exact).norm() <= 1e-5 * exact.norm()


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"head_dim": 3}, ValueError, r"head_dim: expected a divisor of 4 channels, got 3"),
        ({"state": torch.ones(2)}, TypeError, r"state: expected a tuple \(window, memory\), got Tensor"),
        (
            {"state": (torch.ones(2, 2, 3), torch.ones(2, 4, 5))},
            ValueError,
            r"state.window: expected shape \(batch, taps - 1, channels\) = \(2, 2, 4\) like k, got \(2, 2, 3\)",
        ),
        (
            {"state": (torch.ones(2, 2, 4), torch.ones(2, 8, 5))},
            ValueError,
            r"state.memory: expected shape \(batch, channels \* head_dim, N\) = \(2, 4, 5\)",
        ),
        (
            {"D_skip": torch.ones(2)},
            ValueError,
            r"D_skip: expected shape \(heads,\) = \(4,\) like k, got \(2,\)",
        ),
    ],
)
def test_what_is_wrong_is_named(wrong, error, message):
    arguments = dict.fromkeys("qkv", torch.ones(2, 6, 4)) | {"shift": torch.ones(4, 3)}
    arguments |= dict.fromkeys(("A_bar", "B_bar", "C"), torch.ones(4, 5))
    with pytest.raises(error, match=message):
        ops.h3(**{**arguments, **wrong})


def test_a_kernel_that_is_neither_taps_nor_a_system_is_named():
    for wrong, got in ((torch.ones(3, 4),) * 2, "a tuple of 2"), ([torch.ones(3, 4)] * 3, "list"):
        with pytest.raises(TypeError, match=rf"^K_or_ssm: expected taps or \(A_bar, B_bar, C\), got {got}"):
            ops.flashconv(torch.ones(1, 2, 3), wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"v": torch.ones(1, 2, 3).long()}, r"v: expected one of float16, .*, got torch.int64"),
        ({"v": torch.ones(1, 0, 3)}, r"v: expected every axis to be at least 1 long, got \(1, 0, 3\)"),
        ({"gates": None}, r"gates: expected a list or tuple of tensors, got NoneType"),
        ({"gates": [], "filters": []}, r"gates: expected one or more, got 0"),
        ({"gates": [torch.ones(1, 3, 3)]}, r"gates\[0\]: expected shape .* = \(1, 2, 3\) like v"),
        ({"filters": torch.ones(3, 4)}, r"filters: expected a list or tuple of tensors, got Tensor"),
        ({"filters": []}, r"filters: expected as many as gates, 1, got 0"),
        (
            {"filters": [torch.ones(4, 4)]},
            r"filters\[0\]: expected shape \(channels, taps\) = \(3, \*\) like v",
        ),
        ({"filters": [torch.ones(3, 4).half()]}, r"filters\[0\]: expected dtype torch.float32 for a v of"),
    ],
)
def test_what_is_wrong_in_hyena_is_named(wrong, message):
    arguments = {"v": torch.ones(1, 2, 3), "gates": [torch.ones(1, 2, 3)], "filters": [torch.ones(3, 4)]}
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        ops.hyena(**{**arguments, **wrong})
