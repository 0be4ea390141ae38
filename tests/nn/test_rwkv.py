"""RWKV-4, 5 and 6: token shift, the mixings, the block, the language model, and weights from transformers."""

import json
import shutil

import numpy as np
import pytest
import torch
from layers import error, tensors
from torch import nn

from seqlab.nn import (
    RWKV,
    ChannelMix,
    EagleTimeMix,
    FinchTimeMix,
    RWKVBlock,
    TimeMix,
    TokenShift,
)
from seqlab.nn.time_mix import TimeMixState
from seqlab.ops.wkv import reference

WIDTH, INNER, DEPTH, VOCABULARY = 6, 5, 3, 11
HEADED = {"inner": 16, "heads": 2}  # of eight features: the norm of a head of few makes much of a rounding
every_version = pytest.mark.parametrize("version", [4, 5, 6])


def same(one, other, **tolerances):
    torch.testing.assert_close(one, other, **tolerances)


# ------------------------------------------------------------------------------------------- token shift


def test_token_shift_is_a_causal_convolution_of_two_taps():
    torch.manual_seed(0)
    shift, u = TokenShift(4).double(), torch.randn(2, 7, 4, dtype=torch.float64)
    nn.init.uniform_(shift.mu)
    kernel = torch.stack((1 - shift.mu, shift.mu), dim=1)[:, None]
    true = nn.functional.conv1d(nn.functional.pad(u.mT, (1, 0)), kernel, groups=4).mT
    y, last = shift(u)
    same(y, true)
    same(last, u[:, -1])


def test_token_shift_is_what_the_papers_code_pads():
    """ZeroPad2d((0, 0, 1, -1)) moves every token one place on."""
    torch.manual_seed(0)
    shift, u = TokenShift(4), torch.randn(2, 7, 4)
    before = nn.ZeroPad2d((0, 0, 1, -1))(u)
    same(shift(u)[0], u * shift.mu + before * (1 - shift.mu))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_token_shift_goes_on_from_its_state_and_by_steps(dtype):
    torch.manual_seed(0)
    shift, u = TokenShift(4).to(dtype), torch.randn(2, 7, 4).to(dtype)
    nn.init.uniform_(shift.mu)
    whole, last = shift(u)
    assert last.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    state = None
    for t in range(7):
        y_t, state = shift.step(u[:, t], state)
        same(y_t, whole[:, t])
    first, state = shift(u[:, :3])
    second, state = shift(u[:, 3:], state)
    same(torch.cat((first, second), dim=1), whole)
    same(state, last)
    places = {x.untyped_storage().data_ptr() for x in (u, y_t, second, state, last)}
    assert len(places) == 5


def test_token_shift_names_what_is_wrong():
    shift, u = TokenShift(4), torch.randn(2, 7, 4)
    for call in (lambda: shift(u[..., :3]), lambda: shift(u[0]), lambda: shift.step(u)):
        with pytest.raises(ValueError, match=r"^u(_t)?: expected shape"):
            call()
    with pytest.raises(TypeError, match=r"state: expected dtype torch\.float32"):
        shift(u, torch.zeros(2, 4, dtype=torch.float64))
    with pytest.raises(ValueError, match="state: expected shape"):
        shift.step(u[:, 0], torch.zeros(3, 4))
    for wrong in (0, 4.0):
        with pytest.raises((ValueError, TypeError), match="width: expected"):
            TokenShift(wrong)


# ---------------------------------------------------------------------------------------- the two mixings


def test_time_mixing_is_its_equations():
    """In NumPy: shifts, projections, the sum of chapter 8 and the gate."""
    torch.manual_seed(0)
    layer = TimeMix(4, 5, layer=1, depth=3).double()
    u = torch.randn(2, 9, 4, dtype=torch.float64)
    weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    x = u.numpy()
    before = np.concatenate((0 * x[:, :1], x[:, :-1]), axis=1)
    k, v, r = (
        (weights[f"shift_{letter}.mu"] * x + (1 - weights[f"shift_{letter}.mu"]) * before)
        @ weights[f"{name}.weight"].T
        for letter, name in (("k", "key"), ("v", "value"), ("r", "receptance"))
    )
    average = reference.wkv_sum(np.exp(weights["decay"]), weights["bonus"], k, v)
    y = (average / (1 + np.exp(-r))) @ weights["output.weight"].T
    np.testing.assert_allclose(layer(u)[0].detach(), y, rtol=1e-10)


