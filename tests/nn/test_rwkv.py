"""RWKV-4, 5 and 6: the block and the language model."""

import pytest
import torch
from layers import error, tensors
from rwkv_models import DEPTH, HEADED, INNER, VOCABULARY, WIDTH, randomized, same
from torch import nn

from seqlab.nn import RWKV, EagleTimeMix, RWKVBlock, TimeMix

every_version = pytest.mark.parametrize("version", [4, 5, 6])


def test_parameters_are_as_many_as_the_papers():
    """2DV + 13D²L + D(14L + 4) of Eagle's, and 464 for 14 in Finch's, with heads of 64 features."""
    D, L, V = 128, 2, VOCABULARY
    for version, each in ((5, 14), (6, 464)):
        model = RWKV(V, D, L, version=version)
        count = sum(p.numel() for p in model.parameters())
        assert count == 2 * D * V + 13 * D**2 * L + D * (each * L + 4)
        assert model.blocks[0].time_mix.heads == 2


def test_a_model_with_matrices_starts_as_the_authors_code_says():
    torch.manual_seed(0)
    for version in (5, 6):
        block = RWKV(VOCABULARY, 8, 2, version=version).blocks[1]
        mix, identity = block.time_mix, torch.eye(8)
        for linear, scale in ((mix.receptance, 1), (mix.value, 1), (mix.key, 0.1), (mix.gate, 0.1)):
            same(linear.weight @ linear.weight.T, scale**2 * identity)
        for linear in (mix.output, block.channel_mix.receptance, block.channel_mix.value):
            assert not linear.weight.any()


