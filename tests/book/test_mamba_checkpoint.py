"""The cells of chapter 10 that open a trained Mamba: on Colab its steps over a sentence are drawn; elsewhere, and where
there is no network, the page says so and draws its own model. Nothing is downloaded here."""

import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
import torch

from seqlab.chapters import CHAPTERS
from seqlab.nn import Mamba

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / f"{CHAPTERS[10]}.ipynb"
NAME = "state-spaces/mamba-130m-hf"
huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def run(capsys):
    """Run the cell; returns the names it makes, and what it printed, on one line."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    (at,) = (i for i, cell in enumerate(cells) if f'"{NAME}"' in cell.source and cell.cell_type == "code")

    def run():
        made = {"sys": sys, "textwrap": textwrap, "torch": torch, "Mamba": Mamba}
        exec(cells[at].source, made)
        if made["checkpoint"] is not None:
            exec(cells[at + 1].source, made)  # what of it is drawn
        return made, " ".join(capsys.readouterr().out.split())

    return run


@pytest.fixture
def checkpoint(folder_of):
    """A folder as the hub's: a small Mamba that has learned nothing, and a tokenizer of whole words."""
    transformers = pytest.importorskip("transformers")
    words = "?", "The", "capital", "of", "is", "Paris."
    config = transformers.MambaConfig(
        vocab_size=len(words), hidden_size=8, state_size=3, num_hidden_layers=3, use_associative_scan=False
    )
    return folder_of(transformers.MambaForCausalLM(config), words)


def test_outside_of_colab_nothing_is_asked_of_the_network(run, monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)  # whoever calls it fails
    made, said = run()
    assert made["checkpoint"] is None
    assert said.startswith(f"{NAME} is not here: nothing is downloaded outside of Colab.")
    assert said.endswith("The model trained on this page is drawn instead.")


def test_on_colab_the_checkpoint_chooses_a_step_for_each_token_of_the_sentence(
    run, colab, checkpoint, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name: asked.append(name) or str(checkpoint)
    )
    made, said = run()
    assert (asked, said) == ([NAME], "")
    assert len(made["names"]) == len(made["SENTENCE"].split())
    assert made["names"][:2] == ["The", "capital"]
    model, _ = made["checkpoint"]
    expected = model.selections(made["ids"])[1].dt[0].mean(1)
    assert torch.equal(made["bars"]["mean of all channels"], expected)
    assert expected.shape == (len(made["names"]),)
    assert (expected > 0).all()


def test_on_colab_without_a_network_the_page_says_so(run, colab, no_network):
    made, said = run()
    assert made["checkpoint"] is None
    assert said.startswith(f"{NAME} is not here: LocalEntryNotFoundError: ")
    assert said.endswith("The model trained on this page is drawn instead.")


def test_on_colab_without_a_package_the_page_says_which(run, colab, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    made, said = run()
    assert made["checkpoint"] is None
    assert said.startswith(f"{NAME} is not here: ModuleNotFoundError: ")
    assert "huggingface_hub" in said
