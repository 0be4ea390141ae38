"""Mamba: its initialization, its gate over several layers, its language model, and checkpoints of transformers."""

import json
import math
import os
import pickle
from time import process_time

import pytest
import torch
from layers import error
from torch.nn.functional import cross_entropy, softplus

from seqlab.nn import H3, LRU, S4D, S6, H3Block, Mamba, MambaBlock, ResidualBlock, SequenceModel

VOCABULARY = 11
SIZES = {"vocabulary": VOCABULARY, "width": 8, "depth": 2, "state_size": 3}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Mamba(**SIZES)


@pytest.fixture
def tokens():
    return torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------------------------------------- layers


def test_steps_start_between_the_two_bounds_and_A_at_minus_1_to_minus_n():
    torch.manual_seed(0)
    layer = S6(400, 5, dt_min=1e-3, dt_max=1e-1)
    dt = softplus(layer.dt_proj.bias.double())
    assert dt.min() >= 0.999e-3
    assert dt.max() <= 1.001e-1
    assert abs(dt.log().mean() - math.log(1e-2)) < 0.2  # all orders of magnitude alike
    assert torch.allclose(-torch.exp(layer.A_log), -torch.arange(1.0, 6).expand(400, 5))
    assert layer.rank == 25
    assert S6(17).rank == 2


def test_a_selection_is_what_the_layer_scans_with():
    torch.manual_seed(0)
    layer = S6(4, 3).double()
    u = torch.randn(2, 6, 4, dtype=torch.float64)
    dt, B, C = layer.selection(u)
    h, A = torch.zeros(2, 4, 3, dtype=torch.float64), -torch.exp(layer.A_log)
    for t in range(6):
        h = torch.exp(dt[:, t, :, None] * A) * h + (dt[:, t] * u[:, t])[..., None] * B[:, t, None]
        y_t = (h * C[:, t, None]).sum(-1) + layer.D * u[:, t]
        torch.testing.assert_close(layer(u)[0][:, t], y_t, rtol=1e-12, atol=1e-12)


def test_a_gate_of_another_kind_is_refused_by_its_name():
    layer, u = S6(4, 3), torch.randn(2, 6, 4)
    for z, kind, words in (
        (0.5, TypeError, "expected a torch.Tensor, got float"),
        (u.int(), TypeError, "expected dtype torch.float32 like the layer, got torch.int32"),
        (u.cfloat(), TypeError, "expected dtype torch.float32 like the layer, got torch.complex64"),
        (u[:, :5], ValueError, r"expected shape \(batch, length, channels\) = \(2, 6, 4\) like u, got"),
    ):
        with pytest.raises(kind, match=f"^z: {words}"):
            layer(u, z=z)
    for z in (0.5, u[:, 0].int()):
        with pytest.raises(TypeError, match=r"^z_t: expected "):
            layer.step(u[:, 0], z_t=z)


@pytest.mark.parametrize("inner", [S6, lambda width: S4D(width, 5), lambda width: LRU(width, 5)])
def test_every_inner_layer_fits_mambas_block_h3s_and_a_plain_one(inner):
    """The rows of the paper's table of block against inner layer that are built of what is here."""
    torch.manual_seed(0)
    u = torch.randn(2, 7, 4)
    for layer in (MambaBlock(4, layer=inner), H3Block(4, inner), ResidualBlock(inner(4), 4)):
        y, last = layer.double()(u.double())
        state = None
        for t, u_t in enumerate(u.double().unbind(dim=1)):
            y_t, state = layer.step(u_t, state)
            torch.testing.assert_close(y_t, y[:, t], rtol=0, atol=1e-12)
        torch.testing.assert_close(state, last, rtol=0, atol=1e-12)
    model = SequenceModel(inner, 4, 6, 2, 3, pool=False)
    assert model(u).shape == (2, 7, 3)


def test_h3s_block_around_an_s4d_is_h3():
    torch.manual_seed(0)
    h3, block = H3(4, 5), H3Block(4, lambda width: S4D(width, 5))
    for name in ("query", "key", "value", "out"):
        setattr(block, name, getattr(h3, name))
    block.conv.taps, block.layer = h3.taps, h3.memory
    u = torch.randn(2, 9, 4)
    assert error(block(u)[0], h3(u)[0]) < 1e-5


def test_a_fixed_layer_in_mambas_block_has_no_selection():
    with pytest.raises(ValueError, match=r"^selection: expected a block with S6 inside, got LRU"):
        MambaBlock(4, layer=lambda width: LRU(width, 5)).selection(torch.randn(1, 2, 4))


# ---------------------------------------------------------------------------------------- the language model