def test_versions_and_heads_are_named():
    for call, words in (
        (lambda: RWKV(5, 8, 1, version=7), "version: expected 4, 5 or 6, got 7"),
        (lambda: RWKV(5, 8, 1, heads=2), "heads: expected None, as RWKV-4 has none, got 2"),
        (lambda: RWKV(5, 8, 1, version=5, heads=3), "inner: expected a multiple of heads = 3, got 8"),
        (
            lambda: RWKVBlock(8, 4, version=6, heads=4),
            "inner: expected at least 2 features in each of 4 heads",
        ),
        (lambda: EagleTimeMix(1, 1), "inner: expected at least 2 features"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="version: expected an integer"):
        RWKV(5, 8, 1, version="6")


@pytest.fixture(params=[4, 5, 6])
def model(request):
    sizes = {"inner": INNER} if request.param == 4 else HEADED
    return randomized(RWKV(VOCABULARY, WIDTH, DEPTH, hidden=9, version=request.param, **sizes))


@pytest.fixture
def tokens():
    return torch.randint(VOCABULARY, (2, 13), generator=torch.Generator().manual_seed(0))


@every_version
def test_a_block_adds_two_mixings_of_norms(version):
    block, u = randomized(RWKVBlock(WIDTH, version=version)), torch.randn(2, 9, WIDTH)
    x = u + block.time_mix(block.time_norm(u))[0]
    same(block(u)[0], x + block.channel_mix(block.channel_norm(x))[0])


@every_version
def test_a_block_goes_on_from_its_state_and_by_steps(version):
    block = randomized(RWKVBlock(WIDTH, 8, version=version)).double()
    u = torch.randn(2, 9, WIDTH).double()
    whole, last = block(u)
    state = None
    for t in range(9):
        y_t, state = block.step(u[:, t], state)
        same(y_t, whole[:, t])
    same(state, last)
    first, state = block(u[:, :4])
    second, state = block(u[:, 4:], state)
    same(torch.cat((first, second), dim=1), whole)
    same(state, last)


def test_the_model_goes_on_from_its_state_and_by_steps(model, tokens):
    model.double()
    whole, last = model(tokens)
    assert whole.shape == (2, 13, VOCABULARY)
    state = None
    for t in range(13):
        logits, state = model.step(tokens[:, t], state)
        same(logits, whole[:, t])
    same(state, last)
    _, state = model(tokens[:, :5])
    second, state = model(tokens[:, 5:], state)
    same(second, whole[:, 5:])
    sums = {TimeMix: 3 * INNER}.get(type(model.blocks[0].time_mix), 2 * 8 * 8)
    numbers = sum(part.numel() for block in state for part in tensors(block))
    assert numbers == 2 * DEPTH * (2 * WIDTH + sums)


def test_no_token_sees_a_later_one(model, tokens):
    changed = tokens.clone()
    changed[:, 7] = (changed[:, 7] + 1) % VOCABULARY
    before, after = model(tokens)[0], model(changed)[0]
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.isclose(before[:, 7], after[:, 7]).all()


@every_version
def test_the_model_starts_with_even_odds_and_learns_to_count(version):
    torch.manual_seed(0)
    model = RWKV(5, 16, 2, version=version)
    text = torch.arange(40) % 5
    logits, _ = model(text[None])
    assert all(torch.equal(block.time_mix.output.weight, torch.zeros(16, 16)) for block in model.blocks)
    same(model.head.weight @ model.head.weight.T, 0.25 * torch.eye(5), atol=1e-6, rtol=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        logits, _ = model(text[None, :-1])
        loss = nn.functional.cross_entropy(logits[0], text[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    counted = model.generate(text[None, :12], 13, temperature=0)
    assert torch.equal(counted[0], torch.arange(12, 25) % 5)


def test_embeddings_start_tiny_and_a_step_of_training_turns_them_far():
    """In front of a norm: as far as a whole unit, where those of an ordinary start hardly move."""
    torch.manual_seed(0)
    turned = {}
    for start in ("tiny", "ordinary"):
        model = RWKV(20, 32, 2)
        model.head.weight.data.normal_()  # the same loss for both: only the start differs
        if start == "ordinary":
            nn.init.normal_(model.embedding.weight)
        else:
            assert 0.9e-4 < model.embedding.weight.abs().max() <= 1e-4
        before = model.input_norm(model.embedding.weight).detach()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        text = torch.arange(21)[None] % 20
        nn.functional.cross_entropy(model(text[:, :-1])[0][0], text[0, 1:]).backward()
        optimizer.step()
        turned[start] = error(model.input_norm(model.embedding.weight).detach(), before)
    assert turned["ordinary"] < 0.01 < 0.5 < turned["tiny"]


def test_what_is_generated_follows_the_odds(model):
    prompt = torch.tensor([[1, 2, 3]])
    odds = torch.softmax(model(prompt)[0][0, -1] / 0.7, dim=-1)
    generator = torch.Generator().manual_seed(0)
    drawn = model.generate(prompt.expand(4000, 3), 1, temperature=0.7, generator=generator)
    counts = torch.bincount(drawn[:, 0], minlength=VOCABULARY) / 4000
    assert (counts - odds).abs().max() < 4 * (0.25 / 4000) ** 0.5
    again = model.generate(prompt, 6, generator=torch.Generator().manual_seed(3))
    assert torch.equal(again, model.generate(prompt, 6, generator=torch.Generator().manual_seed(3)))
    assert not again.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_model_trains_under_autocast_and_runs_in_half_precision(model, tokens, dtype):
    true, _ = model(tokens)
    with torch.autocast("cpu", dtype=dtype):
        logits, state = model(tokens)
        model.step(tokens[:, 0], state)
    assert error(logits, true) < 5e-2
    assert {part.dtype for block in state for part in tensors(block)} == {torch.float32}
    logits.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    logits, state = model.to(dtype)(tokens)
    assert logits.dtype == dtype
    assert error(logits, true) < 0.1
    logits, _ = model.step(tokens[:, 0], state)
    assert torch.isfinite(logits).all()


def test_wrong_tokens_and_states_are_named(model, tokens):
    for wrong in (tokens.int(), tokens.float(), tokens.tolist()):
        with pytest.raises(TypeError, match="tokens: expected"):
            model(wrong)
    for wrong in (tokens[0], tokens[None], tokens[:, :0], tokens.to("meta")):
        with pytest.raises(ValueError, match="tokens: expected"):
            model(wrong)
    with pytest.raises(ValueError, match="token_t: expected shape"):
        model.step(tokens)
    _, state = model(tokens)
    for wrong in (state[:2], state[0], 3.0):
        with pytest.raises(TypeError, match="state: expected a tuple"):
            model(tokens, wrong)
    with pytest.raises(TypeError, match=r"state: expected a tuple \(before, sums, mixed\), got a tuple of 2"):
        model(tokens, (*state[:2], state[2][:2]))
    with pytest.raises(ValueError, match="state sums: expected shape"):
        model.step(tokens[:, 0], (state[0]._replace(sums=state[0].sums[:, :1]), *state[1:]))
    for count, temperature in ((0, 1.0), (1, -1.0)):
        with pytest.raises(ValueError, match=r"count: |temperature: "):
            model.generate(tokens, count, temperature)