def test_channel_mixing_is_its_equations():
    torch.manual_seed(0)
    layer = ChannelMix(4, 5).double()
    nn.init.uniform_(layer.shift_k.mu)
    u = torch.randn(2, 9, 4, dtype=torch.float64)
    before = torch.cat((0 * u[:, :1], u[:, :-1]), dim=1)
    k = torch.lerp(before, u, layer.shift_k.mu) @ layer.key.weight.T
    r = torch.lerp(before, u, layer.shift_r.mu) @ layer.receptance.weight.T
    y = torch.sigmoid(r) * (torch.relu(k) ** 2 @ layer.value.weight.T)
    same(layer(u)[0], y)


def test_a_layer_starts_as_the_paper_says():
    width, inner, depth = 8, 6, 4
    for layer in range(depth):
        mix, deep = TimeMix(width, inner, layer, depth), layer / (depth - 1)
        present = [(i / width) ** (1 - layer / depth) for i in range(width)]
        same(mix.shift_k.mu, torch.tensor(present))
        same(mix.shift_v.mu, torch.tensor(present) + 0.3 * deep)
        same(mix.shift_r.mu, torch.tensor(present) ** 0.5)
        decay = [-5 + 8 * (i / (inner - 1)) ** (0.7 + 1.3 * deep) for i in range(inner)]
        same(mix.decay, torch.tensor(decay))
        bonus = [np.log(0.3) + 0.5 * ((i + 1) % 3 - 1) for i in range(inner)]
        same(mix.bonus, torch.tensor(bonus, dtype=torch.float32))
        same(ChannelMix(width, layer=layer, depth=depth).shift_r.mu, torch.tensor(present))


def eagle(layer, x):
    """RWKV-5's time mixing as the paper's section 4.1 has it, token by token, in NumPy: (outputs, S)."""
    p = {name: each.detach().numpy() for name, each in layer.named_parameters()}
    mu = dict(zip("rkvg", 1 - p["mu"], strict=True))  # of the past
    decay = np.exp(-np.exp(p["decay"]))

    def mixed(a, b):
        return {letter: lerp(a, b, share) for letter, share in mu.items()}, decay

    return matrix_loop(layer, p, x, mixed)


def finch(layer, x):
    """RWKV-6's, section 4.2, where low ranks see the data."""
    p = {name: each.detach().numpy() for name, each in layer.named_parameters()}
    A = np.split(p["mix_in.weight"].T, 5, axis=1)
    B = -p["mix_out"]
    lora = {
        letter: lambda z, i=i: 1 - p["mu"][i] + np.tanh(z @ A[i]) @ B[i] for i, letter in enumerate("rkvgw")
    }

    def mixed(a, b):
        z = lerp(a, b, 1 - p["mu_x"])
        x = {letter: lerp(a, b, share(z)) for letter, share in lora.items()}
        d = p["decay"] + np.tanh(x["w"] @ p["decay_in.weight"].T) @ p["decay_out.weight"].T
        return x, np.exp(-np.exp(d))

    return matrix_loop(layer, p, x, mixed)


def lerp(a, b, mu):
    return a + (b - a) * mu