def test_steps_and_pieces_are_the_whole(model, tokens):
    model.double()
    logits, last = model(tokens)
    assert logits.shape == (2, 9, VOCABULARY)
    state = None
    for t, token_t in enumerate(tokens.unbind(dim=1)):
        one, state = model.step(token_t, state)
        torch.testing.assert_close(one, logits[:, t], rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-12)
    _, middle = model(tokens[:, :4])
    rest, after = model(tokens[:, 4:], middle)
    torch.testing.assert_close(rest, logits[:, 4:], rtol=0, atol=1e-12)
    torch.testing.assert_close(after, last, rtol=0, atol=1e-12)


def test_a_state_has_one_size_however_long_the_text_is(model, tokens):
    sizes = []
    for length in (1, 3, 9):
        _, state = model(tokens[:, :length])
        sizes.append([part.shape for block in state for part in block])
    assert sizes[0] == sizes[1] == sizes[2]


def test_generation_takes_the_likeliest_token_or_draws_one(model, tokens):
    written = model.generate(tokens, 5, temperature=0)
    assert written.shape == (2, 5)
    text = tokens
    for t in range(5):
        logits, _ = model(text)
        assert torch.equal(logits[:, -1].argmax(-1), written[:, t])
        text = torch.cat([text, written[:, t : t + 1]], dim=1)
    drawn = [model.generate(tokens, 40, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*drawn)
    assert len(drawn[0].unique()) > 5
    for temperature in (1e-45, 5e-324):  # 0 in float32, and the least number there is
        assert torch.equal(model.generate(tokens, 5, temperature), written)


def test_selections_are_of_every_block_and_token(model, tokens):
    found = model.selections(tokens)
    assert len(found) == 2
    assert {each.dt.shape for each in found} == {(2, 9, 16)}
    assert {each.B.shape for each in found} == {each.C.shape for each in found} == {(2, 9, 3)}
    assert all((each.dt > 0).all() for each in found)


def test_it_learns_to_repeat(model):
    random = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        text = torch.randint(VOCABULARY, (16, 8), generator=random).repeat_interleave(2, dim=1)
        logits, _ = model(text)
        loss = cross_entropy(logits[:, :-1:2].flatten(0, 1), text[:, 1::2].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2 * math.log(VOCABULARY)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (torch.zeros(2, 3), TypeError, "tokens: expected int64, got torch.float32"),
        (torch.zeros(3, dtype=torch.int64), ValueError, "tokens: expected shape (batch, length), got (3,)"),
        ([1, 2], TypeError, "tokens: expected a torch.Tensor, got list"),
    ],
)
def test_wrong_tokens_are_refused_in_a_sentence(model, wrong, kind, message):
    with pytest.raises(kind) as caught:
        model(wrong)
    assert str(caught.value) == message


def test_a_wrong_state_is_refused_in_a_sentence(model, tokens):
    _, state = model(tokens)
    for wrong in (state[:1], "state", state[0][0]):
        with pytest.raises(TypeError, match=r"^state: expected a tuple of the states of 2 blocks, got "):
            model(tokens, wrong)


# ---------------------------------------------------------------------------------------------- checkpoints


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers")


def saved(transformers, folder, seed=0, **options):
    """A tiny random model of transformers, saved, with weights far from where they start."""
    torch.manual_seed(seed)
    config = transformers.MambaConfig(
        **{
            "vocab_size": VOCABULARY,
            "hidden_size": 12,
            "state_size": 5,
            "num_hidden_layers": 2,
            "use_associative_scan": False,
            **options,
        }
    )
    theirs = transformers.MambaForCausalLM(config).eval()
    with torch.no_grad():
        for x in theirs.parameters():
            x += 0.2 * torch.randn_like(x)
    theirs.save_pretrained(folder)
    return theirs


