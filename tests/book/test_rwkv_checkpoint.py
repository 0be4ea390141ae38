"""The cell of chapter 8 that reads a trained RWKV-4: on Colab it generates by the checkpoint; elsewhere, and where
there is no network, it says so, and the model of the page writes. Nothing is downloaded here."""

import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
import torch

from seqlab.chapters import CHAPTERS

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / f"{CHAPTERS[8]}.ipynb"
NAME, PROMPT = "RWKV/rwkv-4-169m-pile", "The value of the"
BY_THE_PAGE = f"{PROMPT} page's own model."
huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def run(capsys):
    """Run the cell behind stand-ins for what earlier cells made; returns what it printed, on one line."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    (source,) = (cell.source for cell in cells if f'"{NAME}"' in cell.source)

    def write(model, prompt, seed):
        assert (model, prompt) == ("trained here", f"{PROMPT} ")
        return BY_THE_PAGE

    def run():
        earlier = {"sys": sys, "textwrap": textwrap, "torch": torch, "device": "cpu"}
        exec(source, {**earlier, "write": write, "trained": {"WKV": "trained here"}})
        return " ".join(capsys.readouterr().out.split())

    return run


@pytest.fixture
def checkpoint(folder_of):
    """A folder as the hub's: a small RWKV-4 that has learned nothing, and a tokenizer of whole words."""
    transformers = pytest.importorskip("transformers")
    words = ["?", *PROMPT.split(), "house", "number"]
    config = transformers.RwkvConfig(vocab_size=len(words), hidden_size=8, num_hidden_layers=2)
    return folder_of(transformers.RwkvForCausalLM(config), words)


def test_outside_of_colab_nothing_is_asked_of_the_network(run, monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)  # whoever calls it fails
    said = run()
    assert said.startswith(f"{NAME} is not here: nothing is downloaded outside of Colab.")
    assert said.endswith(BY_THE_PAGE)


def test_on_colab_the_checkpoint_writes(run, colab, checkpoint, monkeypatch):
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name: asked.append(name) or str(checkpoint)
    )
    said = run()
    assert asked == [NAME]
    assert BY_THE_PAGE not in said
    words = said.split()
    assert words[:4] == PROMPT.split()
    assert len(words) == 4 + 60


def test_on_colab_without_a_network_the_page_says_so_and_its_own_model_writes(run, colab, no_network):
    said = run()
    assert said.startswith(f"{NAME} is not here: LocalEntryNotFoundError: ")
    assert "check your internet connection and try again. The model" in said
    assert said.endswith(BY_THE_PAGE)


def test_on_colab_without_a_package_the_page_says_which(run, colab, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    said = run()
    assert said.startswith(f"{NAME} is not here: ModuleNotFoundError: ")
    assert "huggingface_hub" in said
    assert said.endswith(BY_THE_PAGE)
