"""Recording with one command: parts are bounded in time, do not stop one another, and what is left out is named."""

import dataclasses
import importlib
import json
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


def test_every_part_is_a_command_that_exists(record, monkeypatch, capsys):
    assert len({part.name for part in record.PARTS}) == len(record.PARTS)
    for part in record.PARTS:
        words = part.command[1:2] if part.command[0] == "seqlab" else ()
        module = "seqlab.__main__" if words else part.command[0]
        monkeypatch.setattr(sys, "argv", [module, *words, "--help"])
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(module).main()
        assert stop.value.code == 0
        said = capsys.readouterr().out
        options = [word for word in (*part.command, *(part.rehearsal or ())) if word.startswith("--")]
        options += ["--out", *["--ops"] * part.by_op]
        assert [option for option in options if option not in said] == []


def test_the_ops_of_the_benchmark_are_timed_in_one_process_with_a_file_for_each(
    record, part, monkeypatch, tmp_path, capsys
):
    code = (
        "import pathlib, sys\n"
        "words = sys.argv[1:]\n"
        "ops = words[words.index('--ops') + 1 : words.index('--out')]\n"
        "for op in ops: pathlib.Path(words[-1].replace('{op}', op)).write_text('{}')"
    )
    by_op = dataclasses.replace(part("bench", code), by_op=True)
    ended, entries = recorded(record, monkeypatch, tmp_path, (by_op,), "--ops", "linear_scan", "discretize")
    assert ended == 0
    names = [path.name for path in tmp_path.glob("*.json") if not path.name.startswith("recording")]
    assert sorted(names) == sorted(entries["bench"]["files"])
    assert {name.split("_")[0] for name in names} == {"linear", "discretize"}
    assert all(name in capsys.readouterr().out for name in names[:1])


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
