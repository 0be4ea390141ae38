"""xLSTM: its memories, how its blocks begin, its language model, and what each memory can learn."""

import pytest
import torch
from torch.nn.functional import cross_entropy, silu

from seqlab.nn import MLSTM, SLSTM, XLSTM, MLSTMBlock, SLSTMBlock
from seqlab.ops import mlstm, slstm

VOCABULARY = 11


def model(ratio=(1, 1), depth=2, width=8):
    torch.manual_seed(0)
    return XLSTM(VOCABULARY, width, depth, ratio, heads=2)


@pytest.fixture
def tokens():
    return torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------------------------------------- layers


def test_forget_gates_start_open_and_input_gates_small():
    torch.manual_seed(0)
    scalar, matrix = SLSTM(12, 3), MLSTM(8, 4)
    assert (scalar.R == 0).all()
    assert torch.equal(scalar.b[1], torch.linspace(3, 6, 4).expand(3, 4))
    assert (scalar.b[[0, 2, 3]] == 0).all()
    assert (matrix.gates.weight == 0).all()
    assert torch.equal(matrix.gates.bias[4:], torch.linspace(3, 6, 4))
    assert matrix.gates.bias[:4].abs().max() < 1


def test_an_slstm_gives_i_and_f_the_convolved_input_and_z_and_o_the_plain_one():
    torch.manual_seed(0)
    layer = SLSTM(6, 2).double()
    u = torch.randn(2, 5, 6, dtype=torch.float64)
    convolved = silu(layer.conv(u)[0])
    gates = torch.stack(
        [
            torch.stack([x[..., 3 * h : 3 * h + 3] @ layer.W[g, h].T for h in range(2)], dim=2)
            for g, x in enumerate([convolved, convolved, u, u])
        ],
        dim=2,
    )
    h, _ = slstm(gates, layer.R, layer.b)
    centered = h - h.mean(-1, keepdim=True)
    normed = centered / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(layer(u)[0], normed.flatten(-2))


def test_an_mlstm_reads_by_queries_and_keys_of_the_convolved_input_and_values_of_the_plain_one():
    torch.manual_seed(0)
    layer = MLSTM(4, 2, 8).double()
    with torch.no_grad():
        layer.gates.weight.normal_()
        layer.skip.normal_()
    u = torch.randn(2, 5, 4, dtype=torch.float64)
    x, z = layer.into(u).chunk(2, dim=-1)
    c = silu(layer.conv(x)[0])
    q, k, v = (of @ torch.block_diag(*W).T for W, of in ((layer.query, c), (layer.key, c), (layer.value, x)))
    i, f = layer.gates(torch.cat([q, k, v], dim=-1)).chunk(2, dim=-1)
    h, _ = mlstm(*(part.unflatten(-1, (2, 4)) for part in (q, k, v)), i.contiguous(), f.contiguous())
    centered = h - h.mean(-1, keepdim=True)
    normed = (centered / (h.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()).flatten(-2)
    torch.testing.assert_close(layer(u)[0], layer.out((normed + layer.skip * c) * silu(z)))


def test_blocks_have_as_many_parameters_as_their_figures_draw():
    width, heads, size = 12, 3, 4
    scalar = sum(p.numel() for p in SLSTMBlock(width, heads, size).parameters())
    features, inside = width // heads, 16
    memory = 4 * heads * (2 * features**2 + features) + width
    assert scalar == memory + width * (size + 1) + 2 * width + 3 * width * inside
    matrix = sum(p.numel() for p in MLSTMBlock(width, heads, size=size).parameters())
    inner = 24
    memory = 3 * inner * 4 + (3 * inner + 1) * 2 * heads + 2 * inner
    assert matrix == memory + inner * (size + 1) + width + 3 * width * inner


def test_sizes_that_do_not_fit_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"^width: expected a multiple of heads = 3, got 8"):
        SLSTM(8, 3)
    with pytest.raises(ValueError, match=r"^inner: expected a multiple of 4 and of heads = 3, got 8"):
        MLSTM(4, 3, 8)
    # A norm makes 0 of a feature that is alone in its head.
    with pytest.raises(
        ValueError, match=r"^width: expected at least 2 features in each of 4 heads, got 4 in all"
    ):
        SLSTM(4)
    with pytest.raises(
        ValueError, match=r"^inner: expected at least 2 features in each of 8 heads, got 8 in all"
    ):
        MLSTM(4, 8, 8)
    assert MLSTM(4, 8).inner == 16
    with pytest.raises(ValueError, match=r"^depth: expected a multiple of 2, as ratio has it, got 3"):
        model(depth=3)
    with pytest.raises(ValueError, match=r"^ratio: expected a block of either kind, got \(0, 0\)"):
        model((0, 0))
    with pytest.raises(TypeError, match=r"^ratio: expected a pair of integers, got 7"):
        model(7)


# ---------------------------------------------------------------------------------------- the language model


@pytest.mark.parametrize(
    ("ratio", "depth", "kinds"), [((1, 0), 2, "mm"), ((0, 1), 2, "ss"), ((3, 1), 8, "msmmmsmm")]
)
def test_a_stack_has_blocks_of_both_kinds_in_their_ratio(ratio, depth, kinds):
    blocks = model(ratio, depth).blocks
    letter = {MLSTMBlock: "m", SLSTMBlock: "s"}
    assert "".join(letter[type(block)] for block in blocks) == kinds


def test_steps_and_pieces_are_the_whole(tokens):
    lm = model().double()
    logits, last = lm(tokens)
    state = None
    for t, token_t in enumerate(tokens.unbind(dim=1)):
        one, state = lm.step(token_t, state)
        torch.testing.assert_close(one, logits[:, t], rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-12)
    _, middle = lm(tokens[:, :4])
    rest, after = lm(tokens[:, 4:], middle)
    torch.testing.assert_close(rest, logits[:, 4:], rtol=0, atol=1e-12)
    torch.testing.assert_close(after, last, rtol=0, atol=1e-12)


def test_generation_goes_on_as_the_whole_text_would(tokens):
    lm = model().double()
    text = tokens
    for written in lm.generate(tokens, 4, temperature=0).unbind(1):
        logits, _ = lm(text)
        assert torch.equal(logits[:, -1].argmax(-1), written)
        text = torch.cat([text, written[:, None]], dim=1)


def parity(ratio, steps):
    """The share of right answers at 40 steps, four times as many as in training, where there are two of them."""
    torch.manual_seed(0)
    lm = XLSTM(2, 16, 1, ratio, heads=1)
    optimizer = torch.optim.Adam(lm.parameters(), 1e-2)
    random = torch.Generator().manual_seed(0)
    for _ in range(steps):
        bits = torch.randint(2, (64, 10), generator=random)
        loss = cross_entropy(lm(bits)[0].flatten(0, 1), (bits.cumsum(1) % 2).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    bits = torch.randint(2, (64, 40), generator=random)
    with torch.no_grad():
        answers = lm(bits)[0].argmax(-1)
    return (answers == bits.cumsum(1) % 2)[:, 20:].float().mean().item()


def test_memory_mixing_counts_modulo_two_at_lengths_it_has_not_seen():
    """And a matrix memory, which does not mix, guesses there."""
    assert parity((0, 1), 110) > 0.99
    assert parity((1, 0), 40) < 0.7
