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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "unknown"), "invalid choice: 'unknown'"),
        (("--device", "tpu"), "--device: expected cpu, or cuda where PyTorch sees a GPU, got 'tpu'"),
        (("--device", "meta"), "--device: expected cpu, or cuda where PyTorch sees a GPU, got 'meta'"),
        (("--seed", "99999999999999999999"), "--seed: expected a whole number below 2^63, got '9999999"),
        (("--seed", "-1"), "--seed: expected a whole number below 2^63, got '-1'"),
        (("--json", "/nowhere/run.json"), "--json: expected a file in a folder that exists, got '/nowhere"),
        (("--json", "."), "--json: expected a file in a folder that exists, got '.'"),
    ],
)
def test_bad_arguments_are_refused_before_the_training(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        run("--task", "delay", *words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_sentence(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--task", "delay", "--device", "cuda")
    assert stop.value.code == 2
    assert "expected cpu, or cuda where PyTorch sees a GPU, got 'cuda'" in capsys.readouterr().err


SMALL = ("--task", "delay", "--width", "4", "--batch-size", "4", "--device", "cpu")


def test_a_run_that_diverges_exits_with_one_and_leaves_json(tmp_path):
    path = tmp_path / "run.json"
    assert run(*SMALL, "--layer", "gru", "--steps", "40", "--lr", "1e38", "--json", str(path)) == 1
    text = path.read_text()
    history = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))["history"]
    assert history["losses"][-1] is None
    assert "the loss became" in history["stopped"]


def test_an_interrupted_run_leaves_its_record(tmp_path, monkeypatch, capsys):
    class Interrupting(command.RNN):
        """The interrupt key is pressed while the third batch is computed."""

        seen = 0

        def forward(self, *arguments):
            self.seen += 1
            if self.seen == 3:
                raise KeyboardInterrupt
            return super().forward(*arguments)

    monkeypatch.setitem(command.LAYERS, "rnn", lambda width: Interrupting(width, width))
    path = tmp_path / "run.json"
    assert run(*SMALL, "--layer", "rnn", "--depth", "1", "--steps", "50", "--json", str(path)) == 130
    assert "interrupted after 2 of 50 steps" in capsys.readouterr().out
    history = json.loads(path.read_text())["history"]
    assert len(history["losses"]) == 2
    assert history["stopped"] == "interrupted after 2 of 50 steps"


def test_a_record_that_cannot_be_written_is_printed(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(command.Path, "write_text", full)
    assert run(*SMALL, "--steps", "2", "--json", str(tmp_path / "run.json")) == 2
    said = capsys.readouterr()
    assert "json: no space left; the record follows on stdout" in said.err
    assert len(json.loads(said.out[said.out.index("{") :])["history"]["losses"]) == 2
