"""The command line and the package's front door."""

import subprocess
import sys

import pytest

import seqlab
from seqlab.__main__ import main


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_doctor_from_the_terminal():
    done = python("-m", "seqlab", "doctor")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("command", ["doctor", "verify", "bench", "train"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"python -m seqlab {command}" in capsys.readouterr().out


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for command in ("doctor", "verify", "bench", "train"):
        assert command in printed


@pytest.mark.parametrize("arguments", [[], ["brew"], ["verify", "--ops", "scam"], ["bench", "--ops", "scam"]])
def test_bad_arguments_exit_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: python -m seqlab" in capsys.readouterr().err


def test_an_interrupted_command_says_so_and_exits_as_shells_expect(monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("seqlab.verify.command.run", interrupt)
    assert main(["verify"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, seqlab; "
        "print([name for name in ('torch', 'triton', 'matplotlib', 'IPython') if name in sys.modules])"
    )
    assert python("-c", code).stdout.strip() == "[]"


def test_computes_and_trains_without_triton_matplotlib_and_ipython():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('triton', 'matplotlib', 'IPython')))\n"
        "import torch, seqlab\n"
        "h, last = seqlab.ops.linear_scan(torch.full((2,), 0.5), torch.ones(1, 3, 2))\n"
        "history = seqlab.training.train(torch.nn.Linear(1, 1), seqlab.tasks.delay(length=8, lag=2), steps=2)\n"
        "print(last.tolist(), len(history.losses))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[1.75, 1.75]] 2"


def test_subpackages_are_found_when_named():
    assert seqlab.ops.linear_scan is not None
    assert seqlab.__version__
    with pytest.raises(AttributeError, match="module 'seqlab' has no attribute 'scam'"):
        seqlab.scam  # noqa: B018