def matrix_loop(layer, p, x, mixed):
    """What both versions do with what they have mixed: x is (batch, length, width)."""
    heads, size = layer.heads, layer.inner // layer.heads
    outputs, last = np.zeros_like(x), np.zeros((len(x), heads, size, size))
    u = p["bonus"].reshape(heads, size)
    for i, sequence in enumerate(x):
        before, S = np.zeros(x.shape[-1]), last[i]
        for t, token in enumerate(sequence):
            of, w = mixed(token, before)
            r, k, v = (
                (p[f"{name}.weight"] @ of[name[0]]).reshape(heads, size)
                for name in ("receptance", "key", "value")
            )
            g = p["gate.weight"] @ of["g"]
            o = np.zeros((heads, size))
            for h, decay in enumerate(np.broadcast_to(w, layer.inner).reshape(heads, size)):
                o[h] = r[h] @ (S[h] + np.diag(u[h]) @ np.outer(k[h], v[h]))
                S[h] = np.diag(decay) @ S[h] + np.outer(k[h], v[h])
            # The code divides by 8 = 64^1/2 in front of a norm with an eps of 1e-5.
            o = (o - o.mean(1, keepdims=True)) / np.sqrt(o.var(1, keepdims=True) + 1e-5 * size)
            o = p["norm.weight"] * o.ravel() + p["norm.bias"]
            outputs[i, t] = p["output.weight"] @ (g / (1 + np.exp(-g)) * o)
            before = token
    return outputs, last


