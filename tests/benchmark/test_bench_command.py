"""`python -m seqlab bench`: a result that is written as it grows, sentences for mistakes."""

import json
import subprocess
import sys

import pytest

from seqlab.__main__ import main
from seqlab.benchmark import command

QUICK = ["bench", "--quick", "--ops", "linear_scan"]


@pytest.mark.usefixtures("brief")
def test_the_result_is_written_and_printed(tmp_path, capsys):
    file = tmp_path / "result.json"
    assert main([*QUICK, "--out", str(file)]) == 0
    assert json.loads(file.read_text())["rows"]
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    printed = capsys.readouterr().out
    assert "There is no CUDA GPU here" in printed
    assert "python -m seqlab bench --peers benchmarks.peers" in printed
    assert "python loop" in printed


@pytest.mark.usefixtures("brief")
def test_peers_take_part_where_they_are_named(capsys):
    assert main([*QUICK, "--peers", "benchmarks.peers"]) == 0
    printed = capsys.readouterr().out
    assert "absent (needs a CUDA GPU): accelerated-scan" in printed
    assert "--peers benchmarks.peers" not in printed


@pytest.mark.usefixtures("brief")
def test_a_file_for_each_op(tmp_path):
    rows = [{"op": op, "number": number} for number, op in enumerate(["one", "two", "one"])]
    command.write({"device": "a CPU", "rows": rows}, tmp_path / "{op}_here.json")
    written = {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert {name: [row["number"] for row in result["rows"]] for name, result in written.items()} == {
        "one_here.json": [0, 2],
        "two_here.json": [1],
    }
    assert {result["device"] for result in written.values()} == {"a CPU"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "/nowhere/at/all.json"], "expected a file in a folder that can be written to"),
        (["--out", "/"], "expected a file in a folder that can be written to, got '/'"),
        (["--peers", "no.such.module"], "expected a module with a list PEERS, got no.such.module"),
        (["--peers", "json"], "expected a module with a list PEERS, got json"),
        (["--only", "the fastest"], "only: expected one of seqlab, portable"),
    ],
)
@pytest.mark.usefixtures("brief")
def test_a_mistake_is_answered_before_anything_is_measured(words, said, monkeypatch, capsys):
    monkeypatch.setattr(command, "compare", lambda *_: pytest.fail("it was measured"))
    try:
        code = main([*QUICK, *words])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("brief")
def test_an_interrupted_benchmark_keeps_what_it_has(tmp_path, monkeypatch, capsys):
    from seqlab.benchmark import comparison

    measure, calls = comparison.measure, []

    def once(*arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(arguments)
        return measure(*arguments)

    monkeypatch.setattr(comparison, "measure", once)
    file = tmp_path / "result.json"
    assert main([*QUICK, "--out", str(file)]) == 130
    rows = json.loads(file.read_text())["rows"]
    assert {row["variant"] for row in rows} == {"real varying"}
    printed = capsys.readouterr()
    assert "real varying" in printed.out
    assert "Interrupted" in printed.err


def test_the_package_imports_nothing_of_the_repository_around_it(tmp_path):
    """As an installed wheel runs: nothing beside the package can be imported."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.modules['benchmarks'] = None\n"
        "import seqlab.benchmark.command, seqlab.benchmark.losses\n"
        "print([name for name in sys.modules if name.startswith('benchmarks.')])"
    )
    root = str(command.Path(command.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code, root], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
