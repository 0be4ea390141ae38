"""Each check accepts its solution and no planted wrong answer; chapters, solutions, stubs and checks are in step."""

import functools
import re
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import make_stubs
import nbformat
import numpy as np
import pytest
import torch

import seqlab
from seqlab import exercises, ops
from seqlab.chapters import CHAPTERS
from seqlab.ops.backends import has_triton

ROOT = Path(__file__).parents[2]
KINDS = {"Predict": 3, "Derive": 2, "Break it": 1, "Kernel": 1, "Open": 1}
NOTEBOOKS = {n: nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", 4) for n, stem in CHAPTERS.items()}
SOLUTIONS = {
    number: cell.source
    for notebook in NOTEBOOKS.values()
    for number, cell in make_stubs.solutions(notebook).items()
}
CHECKS = exercises.checks()
WRONG = {
    number: answers
    for file in sorted(Path(__file__).parent.glob("wrong_answers_*.py"))
    for number, answers in import_module(file.stem).WRONG.items()
}
every_check = pytest.mark.parametrize("number", CHECKS)
every_chapter = pytest.mark.parametrize("chapter", CHAPTERS)
by_kernel = pytest.mark.skipif(not has_triton(), reason="Triton exists for Linux only")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(cell) -> the verdict on the answer that the cell checks."""
    folder = tmp_path_factory.mktemp("cells")

    def run(text):
        verdicts = []
        names = {"np": np, "torch": torch, "ops": ops, "has_triton": has_triton, "HAS_TRITON": has_triton()}
        names["seqlab"] = SimpleNamespace(check=lambda *answer: verdicts.append(seqlab.check(*answer)))
        if has_triton():
            names |= {"triton": import_module("triton"), "tl": import_module("triton.language")}
        file = folder / f"cell_{time.perf_counter_ns()}.py"  # Triton reads a kernel's source
        file.write_text(text, "utf8")
        exec(compile(text, file, "exec"), names)
        return verdicts[-1]

    return run


@pytest.fixture(scope="module")
def verdict_on(run):
    """The same, which looks again at no cell that it has seen."""
    return functools.cache(run)


@by_kernel
@every_check
def test_the_solution_is_right(number, verdict_on):
    verdict = verdict_on(SOLUTIONS[number])
    assert verdict, verdict
    assert repr(verdict) == f"Exercise {number}: right."


@by_kernel
@every_check
def test_the_stub_is_not_solved_yet(number, run):
    assert repr(run(make_stubs.stub(SOLUTIONS[number]))) == f"Exercise {number}: not solved yet."


@by_kernel
@pytest.mark.parametrize(
    ("number", "right", "wrong", "words"),
    [(number, *answer) for number, answers in WRONG.items() for answer in answers],
)
def test_a_wrong_answer_is_rejected_for_its_reason(number, right, wrong, words, verdict_on):
    assert right in SOLUTIONS[number], "the solution no longer has these lines"
    verdict = verdict_on(SOLUTIONS[number].replace(right, wrong))
    assert not verdict
    assert words in verdict.sentence


@by_kernel
@every_check
def test_wrong_answers_are_several_and_each_is_told_its_own(number, verdict_on):
    told = {verdict_on(SOLUTIONS[number].replace(right, wrong)).sentence for right, wrong, _ in WRONG[number]}
    assert len(told) == len(WRONG[number]) >= 3


@by_kernel
@pytest.mark.timing
@every_check
def test_a_check_takes_two_seconds_at_most(number, run):
    run(SOLUTIONS[number])  # imports
    start = time.perf_counter()
    run(SOLUTIONS[number])
    assert time.perf_counter() - start < 2


@by_kernel
@pytest.mark.parametrize(
    "number", [number for number in CHECKS if "@triton.jit" in SOLUTIONS.get(number, "")]
)
def test_the_kernel_of_a_solution_compiles_for_old_and_new_gpus(number, run, monkeypatch):
    from seqlab.ops import interpreter

    monkeypatch.syspath_prepend(ROOT / "tests" / "ops" / "shared")
    seen, launches, runner = import_module("launches").seen, [], interpreter.runner

    class Recorded:
        def __init__(self, kernel, like):
            self.kernel, self.run = kernel, runner(kernel, like)

        def __getitem__(self, grid):
            def launch(*arguments, **constants):
                launches.append(seen(self.kernel, arguments, dict(constants)))
                self.run[grid](*arguments, **constants)

            return launch

    monkeypatch.setattr(interpreter, "runner", Recorded)
    assert run(SOLUTIONS[number])
    for capability in (75, 90):
        launches[0].compile(capability)


def test_checks_and_solutions_belong_together():
    missing = sorted(SOLUTIONS.keys() - CHECKS.keys())
    assert not missing, f"seqlab/exercises/chapter_*.py: CHECKS lacks {missing}"
    missing = sorted(CHECKS.keys() - SOLUTIONS.keys())
    assert not missing, f"notebooks: no cell has # BEGIN SOLUTION and checks {missing}"
    missing = sorted(CHECKS.keys() - WRONG.keys())
    assert not missing, f"tests/exercises/wrong_answers_*.py: WRONG lacks {missing}"


@every_chapter
def test_stubs_are_made_from_their_solutions(chapter):
    stored = [(cell.id, cell.source) for cell in NOTEBOOKS[chapter].cells]
    notebook = nbformat.from_dict(NOTEBOOKS[chapter])
    make_stubs.write_stubs(notebook)
    written = [(cell.id, cell.source) for cell in notebook.cells]
    assert stored == written, f"notebooks/{CHAPTERS[chapter]}.ipynb: run make stubs"


@every_chapter
def test_exercises_are_of_every_kind(chapter):
    prose = "\n".join(cell.source for cell in NOTEBOOKS[chapter].cells if cell.cell_type == "markdown")
    titles = re.findall(r"^\*\*Exercise (\S+)\.\*\*(?: \*([^.:*]+)[.:])?", prose, re.MULTILINE)
    assert [number for number, _ in titles] == [f"{chapter}.{n + 1}" for n in range(len(titles))]
    few = [f"{kind} (at least {n})" for kind, n in (Counter(KINDS) - Counter(k for _, k in titles)).items()]
    assert not few, f"chapter {chapter}: too few exercises that begin with {few}"
    odd = [number for number, kind in titles if kind not in KINDS]
    assert not odd, f"chapter {chapter}: {odd} do not begin with one of {list(KINDS)}"
    unchecked = [number for number, kind in titles if kind == "Kernel" and number not in CHECKS]
    assert not unchecked, f"seqlab/exercises/chapter_{chapter}.py: CHECKS lacks the kernel of {unchecked}"


@pytest.mark.parametrize(
    "cell",
    ["x = 1", "# BEGIN SOLUTION\nx = 1", "x = 1\n# END SOLUTION", "# BEGIN SOLUTION\n    # END SOLUTION"],
)
def test_a_mark_without_its_other_one_is_refused(cell):
    with pytest.raises(ValueError, match="expected # BEGIN SOLUTION and # END SOLUTION"):
        make_stubs.stub(cell)
