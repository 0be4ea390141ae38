"""RWKV-4 with weights from transformers: its logits, states and texts, and files that are refused."""

import json
import shutil

import pytest
import torch
from rwkv_models import DEPTH, VOCABULARY, WIDTH, randomized, same

from seqlab.nn import RWKV


@pytest.fixture
def tokens():
    return torch.randint(VOCABULARY, (2, 13), generator=torch.Generator().manual_seed(0))


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


def test_two_faults_of_transformers_that_ours_is_not_held_to(transformers, tokens):
    """Why a step above has one sequence alone, and why all weights there are drawn anew."""
    if not transformers.__version__.startswith("5.24."):
        pytest.skip(f"release 5.24 has them, this is {transformers.__version__}")
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
