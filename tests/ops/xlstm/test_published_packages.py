"""sLSTM and mLSTM held to the packages of their authors, where these are installed: ``pip install -e
'.[published]'``, or ``pip install --no-deps xlstm mlstm-kernels``. What differs is said in each test."""

import pytest
import torch

from seqlab.ops import mlstm, slstm

B, L, H, K, V = 2, 32, 2, 16, 16


def draw(dtype=torch.float64):
    """q, k, v, i and f, and the same with heads before time, as the packages have them."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, B, L, H, K, dtype=dtype, generator=generator)
    v = torch.randn(B, L, H, V, dtype=dtype, generator=generator)
    i, f = torch.randn(2, B, L, H, dtype=dtype, generator=generator)
    ours = [q, k, v, i, f + 3]
    return ours, [x.transpose(1, 2).contiguous() for x in ours]


def test_mlstm_step_by_step_is_the_native_sequence():
    """Which scales q by K^-1/2, we scale k: outputs agree, its C and n are K^1/2 times ours. It starts from m = 0."""
    name = "mlstm_kernels.torch.recurrent.native_sequence"
    theirs = pytest.importorskip(name, exc_type=ImportError).mlstm_recurrent_sequence__native_fw
    ours, inputs = draw()
    h, (C, n, m) = mlstm(*ours)
    expected, (c_last, n_last, m_last) = theirs(
        *inputs, return_last_states=True, eps=0.0, dtype_state=torch.float64
    )
    torch.testing.assert_close(h, expected.transpose(1, 2))
    raw = torch.exp(m_last.view(B, H))[..., None] * K**-0.5
    torch.testing.assert_close(torch.exp(m)[..., None] * n, raw * n_last)
    torch.testing.assert_close(torch.exp(m)[..., None, None] * C, raw[..., None] * c_last)


def test_gradients_of_the_native_chunkwise_form_are_right_for_gradients_orthogonal_to_h_alone():
    """It counts the normalizer as a constant. Behind a norm of each head, which sees no scale, that is no fault."""
    name = "mlstm_kernels.torch.chunkwise.native"
    theirs = pytest.importorskip(name, exc_type=ImportError).mlstm_chunkwise__native_custbw
    ours, _ = draw(torch.float32)
    grad_h = torch.randn(B, L, H, V, generator=torch.Generator().manual_seed(1))
    h, _ = mlstm(*ours)
    orthogonal = grad_h - h * (grad_h * h).sum(-1, keepdim=True) / h.square().sum(-1, keepdim=True)
    for sent, is_right in ((orthogonal, True), (grad_h, False)):
        leaves = [x.clone().requires_grad_() for x in ours]
        found = torch.autograd.grad(mlstm(*leaves)[0], leaves, sent)
        turned = [x.transpose(1, 2) for x in leaves]
        h_theirs = theirs(*turned, chunk_size=16, eps=0.0, autocast_kernel_dtype=torch.float32)
        torch.testing.assert_close(h_theirs.transpose(1, 2), h, rtol=1e-3, atol=1e-3)
        expected = torch.autograd.grad(h_theirs, leaves, sent.transpose(1, 2))
        for index in (0, 1, 3, 4):  # of q, k, i and f
            error = (found[index] - expected[index]).norm() / found[index].norm()
            assert (error < 1e-2) == is_right, (index, error)


def test_slstm_is_the_vanilla_cell():
    """Its m begins anew where every n of the batch is 0, ours where nothing was written: the same from no state."""
    name = "xlstm.blocks.slstm.src.vanilla.slstm"
    cell = pytest.importorskip(name, exc_type=ImportError).slstm_forward_pointwise
    generator = torch.Generator().manual_seed(0)
    gates = torch.randn(B, L, 4, H, K, dtype=torch.float64, generator=generator)
    R = 0.2 * torch.randn(4, H, K, K, dtype=torch.float64, generator=generator)
    b = torch.randn(4, H, K, dtype=torch.float64, generator=generator)
    h, _ = slstm(gates, R, b)
    states = torch.zeros(4, B, H * K, dtype=torch.float64)
    for t in range(L):
        mixed = torch.einsum("ghde,bhe->bghd", R, states[0].view(B, H, K)).flatten(1)
        states, _ = cell(gates[:, t].flatten(1), mixed, b.flatten()[None], states, {})
        torch.testing.assert_close(states[0].view(B, H, K), h[:, t])


def test_what_resets_m_in_the_vanilla_cell_does_not_save_it_from_deep_first_gates():
    """Of -200, in float32. Alone its m begins at i, and e^200 times an empty memory is infinity times 0; beside a
    sequence that is under way its m is kept at 0, and nothing is written: 0 / 0. Ours begins at -inf in both."""
    name = "xlstm.blocks.slstm.src.vanilla.slstm"
    cell = pytest.importorskip(name, exc_type=ImportError).slstm_forward_pointwise
    generator = torch.Generator().manual_seed(0)
    gates = torch.randn(B, 1, 4, H, K, generator=generator)
    gates[:, :, 0] = -200
    R, nothing = torch.zeros(4, H, K, K), torch.zeros(B, H, K)
    _, _, z, o = gates[:, 0].unbind(1)
    right = torch.sigmoid(o) * torch.tanh(z)

    def theirs(states):
        x, zeros = gates[:, 0].flatten(1), torch.zeros(B, 4 * H * K)
        (y, *_), _ = cell(x, zeros, zeros[:1], states, {})
        return y.view(B, H, K)

    states = torch.zeros(4, B, H * K)
    assert theirs(states).isnan().all()
    torch.testing.assert_close(slstm(gates, R)[0][:, 0], right)
    states[1:3, 0] = 1  # c and n of the other sequence
    assert theirs(states)[1].isnan().all()
    c, m = nothing.clone(), nothing - torch.inf
    c[0], m[0] = 1, 0
    h, _ = slstm(gates, R, None, (c, c.clone(), m, nothing))
    torch.testing.assert_close(h[1, 0], right[1])


def test_mlstm_is_the_vanilla_cell_step_by_step_and_in_parallel():
    """Which scales k, as we do, so that its C and n are ours in raw units; it starts from m = 0."""
    name = "xlstm.blocks.mlstm.backends"
    theirs = pytest.importorskip(name, exc_type=ImportError)
    ours, (q, k, v, i, f) = draw()
    h, (C, n, m) = mlstm(*ours)
    parallel = theirs.parallel_stabilized_simple(q, k, v, i[..., None], f[..., None], eps=0.0)
    torch.testing.assert_close(h, parallel.transpose(1, 2))
    c_state = torch.zeros(B, H, K, V, dtype=torch.float64)
    n_state, m_state = c_state[..., :1], c_state[..., :1, :1]
    for t in range(L):
        at = [x[:, :, t : t + 1].clone() for x in (q, k, v, i[..., None], f[..., None])]
        h_t, (c_state, n_state, m_state) = theirs.recurrent_step_stabilized_simple(
            c_state, n_state, m_state, *at, eps=0.0
        )
        torch.testing.assert_close(h_t[:, :, 0], h[:, t])
    raw, of_theirs = torch.exp(m), torch.exp(m_state[..., 0, 0])
    torch.testing.assert_close(raw[..., None, None] * C, of_theirs[..., None, None] * c_state)
    torch.testing.assert_close(raw[..., None] * n, of_theirs[..., None] * n_state[..., 0])
