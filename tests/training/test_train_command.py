"""`python -m seqlab train` from its arguments to its record."""

import argparse
import json

import pytest
import torch

from seqlab.training import command


def run(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


@pytest.mark.parametrize("layer", command.LAYERS)
def test_every_layer_trains_and_leaves_a_record(layer, tmp_path, capsys):
    path = tmp_path / "run.json"
    size = ["--width", "8", "--depth", "1", "--steps", "3", "--batch-size", "4"]
    assert run("--task", "delay", "--layer", layer, *size, "--device", "cpu", "--json", str(path)) == 0
    assert f"{layer} on delay of 16 steps: mean squared error" in capsys.readouterr().out
    record = json.loads(path.read_text())
    assert record["arguments"]["layer"] == layer
    assert len(record["history"]["losses"]) == 3


@pytest.mark.parametrize("layer", command.CELLS)
@pytest.mark.parametrize("task", ["digits", "japanese-vowels", "delay"])
def test_a_cell_stands_alone_on_tasks_of_every_kind(task, layer, tmp_path):
    path = tmp_path / "run.json"
    size = ["--width", "4", "--steps", "2", "--batch-size", "4", "--device", "cpu"]
    assert run("--task", task, "--layer", layer, *size, "--json", str(path)) == 0
    record = json.loads(path.read_text())
    assert record["arguments"]["depth"] is None
    assert len(record["history"]["losses"]) == 2


def test_a_cell_has_no_depth_and_a_stack_has_two_blocks_by_default(tmp_path, capsys):
    assert run("--task", "delay", "--layer", "hippo", "--depth", "3") == 2
    assert "depth: expected none with hippo, which stands alone, got 3" in capsys.readouterr().err
    path = tmp_path / "run.json"
    size = ["--width", "4", "--steps", "1", "--batch-size", "4", "--device", "cpu"]
    assert run("--task", "delay", *size, "--json", str(path)) == 0
    assert json.loads(path.read_text())["arguments"]["depth"] == 2


def test_permuted_digits_are_the_digits_with_their_pixels_in_another_order():
    in_order, permuted = (command.TASKS[name]().test()[0] for name in ("mnist14", "pmnist14"))
    assert not torch.equal(in_order, permuted)
    assert torch.equal(in_order.sort(dim=1).values, permuted.sort(dim=1).values)


@pytest.mark.parametrize("task", ["digits", "japanese-vowels", "copying", "adding"])
def test_tasks_of_every_kind_fit_the_model(task):
    assert run("--task", task, "--width", "8", "--depth", "1", "--steps", "2", "--device", "cpu") == 0


def test_bad_input_is_a_sentence_and_an_exit_code(capsys):
    assert run("--task", "delay", "--steps", "0") == 2
    assert "steps: expected at least 1, got 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--task", "unknown")
