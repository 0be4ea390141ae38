"""`python -m seqlab train` from its arguments to its record."""

import argparse
import json

import pytest

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


@pytest.mark.parametrize("task", ["digits", "copying", "adding"])
def test_tasks_of_every_kind_fit_the_model(task):
    assert run("--task", task, "--width", "8", "--depth", "1", "--steps", "2", "--device", "cpu") == 0


def test_bad_input_is_a_sentence_and_an_exit_code(capsys):
    assert run("--task", "delay", "--steps", "0") == 2
    assert "steps: expected at least 1, got 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("--task", "unknown")