@pytest.mark.parametrize(("kind", "loop"), [(EagleTimeMix, eagle), (FinchTimeMix, finch)])
def test_mixing_with_a_matrix_is_the_equations_of_the_paper(kind, loop):
    layer = randomized(kind(WIDTH, 2, 8, layer=1, depth=3)).double()
    u = torch.randn(2, 21, WIDTH, dtype=torch.float64)
    true, S = loop(layer, u.numpy())
    y, (before, sums) = layer(u)
    np.testing.assert_allclose(y.detach(), true, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(sums.detach(), S, rtol=1e-9, atol=1e-11)
    assert torch.equal(before, u[:, -1])


@pytest.mark.parametrize("kind", [EagleTimeMix, FinchTimeMix])
def test_gradients_of_mixing_with_a_matrix_are_differences(kind):
    """In every parameter, the input, and both parts of the state, through the output and the next state."""
    few = {"rank": 1, "decay_rank": 2} if kind is FinchTimeMix else {}
    layer = randomized(kind(3, 2, 4, layer=1, depth=2, **few)).double()
    names = [name for name, _ in layer.named_parameters()]

    def run(u, before, sums, *values):
        parameters = dict(zip(names, values, strict=True))
        y, state = torch.func.functional_call(layer, parameters, (u, TimeMixState(before, sums)))
        return y, *state

    sizes = (2, 4, 3), (2, 3), (2, 2, 2, 2)
    inputs = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    assert torch.autograd.gradcheck(run, (*inputs, *layer.parameters()))


def test_finch_starts_as_eagle_and_then_sees_the_data():
    torch.manual_seed(0)
    finch, eagle = FinchTimeMix(WIDTH, 2, 8, 1, 3), EagleTimeMix(WIDTH, 2, 8, 1, 3)
    theirs = eagle.state_dict()
    given = finch.state_dict()
    eagle.load_state_dict({name: given[name][:4] if name == "mu" else given[name] for name in theirs})
    u = torch.randn(2, 9, WIDTH)
    same(finch(u)[0], eagle(u)[0])
    nn.init.normal_(finch.decay_in.weight, std=10)
    assert not torch.allclose(finch(u)[0], eagle(u)[0])


@pytest.mark.parametrize("kind", [EagleTimeMix, FinchTimeMix])
def test_a_layer_with_a_matrix_starts_as_the_authors_code_says(kind):
    width, inner, depth = 8, 6, 4
    for layer in range(depth):
        mix, deep = kind(width, 2, inner, layer, depth), layer / (depth - 1)
        present = torch.tensor([(i / width) ** (1 - layer / depth) for i in range(width)])
        for row, share in zip(
            mix.mu, (present**0.5, present, present + 0.3 * deep, present**0.5, present), strict=False
        ):
            same(row, share)
        decay = [-6 + 5 * (i / (inner - 1)) ** (0.7 + 1.3 * deep) for i in range(inner)]
        same(mix.decay, torch.tensor(decay))
        bonus = [deep * (1 - i / (inner - 1)) + 0.1 * ((i + 1) % 3 - 1) for i in range(inner)]
        same(mix.bonus, torch.tensor(bonus))
        same(mix.norm.weight, torch.full((inner,), ((1 + layer) / depth) ** 0.7))
        if kind is FinchTimeMix:
            same(mix.mu_x, present)
            assert len(mix.mu) == 5
            assert not mix.mix_in.weight.any()
            assert not mix.decay_in.weight.any()
            for B in (mix.mix_out, mix.decay_out.weight):
                assert 0.009 < B.abs().max() <= 0.01


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


def test_a_place_is_in_its_model():
    for kind in (TimeMix, ChannelMix, RWKVBlock, EagleTimeMix, FinchTimeMix):
        headed = {"heads": 2} if kind in (EagleTimeMix, FinchTimeMix) else {}
        with pytest.raises(ValueError, match="layer: expected 0 <= layer < depth = 2, got 2"):
            kind(4, layer=2, depth=2, **headed)
        with pytest.raises(TypeError, match="layer: expected an integer"):
            kind(4, layer=0.5, depth=2, **headed)
        with pytest.raises(ValueError, match=r"inner: |hidden: |heads: "):
            kind(4, 0)


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


# ------------------------------------------------------------------------------------ block and language model


def randomized(module):
    """Nothing at a special value, as after training."""
    torch.manual_seed(0)
    for name, p in module.named_parameters():
        if name.endswith("mu"):
            nn.init.uniform_(p)
        elif p.ndim == 2:
            nn.init.normal_(p, std=1.5 * p.shape[1] ** -0.5)
        elif not name.endswith("decay"):
            p.data += 0.3 * torch.randn_like(p)
    return module


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


# ------------------------------------------------------------------------------------------- transformers


@pytest.fixture(scope="module")
def transformers():
    import transformers

    return transformers


def theirs(transformers, **options):
    """A model of transformers with random weights, in evaluation."""
    sizes = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": DEPTH, "rescale_every": 0}
    config = transformers.RwkvConfig(**{**sizes, **options})
    return randomized(transformers.RwkvForCausalLM(config)).eval()


def states_of(output, layer):
    """Our state of a block, from theirs of all."""
    mixed, before, a, b, m = (part[:, :, layer] for part in output.state)
    return before, torch.stack((a / b, torch.ones_like(b), m + b.log()), dim=1), mixed


@pytest.mark.parametrize("form", ["safetensors", "bin", "shards"])
def test_logits_and_states_after_every_token_are_those_of_transformers(transformers, tokens, tmp_path, form):
    true = theirs(transformers)
    if form == "bin":
        true.config.save_pretrained(tmp_path)
        torch.save(true.state_dict(), tmp_path / "pytorch_model.bin")
    else:
        true.save_pretrained(tmp_path, max_shard_size="2KB" if form == "shards" else "1GB")
    model = RWKV.from_pretrained(tmp_path)
    assert form != "shards" or len(list(tmp_path.glob("*.safetensors"))) > 1
    with torch.no_grad():
        same(model(tokens)[0], true(tokens).logits, rtol=1e-4, atol=1e-4)
        theirs_so_far, ours_so_far = None, None
        # One sequence: in a step of one token, theirs mixes the sequences of a batch with each other.
        for token in tokens[0]:
            output = true(token[None, None], state=theirs_so_far, use_cache=True)
            theirs_so_far = output.state
            logits, ours_so_far = model.step(token[None], ours_so_far)
            same(logits, output.logits[:, 0], rtol=1e-4, atol=1e-4)
            for layer, state in enumerate(ours_so_far):
                same(tuple(state), states_of(output, layer), rtol=1e-4, atol=1e-4)


def test_generation_is_that_of_transformers(transformers, tokens, tmp_path):
    true = theirs(transformers, bos_token_id=None, eos_token_id=None)
    true.save_pretrained(tmp_path)
    model = RWKV.from_pretrained(tmp_path)
    texts = []
    for prompt in (tokens[:1, :5], tokens[1:, :5], tokens[1:, 4:9]):
        texts += true.generate(prompt, max_new_tokens=25, do_sample=False)[:, 5:].tolist()
        assert model.generate(prompt, 25, temperature=0).tolist() == texts[-1:]
    assert max(len(set(text)) for text in texts) > 2


def test_what_transformers_halves_between_blocks_changes_what_eps_is_to_a_norm(
    transformers, tokens, tmp_path
):
    """Halved after each of three blocks; without any eps the logits are the same."""
    true = theirs(transformers, rescale_every=1, layer_norm_epsilon=0.0)
    true.save_pretrained(tmp_path)  # before the first call, which changes the weights
    model = RWKV.from_pretrained(tmp_path)
    true.rwkv.ln_out.eps = model.norm.eps = 0.0
    output = true(tokens, output_hidden_states=True)
    same(model(tokens)[0], output.logits, rtol=1e-4, atol=1e-4)
    first, _ = model.blocks[0](model.input_norm(model.embedding(tokens)))
    same(output.hidden_states[0], first / 2)


def test_two_faults_of_transformers_that_chapter_8_names(transformers, tokens):
    """The chapter names the release; where another one has mended them, it has to say so."""
    if not transformers.__version__.startswith("5.24."):
        pytest.skip(f"chapter 8 speaks of release 5.24, this is {transformers.__version__}")
    true = theirs(transformers)
    one_by_one = torch.cat([true(token[:1][None]).logits for token in tokens])
    together = true(tokens[:, :1]).logits
    assert not torch.allclose(together, one_by_one, atol=1e-2)
    same(true(tokens[:, :2]).logits[:, :1], one_by_one, rtol=1e-4, atol=1e-4)
    fresh = transformers.RwkvForCausalLM(transformers.RwkvConfig(vocab_size=3, hidden_size=8))
    first = [block.attention.time_first for block in fresh.rwkv.blocks]
    assert all(torch.equal(each, torch.ones_like(each)) for each in first)


def test_other_widths_and_tied_embeddings_are_read(transformers, tokens, tmp_path):
    true = theirs(transformers, attention_hidden_size=4, intermediate_size=7, tie_word_embeddings=True)
    true.save_pretrained(tmp_path)
    model = RWKV.from_pretrained(tmp_path)
    same(model(tokens)[0], true(tokens, use_cache=False).logits, rtol=1e-4, atol=1e-4)


def test_it_comes_in_the_default_dtype(transformers, tmp_path):
    theirs(transformers).half().save_pretrained(tmp_path)
    assert {p.dtype for p in RWKV.from_pretrained(tmp_path).parameters()} == {torch.float32}


def test_what_is_no_checkpoint_of_it_is_refused(transformers, tmp_path):
    good = tmp_path / "good"
    theirs(transformers).save_pretrained(good)

    def changed(**entries):
        folder = tmp_path / "changed"
        shutil.copytree(good, folder, dirs_exist_ok=True)
        config = json.loads((good / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **entries}))
        return folder

    for entries, words in (
        ({"model_type": "mamba"}, "model_type is 'rwkv', got 'mamba'"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers = 1000000000 blocks"),
        ({"num_hidden_layers": 2}, "num_hidden_layers = 2 blocks"),
        ({"hidden_size": 10**6}, r"expected floating-point numbers of shape \(.*1000000"),
        ({"vocab_size": 12}, r"expected floating-point numbers of shape \(12, 6\)"),
        ({"intermediate_size": 3}, "expected floating-point numbers of shape"),
        ({"attention_hidden_size": -1}, "^attention_hidden_size: expected"),
        ({"layer_norm_epsilon": -1}, "^layer_norm_epsilon: expected"),
        ({"hidden_size": 2**40}, "^path: expected sizes of tensors in .+config.json, got too large ones"),
    ):
        with pytest.raises(ValueError, match=words):
            RWKV.from_pretrained(changed(**entries))
    base = tmp_path / "base"
    theirs(transformers).rwkv.save_pretrained(base)
    with pytest.raises(ValueError, match="path: expected"):
        RWKV.from_pretrained(base)
    with pytest.raises(FileNotFoundError, match="nothing is downloaded"):
        RWKV.from_pretrained("RWKV/rwkv-4-169m-pile")