KINDS = {
    "tied": {},
    "untied": {"tie_word_embeddings": False},
    "other sizes": {"expand": 3, "conv_kernel": 3, "time_step_rank": 3, "layer_norm_epsilon": 1e-2},
    "biases": {"use_bias": True, "use_conv_bias": False},
}


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_every_tokens_state_are_those_of_transformers(transformers, tmp_path, tokens, kind):
    theirs = saved(transformers, tmp_path, **KINDS[kind])
    ours = Mamba.from_pretrained(tmp_path)
    with torch.no_grad():
        logits, last = ours(tokens)
        assert error(logits, theirs(tokens).logits) < 1e-4
        state = cache = None
        for t, token_t in enumerate(tokens.unbind(dim=1)):
            one, state = ours.step(token_t, state)
            assert error(one, logits[:, t]) < 1e-4
            answer = theirs(token_t[:, None], cache=cache, use_cache=True)
            cache = answer.cache
            for i, (window, ssm) in enumerate(state):
                assert error(ssm, cache.get_recurrent_state(i, state_idx=0)) < 1e-4
                seen = cache.get_conv_state(i, state_idx=0).mT[:, -window.shape[1] :]
                assert error(window, seen) < 1e-4
    torch.testing.assert_close(state, last, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_generation_is_that_of_transformers(transformers, tmp_path, tokens, kind):
    theirs = saved(transformers, tmp_path, **KINDS[kind])
    written = Mamba.from_pretrained(tmp_path).generate(tokens, 8, temperature=0)
    everywhere = torch.ones_like(tokens)  # else tokens that are 0 would count as padding
    expected = theirs.generate(
        tokens,
        attention_mask=everywhere,
        max_new_tokens=8,
        min_new_tokens=8,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert torch.equal(written, expected[:, tokens.shape[1] :])


def as_bin(folder):
    """The checkpoint's tensors in a .bin file, as older ones have them."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    os.remove(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    return tensors


def test_a_checkpoint_in_a_bin_file_with_older_names_and_the_embeddings_twice(transformers, tmp_path, tokens):
    saved(transformers, tmp_path)
    expected, _ = Mamba.from_pretrained(tmp_path)(tokens)
    tensors = as_bin(tmp_path)
    tensors["backbone.embedding.weight"] = tensors.pop("backbone.embeddings.weight")
    tensors["lm_head.weight"] = tensors["backbone.embedding.weight"]
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    found = Mamba.from_pretrained(str(tmp_path))
    assert torch.equal(found(tokens)[0], expected)
    assert found.head is None


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("was_run",)


def edit_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_damaged_foreign_and_hostile_checkpoints_get_a_sentence(transformers, tmp_path, monkeypatch):
    """And nothing in them is run."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoint"

    def refused(match, kind=ValueError):
        with pytest.raises(kind, match=match):
            Mamba.from_pretrained(folder)

    refused("^path: expected a folder with a checkpoint", FileNotFoundError)
    saved(transformers, folder)
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}

    def restore():
        for file in folder.iterdir():
            file.unlink()
        for name, content in kept.items():
            (folder / name).write_bytes(content)

    for changes, match in (
        ({"model_type": "rwkv"}, "^path: expected a checkpoint whose model_type is 'mamba', got 'rwkv'"),
        ({"num_hidden_layers": 10**9}, "^path: expected num_hidden_layers = 1000000000 blocks in .+, got 2"),
        ({"state_size": 6}, r"expected floating-point numbers of shape"),
        ({"state_size": 10**12}, r"expected floating-point numbers of shape"),
        ({"hidden_act": "gelu"}, "^hidden_act: expected 'silu', got 'gelu'"),
        ({"vocab_size": -1}, "^vocab_size: expected an integer from 1"),
        ({"tie_word_embeddings": False}, r"^path: expected tensors 'lm_head.weight' in"),
        ({"use_bias": True}, r"^path: expected tensors 'backbone.layers.0.mixer.in_proj.bias'"),
    ):
        edit_config(folder, **changes)
        refused(match)
        restore()
    for changes in (
        {"use_bias": "yes"},
        {"time_step_rank": "large"},
        {"expand": None, "intermediate_size": None},
    ):
        edit_config(folder, **changes)
        refused("^(use_bias|time_step_rank|expand): expected ", TypeError)
        restore()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused("^path: expected tensors in .+, got a damaged file")
    restore()
    tensors = as_bin(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({**tensors, "more": Hostile()}, protocol=2))
    refused("none of which was run")
    torch.save({**tensors, "more": Hostile()}, folder / "pytorch_model.bin")
    refused("none of which was run")
    assert not (tmp_path / "was_run").exists()
    del tensors["backbone.norm_f.weight"]
    torch.save(tensors, folder / "pytorch_model.bin")
    refused("^path: expected tensors 'backbone.norm_f.weight'")


@pytest.mark.slow
@pytest.mark.timing
def test_a_training_step_on_a_cpu_takes_a_fifth_of_that_of_transformers(transformers, tmp_path):
    """At most, in seconds of the processor, over 512 tokens, where both have the same gradients."""
    theirs = saved(transformers, tmp_path, hidden_size=64, state_size=16, num_hidden_layers=1).train()
    ours = Mamba.from_pretrained(tmp_path)
    text = torch.randint(VOCABULARY, (1, 513), generator=torch.Generator().manual_seed(0))

    def step(model, logits_of):
        model.zero_grad()
        started = process_time()
        cross_entropy(logits_of(text[:, :-1])[0], text[0, 1:]).backward()
        return process_time() - started, next(model.parameters()).grad

    of_ours = [step(ours, lambda tokens: ours(tokens)[0]) for _ in range(3)]
    seconds, gradient = step(theirs, lambda tokens: theirs(tokens, use_cache=False).logits)
    assert min(each for each, _ in of_ours) < seconds / 5
    assert error(of_ours[-1][1], gradient) < 1e-4
