"""What chapter 10 counts in the selective scan's kernels, counted where they are compiled for an H100."""

import ast
import json
import re
from pathlib import Path

import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton

pytestmark = pytest.mark.skipif(not has_triton(), reason="no Triton")
NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "10_mamba.ipynb"
MODES = 16


def told():
    """Of each loop that the chapter names the exponentials, reciprocals and all instructions."""
    cells = json.loads(NOTEBOOK.read_text("utf8"))["cells"]
    (source,) = (s for cell in cells if (s := "".join(cell["source"])).count("\nCOMPILED = {"))
    (counts,) = (node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    return ast.literal_eval(counts.value)


@pytest.fixture(scope="module")
def compiled():
    """The assembly of the kernels at the chapter's first and third shape, with all that Mamba asks for."""
    from launches import recorded

    found = {}
    for batch, length, width in ((8, 2048, 2048), (64, 512, 1024)):
        with recorded() as launches:
            u, delta, z = torch.empty(3, batch, length, width, dtype=torch.bfloat16).requires_grad_()
            B, C = torch.empty(2, batch, length, MODES, dtype=torch.bfloat16).requires_grad_()
            A, (D, bias) = torch.empty(width, MODES).requires_grad_(), torch.empty(2, width).requires_grad_()
            inputs = (u, delta, A, B, C, D, z, bias)
            y, _ = ops.selective_scan(*inputs, delta_softplus=True)
            torch.autograd.grad(y, inputs, torch.empty_like(y))
        found |= {launch.name: launch for launch in launches}
    names = ("forward_kernel", "flow_kernel", "backward_kernel")
    return {name: found[name].compile(90).asm["sass"] for name in names}


def loops(assembly):
    """Exponentials, reciprocals and all instructions of each loop that has no other inside."""
    labels, instructions, found = {}, [], []
    for line in assembly.strip().splitlines()[1:]:
        if line.endswith(":"):
            labels[line[:-1]] = len(instructions)
            continue
        instructions.append(line.split("\t")[1])
        jump = re.search(r"BRA (\w+);", line)
        if jump and jump[1] in labels and labels[jump[1]] < len(instructions) - 1:
            found.append((labels[jump[1]], len(instructions)))
    inner = [a for a in found if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in found)]
    return [
        (*(sum(word in each for each in instructions[a:b]) for word in ("MUFU.EX2", "MUFU.RCP")), b - a)
        for a, b in inner
    ]


@pytest.mark.parametrize(
    ("kernel", "names"),
    [("forward_kernel", ["forward"]), ("flow_kernel", ["flow"]), ("backward_kernel", ["again", "back"])],
)
def test_loops_take_what_the_chapter_says(compiled, kernel, names):
    found = loops(compiled[kernel])
    assert len(found) == len(names)
    for name, counted in zip(names, found, strict=True):
        *special, every = told()[name]
        assert counted[:2] == tuple(special), name
        assert counted[2] == pytest.approx(every, rel=0.1), name  # compilers differ


def test_sixteen_warps_of_the_forward_kernel_fit_onto_an_sm_and_eight_of_the_backward_one(compiled):
    most = {name: max(map(int, re.findall(r"\bR(\d+)\b", text))) for name, text in compiled.items()}
    assert most["forward_kernel"] < 128
    assert 128 <= most["backward_kernel"] < 255


def test_a_backward_warp_spills_little(compiled):
    moved = len(re.findall(r"\b(LDL|STL)\b", compiled["backward_kernel"]))
    assert 0 < moved < 0.05 * compiled["backward_kernel"].count("\n")
