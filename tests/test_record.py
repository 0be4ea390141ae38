"""Recording with one command: parts are bounded in time, do not stop one another, and what is left out is named."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import seqlab

ROOT = Path(seqlab.__file__).parent.parent


@pytest.fixture(autouse=True)
def record(monkeypatch):
    """The module, which lies beside the package and is not installed with it."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import record

    return record


@pytest.fixture
def part(record, monkeypatch, tmp_path):
    """part(name, code) is a part that runs a module with this code."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    (tmp_path / "modules").mkdir()

    def write(name, code, seconds=60):
        (tmp_path / "modules" / f"{name}.py").write_text(code)
        return record.Part(name, seconds, (name,))

    return write


def recorded(record, monkeypatch, tmp_path, parts, *options):
    monkeypatch.setattr(record, "PARTS", parts)
    monkeypatch.setattr(sys, "argv", ["record", "--out", str(tmp_path), "--rehearse", *options])
    code = record.main()
    (file,) = tmp_path.glob("recording_*.json")
    return code, {entry["part"]: entry for entry in json.loads(file.read_text())["parts"]}


@pytest.mark.slow
def test_every_part_is_a_command_that_exists(record):
    assert len({part.name for part in record.PARTS}) == len(record.PARTS)
    for part in record.PARTS:
        assert importlib.util.find_spec(part.command[0]) is not None
        asked = [sys.executable, "-m", *part.command[: 1 + (part.command[0] == "seqlab")], "--help"]
        said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        options = [word for word in (*part.command, *(part.rehearsal or ())) if word.startswith("--")]
        assert [option for option in ("--out", *options) if option not in said.stdout] == []


def test_a_part_that_fails_does_not_stop_the_next(record, part, monkeypatch, tmp_path, capsys):
    parts = (part("one", "1 / 0"), part("two", "print('hello')"))
    code, entries = recorded(record, monkeypatch, tmp_path, parts)
    assert code == 1
    assert entries["one"]["outcome"] == "failed with exit code 1"
    assert "ZeroDivisionError: division by zero" in entries["one"]["last_lines"]
    assert entries["two"]["outcome"] == "done"
    assert "hello" in entries["two"]["last_lines"]
    assert capsys.readouterr().out.rstrip().endswith("--parts one")


@pytest.mark.timing
def test_a_part_is_stopped_at_its_limit_with_the_processes_it_started(record, part, monkeypatch, tmp_path):
    slow = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    code, entries = recorded(record, monkeypatch, tmp_path, (part("slow", slow, seconds=2),))
    assert code == 1
    assert entries["slow"]["outcome"] == "was not done after 2 s"
    assert entries["slow"]["seconds"] < 20


def test_when_no_time_is_left_parts_are_not_begun(record, part, monkeypatch, tmp_path):
    parts = (part("one", "1"), part("two", "1"))
    code, entries = recorded(record, monkeypatch, tmp_path, parts, "--seconds", "0")
    assert code == 1
    assert {entry["outcome"] for entry in entries.values()} == {"no time was left"}


def test_only_the_parts_asked_for_run(record, part, monkeypatch, tmp_path):
    parts = (part("one", "1"), part("two", "1"))
    code, entries = recorded(record, monkeypatch, tmp_path, parts, "--parts", "two")
    assert code == 0
    assert list(entries) == ["two"]


def test_a_rehearsal_is_no_result(record, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["record", "--rehearse", "--out", str(ROOT / "benchmarks" / "results")])
    with pytest.raises(SystemExit):
        record.main()
    assert "a rehearsal is no result" in capsys.readouterr().err


def test_without_a_gpu_it_says_so(record, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["record", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        record.main()
    assert "there is no CUDA GPU here" in capsys.readouterr().err
