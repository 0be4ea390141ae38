"""Checkpoints: every form that transformers saves is read; what is damaged, foreign or hostile gets a sentence."""

import json
import pickle
import re
import struct
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from seqlab.nn.checkpoint import fill, made_of, read_config, read_tensors

MARK = []


def detonate():
    MARK.append("ran")


class Bomb:
    """What a pickle can hold: a call of any function, made when it is read."""

    def __reduce__(self):
        return detonate, ()


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    return {"a.weight": torch.randn(3, 2), "a.bias": torch.randn(3), "b.weight": torch.randn(1, 3)}


@pytest.fixture
def model():
    return nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(3, 1, bias=False)})


def refused(kind, call, *words):
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert re.match(r"^[\w.]+: expected .+, got .+", message), message
    for word in words:
        assert word in message, message


def write_index(folder, name, weight_map):
    (folder / f"{name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def saved(folder, tensors, form):
    if form == "safetensors":
        save_file(tensors, folder / "model.safetensors")
    elif form == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    elif form == "old bin":
        torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    else:
        weight_map = {}
        for i, (name, x) in enumerate(tensors.items()):
            suffix, write = (".safetensors", save_file) if "safe" in form else (".bin", torch.save)
            write({name: x}, folder / f"part-{i}{suffix}")
            weight_map[name] = f"part-{i}{suffix}"
        write_index(folder, "model.safetensors" if "safe" in form else "pytorch_model.bin", weight_map)


@pytest.mark.parametrize("form", ["safetensors", "bin", "old bin", "shards of safetensors", "shards of bin"])
def test_every_form_is_read(tmp_path, tensors, form):
    saved(tmp_path, tensors, form)
    found = read_tensors(tmp_path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], x) for name, x in tensors.items())


def test_safetensors_come_before_a_pickle(tmp_path, tensors):
    saved(tmp_path, tensors, "safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    assert read_tensors(str(tmp_path)).keys() == tensors.keys()


@pytest.mark.parametrize("where", ["whole", "among tensors", "in a zip"])
def test_code_in_a_pickle_is_not_run(tmp_path, tensors, where):
    file = tmp_path / "pytorch_model.bin"
    if where == "whole":
        file.write_bytes(pickle.dumps(Bomb(), protocol=2))
    elif where == "among tensors":
        torch.save({**tensors, "b.weight": Bomb()}, file)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Bomb(), protocol=2))
            archive.writestr("archive/version", "3")
            archive.writestr("archive/byteorder", "little")
    refused(ValueError, lambda: read_tensors(tmp_path), "pytorch_model.bin")
    assert not MARK
    # The same file is a bomb to who trusts it.
    if where == "among tensors":
        torch.load(file, weights_only=False)
        assert MARK.pop() == "ran"


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"a": 1.0},
        {1: torch.ones(2)},
        {"a": torch.ones(2).to_sparse()},
        {"a": torch.ones(2, device="meta")},
        {"a": {"b": torch.ones(2)}},
    ],
)
def test_what_is_no_tensor_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "pytorch_model.bin")
    refused(ValueError, lambda: read_tensors(tmp_path), "pytorch_model.bin")


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_model_is_refused(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "pytorch_model.bin")
    refused(ValueError, lambda: read_tensors(tmp_path), "pytorch_model.bin")


