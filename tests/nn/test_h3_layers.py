"""H3 and attention as layers: their equations, their memories, and the stack of both."""

import pytest
import torch

from seqlab.nn import H3, Attention, HybridH3, LinearAttention
from seqlab.ops.attention import reference as attention
from seqlab.ops.h3 import reference


def arrays(*tensors):
    return [x.detach().numpy() for x in tensors]


def noise(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("head_dim", [1, 2])
def test_h3_is_its_equation(head_dim):
    torch.manual_seed(0)
    layer, u = H3(6, 5, taps=3, head_dim=head_dim).double(), noise(2, 9, 6)
    projected = arrays(layer.query(u), layer.key(u), layer.value(u), layer.taps)
    y, (window, memory) = reference.h3(
        *projected, *arrays(*layer.memory.system(), layer.memory.D), head_dim=head_dim
    )
    found, state = layer(u)
    expected = layer.out(torch.from_numpy(y))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        state, (torch.from_numpy(window.copy()), torch.from_numpy(memory)), check_dtype=True
    )


def heads(x, count):
    return x.detach().numpy().reshape(*x.shape[:2], count, -1)


def test_linear_attention_is_its_equation():
    torch.manual_seed(0)
    layer, u = LinearAttention(6, 2).double(), noise(2, 9, 6)
    q, k, v = (heads(x, 2) for x in (layer.query(u), layer.key(u), layer.value(u)))
    y, _ = attention.linear_attention(attention.elu_features(q), attention.elu_features(k), v)
    expected = layer.out(torch.from_numpy(y).flatten(2))
    torch.testing.assert_close(layer(u)[0], expected, rtol=0, atol=1e-12)


def test_attention_without_rotations_is_its_equation():
    torch.manual_seed(0)
    layer, u = Attention(6, 2, rotary=False).double(), noise(2, 9, 6)
    y = attention.attention(*(heads(x, 2) for x in (layer.query(u), layer.key(u), layer.value(u))))
    expected = layer.out(torch.from_numpy(y).flatten(2))
    torch.testing.assert_close(layer(u)[0], expected, rtol=0, atol=1e-12)


def test_rotated_queries_and_keys_see_how_far_they_lie_apart_and_no_more():
    """A sequence of one token over and over: weights depend on distances alone, so that each output is a mean of equal
    values; and the same keys later on make the same products."""
    from seqlab.nn.attention import rotated

    q, k = noise(2, 1, 5, 8)
    early = rotated(q, 0) @ rotated(k, 0).mT
    late = rotated(q, 1000) @ rotated(k, 1000).mT
    torch.testing.assert_close(late, early, rtol=0, atol=1e-10)
    assert not torch.allclose(early, q @ k.mT)
    torch.testing.assert_close(rotated(q, 0).norm(dim=-1), q.norm(dim=-1))


def test_the_memory_of_attention_grows_and_the_others_stay():
    torch.manual_seed(0)
    sizes = {}
    for layer in (Attention(4), LinearAttention(4), H3(4, 3)):
        layer.double()
        states = [layer(noise(1, length, 4))[1] for length in (5, 50)]
        parts = [state if isinstance(state, tuple) else (state,) for state in states]
        sizes[type(layer)] = [sum(x.numel() for x in each) for each in parts]
    assert sizes[Attention] == [2 * 4 * 5, 2 * 4 * 50]
    assert sizes[LinearAttention] == [20, 20]
    assert sizes[H3] == [4 * 3 + 4 * 3] * 2


@pytest.mark.parametrize("chosen", [(), (1, 2)])
def test_a_hybrid_writes_token_by_token_what_it_reads_in_parallel(chosen):
    torch.manual_seed(0)
    model = HybridH3(11, 8, 3, state_size=4, attention=chosen, heads=2).double()
    kinds = [type(block.layer) for block in list(model.blocks)[::2]]
    assert kinds == [Attention if i in chosen else H3 for i in range(3)]
    tokens = torch.randint(11, (2, 7))
    logits, _ = model(tokens)
    state = None
    for t in range(7):
        step, state = model.step(tokens[:, t], state)
        torch.testing.assert_close(step, logits[:, t], rtol=0, atol=1e-12)
    written = model.generate(tokens, 3, temperature=0)
    everything = tokens
    for _ in range(3):
        everything = torch.cat([everything, model(everything)[0][:, -1:].argmax(-1)], dim=1)
    assert torch.equal(written, everything[:, 7:])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: H3(6, 4, head_dim=4), r"head_dim: expected a divisor of width 6, got 4"),
        (lambda: Attention(6, 4), r"heads: expected a divisor of width 6, got 4"),
        (lambda: Attention(6, 2), r"heads: expected an even number of channels a head to rotate, got 3"),
        (lambda: LinearAttention(6, 4), r"heads: expected a divisor of width 6, got 4"),
        (lambda: HybridH3(5, 6, 2, attention=(2,)), r"attention: expected layers from 0 to 1, got 2"),
    ],
)
def test_wrong_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
