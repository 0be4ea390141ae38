"""xLSTM-7B's variant of xLSTM, and checkpoints of transformers."""

import json
from importlib.util import find_spec

import pytest
import torch
from layers import error

from seqlab.nn import CappedMLSTM, XLSTMLarge

VOCABULARY = 11


@pytest.fixture
def tokens():
    return torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers", reason="transformers is not installed")


def test_no_folder_of_tests_passes_for_the_package_of_that_name():
    """transformers takes what Python finds as xlstm for the package: tests/ops/xlstm, were tests/ops on its path."""
    found = find_spec("xlstm")
    assert found is None or found.origin


def saved(transformers, folder, **options):
    """A tiny random model of transformers, saved, with weights far from where they start."""
    torch.manual_seed(0)
    config = transformers.xLSTMConfig(
        **{
            "vocab_size": VOCABULARY,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_heads": 2,
            "chunk_size": 4,
            "autocast_kernel_dtype": "float32",
            **options,
        }
    )
    theirs = transformers.xLSTMForCausalLM(config).eval()
    with torch.no_grad():
        for name, x in theirs.named_parameters():
            x += 0.3 * torch.randn_like(x)
            if "igate_preact.bias" in name:  # -10 to begin with: a memory that is hardly written
                x += 9
    theirs.save_pretrained(folder)
    return theirs


KINDS = {
    "as released": {},
    "other sizes": {
        "qk_dim_factor": 1.0,
        "v_dim_factor": 2.0,
        "ffn_proj_factor": 1.5,
        "ffn_round_up_to_multiple_of": 8,
        "gate_soft_cap": 4.0,
        "output_logit_soft_cap": 5.0,
        "norm_eps": 1e-3,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(transformers, tmp_path, tokens, kind):
    theirs = saved(transformers, tmp_path, **KINDS[kind])
    ours = XLSTMLarge.from_pretrained(tmp_path)
    with torch.no_grad():
        logits, last = ours(tokens)
        # Their cache has heads of other sizes than their layers where width is no multiple of 64.
        assert error(logits, theirs(tokens, use_cache=False).logits) < 1e-4
        state = None
        for t, token_t in enumerate(tokens.unbind(dim=1)):
            one, state = ours.step(token_t, state)
            assert error(one, logits[:, t]) < 1e-4
    torch.testing.assert_close(state, last, rtol=1e-4, atol=1e-4)


def test_its_logits_and_gates_are_capped(tokens):
    torch.manual_seed(0)
    model = XLSTMLarge(VOCABULARY, 8, 1, heads=2, logit_cap=2.0)
    with torch.no_grad():
        model.head.weight *= 1e3
        model.blocks[0].layer.input_gate.weight *= 1e6
    logits, state = model(tokens)
    assert 1.9 < logits.abs().max() <= 2
    assert state[0].m.abs().max() <= 15


def test_sizes_that_do_not_fit_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"^keys: expected a multiple of heads = 3, got 4"):
        CappedMLSTM(8, 3)
    with pytest.raises(
        ValueError, match=r"^values: expected at least 2 features in each of 8 heads, got 8 in all"
    ):
        CappedMLSTM(8, keys=8)
    with pytest.raises(ValueError, match=r"^cap: expected a positive number, got 0"):
        CappedMLSTM(8, 2, cap=0)


def test_checkpoints_of_other_forms_get_a_sentence(transformers, tmp_path):
    saved(transformers, tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    for changes, match in (
        ({"model_type": "mamba"}, "^path: expected a checkpoint whose model_type is 'xlstm', got 'mamba'"),
        ({"weight_mode": "fused"}, "^weight_mode: expected one of 'single', got 'fused'"),
        ({"use_bias": True}, "^use_bias: expected False, got True"),
        ({"num_hidden_layers": 3}, "^path: expected num_hidden_layers = 3 blocks in .+, got 2"),
        ({"qk_dim_factor": 1.0}, "expected floating-point numbers of shape"),
    ):
        file.write_text(json.dumps({**config, **changes}))
        with pytest.raises(ValueError, match=match):
            XLSTMLarge.from_pretrained(tmp_path)
