"""What tests of cells that open a checkpoint share: Colab, and the hub of checkpoints, without a network."""

import sys
from types import ModuleType

import pytest


@pytest.fixture
def colab(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """The hub's own function, which reaches nobody, and finds nothing kept from before."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    download = huggingface_hub.snapshot_download
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name: download(name, cache_dir=tmp_path, endpoint="http://127.0.0.1:9"),
    )


@pytest.fixture
def folder_of(tmp_path):
    """folder_of(model, words) is one as the hub's: the model, and a tokenizer of these whole words."""

    def save(model, words):
        tokenizers = pytest.importorskip("tokenizers")
        transformers = pytest.importorskip("transformers")
        vocabulary = {word: n for n, word in enumerate(words)}
        tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=words[0]))
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
        transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path)
        model.save_pretrained(tmp_path)
        return tmp_path

    return save