@pytest.mark.parametrize("form", ["safetensors", "bin", "old bin"])
@pytest.mark.parametrize("kept", [0, 1, 7, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(tmp_path, tensors, form, kept):
    saved(tmp_path, tensors, form)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    refused(ValueError, lambda: read_tensors(tmp_path), file.name)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["safetensors", "bin", "old bin"])
def test_a_file_with_wrong_bytes_is_read_or_refused(tmp_path, tensors, form):
    saved(tmp_path, tensors, form)
    (file,) = tmp_path.iterdir()
    whole, random, refusals = file.read_bytes(), np.random.default_rng(0), []
    for _ in range(150):
        wrong = bytearray(whole)
        wrong[random.integers(len(whole) if form == "safetensors" else 600)] = random.integers(256)
        file.write_bytes(wrong)
        try:
            assert all(isinstance(x, torch.Tensor) for x in read_tensors(tmp_path).values())
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 10
    assert all(sentence.startswith("path: expected") for sentence in refusals)


def header(**entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**9) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        header(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}) + bytes(8),
        header(a={"dtype": "F32", "shape": [200], "data_offsets": [0, 8]}) + bytes(8),
        header(a={"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 8]}) + bytes(8),
        header(a={"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}) + bytes(8),
        header(a={"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}) + bytes(8),
        header(a={"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}) + bytes(8),
        header(
            a={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            b={"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        )
        + bytes(12),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    refused(ValueError, lambda: read_tensors(tmp_path), "model.safetensors")


def test_shards_lie_in_the_folder_and_are_all_there(tmp_path, tensors):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    saved(folder, tensors, "shards of safetensors")
    save_file(tensors, tmp_path / "elsewhere.safetensors")
    elsewhere = "../elsewhere.safetensors", str(tmp_path / "elsewhere.safetensors")
    for wrong in (*elsewhere, "a.bin", "", 3, None, ["part-0.safetensors"]):
        write_index(folder, "model.safetensors", {"a.weight": wrong})
        refused(ValueError, lambda: read_tensors(folder), "weight_map")
    write_index(folder, "model.safetensors", {"a.weight": "gone.safetensors"})
    refused(FileNotFoundError, lambda: read_tensors(folder), "gone.safetensors")
    save_file(tensors, folder / "again.safetensors")
    write_index(folder, "model.safetensors", {"a": "again.safetensors", "b": "part-0.safetensors"})
    refused(ValueError, lambda: read_tensors(folder), "in two")
    (folder / "model.safetensors.index.json").write_text("{}")
    refused(ValueError, lambda: read_tensors(folder), "weight_map")


def test_without_safetensors_the_sentence_says_what_to_install(tmp_path, tensors, monkeypatch):
    saved(tmp_path, tensors, "safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match="pip install safetensors"):
        read_tensors(tmp_path)


def test_a_config_is_of_its_model_and_has_its_sizes(tmp_path):
    file = tmp_path / "config.json"
    refused(FileNotFoundError, lambda: read_config(tmp_path, "rwkv"), "config.json")
    file.mkdir()
    refused(FileNotFoundError, lambda: read_config(tmp_path, "rwkv"), "config.json")
    file.rmdir()
    for text in (
        b"",
        b"{",
        b"\xff\xfe",
        b"[1]",
        b"[" * 100_000,
        b'{"model_type": "gpt2", "width": 3}',
        b'{"width": 3}',
        b'{"model_type": "rwkv"}',
        b'{"model_type": "rwkv", "width": null}',
        b'{"model_type": "rwkv", "width": 0}',
    ):
        file.write_bytes(text)
        refused(ValueError, lambda: read_config(tmp_path, "rwkv", sizes=("width",)))
    for text in ('"3"', "3.5", "true", "[3]"):
        file.write_text(f'{{"model_type": "rwkv", "width": {text}}}')
        refused(TypeError, lambda: read_config(tmp_path, "rwkv", sizes=("width",)), "width: ")
    file.write_text('{"model_type": "rwkv", "width": 3, "other": 1}')
    assert read_config(tmp_path, "rwkv", sizes=("width",))["width"] == 3


@pytest.mark.parametrize("read", [lambda path: read_config(path, "rwkv"), read_tensors])
def test_a_name_of_a_hub_is_no_folder(read):
    refused(FileNotFoundError, lambda: read("RWKV/rwkv-4-169m-pile"), "downloaded")
    for wrong in (None, 4, b"folder"):
        refused(TypeError, lambda wrong=wrong: read(wrong), "path: ")


def test_a_folder_without_tensors_is_refused(tmp_path):
    refused(FileNotFoundError, lambda: read_tensors(tmp_path), "model.safetensors")


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_module_is_filled_in_its_own_dtype(tensors, device):
    with torch.device(device):
        model = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(3, 1, bias=False)}).double()
    fill(model, {f"x.{name}": x.half() for name, x in tensors.items()}, "here", names=[("^", "x.")])
    for name, p in model.named_parameters():
        assert torch.equal(p, tensors[name].half().double())
        assert p.requires_grad


def test_a_filled_module_shares_nothing_with_the_file(tensors, model):
    kept = {name: x.clone() for name, x in tensors.items()}
    fill(model, tensors, "here")
    for p in model.parameters():
        p.data.zero_()
    assert all(torch.equal(tensors[name], x) for name, x in kept.items())


def test_tensors_that_do_not_fit_are_refused_and_change_nothing(tensors, model):
    before = {name: p.clone() for name, p in model.named_parameters()}
    wrong = {
        "missing": {name: x for name, x in tensors.items() if name != "a.bias"},
        "unexpected": {**tensors, "c": torch.ones(1)},
        "another shape": {**tensors, "a.weight": tensors["a.weight"].T},
        "integers": {**tensors, "a.weight": torch.ones(3, 2, dtype=torch.long)},
    }
    words = {"missing": "'a.bias'", "unexpected": "'c'", "another shape": "(2, 3)", "integers": "int64"}
    for name, each in wrong.items():
        refused(ValueError, lambda each=each: fill(model, each, "the folder"), words[name], "the folder")
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


@pytest.mark.parametrize("way", ["expanded", "named often", "packed"])
def test_a_small_file_fills_no_large_memory(tmp_path, tensors, way):
    """Numbers of which many are one in the file would be copied, each for itself."""
    file = tmp_path / "pytorch_model.bin"
    zeros = torch.zeros(10_000)
    if way == "expanded":
        torch.save({**tensors, "a.weight": zeros[:1].expand(10**9, 10**3)}, file)
    elif way == "named often":
        torch.save({f"{i}": zeros for i in range(4)}, file)
    else:
        torch.save({"a.weight": zeros}, tmp_path / "honest.bin")
        with (
            zipfile.ZipFile(tmp_path / "honest.bin") as honest,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
        ):
            for entry in honest.infolist():
                packed.writestr(entry.filename, honest.read(entry))
    refused(ValueError, lambda: read_tensors(tmp_path), "bytes", "pytorch_model.bin")


def test_numbers_with_two_names_are_read(tmp_path):
    """As embeddings and logits have them."""
    x = torch.randn(10_000)
    torch.save({"one": x, "other": x}, tmp_path / "pytorch_model.bin")
    assert all(torch.equal(x, found) for found in read_tensors(tmp_path).values())


def test_sizes_that_no_tensor_could_have_get_a_sentence(tensors):
    for make in (lambda: nn.Linear(2**40, 2**40), lambda: nn.Linear(2**62, 1)):
        refused(ValueError, lambda make=make: made_of(make, tensors, "here"), "config.json")


def test_sizes_that_only_a_config_has_take_no_memory(tensors):
    with torch.device("meta"):
        model = nn.ModuleDict({"a": nn.Linear(10**6, 10**6), "b": nn.Linear(3, 1, bias=False)})
    refused(ValueError, lambda: fill(model, tensors, "here"), "(1000000, 1000000)")
