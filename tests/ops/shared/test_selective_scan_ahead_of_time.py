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


NAMES = ("forward_kernel", "flow_kernel", "backward_kernel")


def compiled_for(batch, length, width, with_state=False, of_A=torch.float32):
    """The assembly of the kernels launched last for such a shape, with all that Mamba asks for."""
    from launches import recorded

    with recorded() as launches:
        u, delta, z = torch.empty(3, batch, length, width, dtype=torch.bfloat16).requires_grad_()
        weights = of_A if of_A.is_complex else torch.bfloat16
        B, C = torch.empty(2, batch, length, MODES, dtype=weights).requires_grad_()
        A = torch.empty(width, MODES, dtype=of_A).requires_grad_()
        D, bias = torch.empty(2, width).requires_grad_()
        state = torch.empty(batch, width, MODES).requires_grad_() if with_state else None
        y, last = ops.selective_scan(u, delta, A, B, C, D, z, bias, True, state)
        sent = (
            ((y, last), (torch.empty_like(y), torch.empty_like(last)))
            if with_state
            else (y, torch.empty_like(y))
        )
        inputs = [x for x in (u, delta, A, B, C, D, z, bias, state) if x is not None]
        torch.autograd.grad(sent[0], inputs, sent[1])
    found = {launch.name: launch for launch in launches}
    return {name: found[name].compile(90).asm["sass"] for name in NAMES if name in found}


@pytest.fixture(scope="module")
def compiled():
    """At the chapter's first and third shape."""
    return compiled_for(8, 2048, 2048) | compiled_for(64, 512, 1024)


def test_sums_over_states_take_no_shuffles_in_any_loop():
    """A lane has all of a channel's states, whatever a program reads before its loops: the states before chunks, or
    that which is handed in."""
    from assembly import inner_loops, instructions_of

    for text in (*compiled_for(8, 2048, 2048).values(), *compiled_for(8, 2048, 2048, True).values()):
        for begin, end in inner_loops(text):
            assert not any("SHFL" in each for each in instructions_of(text)[begin:end])


def loops(assembly):
    """Exponentials, reciprocals and all instructions of each loop that has no other inside."""
    from assembly import inner_loops, instructions_of

    instructions = instructions_of(assembly)
    return [
        (*(sum(word in each for each in instructions[a:b]) for word in ("MUFU.EX2", "MUFU.RCP")), b - a)
        for a, b in inner_loops(assembly)
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


def test_sixteen_warps_of_a_kernel_fit_onto_an_sm_and_eight_of_the_backward_one(compiled):
    most = {name: max(map(int, re.findall(r"\bR(\d+)\b", text))) for name, text in compiled.items()}
    assert most["forward_kernel"] < 128
    assert most["flow_kernel"] < 128
    assert 128 <= most["backward_kernel"] < 255


def test_a_backward_warp_spills_little(compiled):
    moved = len(re.findall(r"\b(LDL|STL)\b", compiled["backward_kernel"]))
    assert 0 < moved < 0.05 * compiled["backward_kernel"].count("\n")


def test_sums_over_complex_states_wait_for_no_other_warp():
    """Each would cross two barriers if states lay in several. Those over channels do, two in a step."""
    from assembly import inner_loops, instructions_of

    for name, text in compiled_for(8, 2048, 2048, of_A=torch.complex64).items():
        found = inner_loops(text)
        assert found, name
        for begin, end in found:
            barriers = sum("BAR" in each for each in instructions_of(text)[begin:end])
            assert barriers <= (4 if name == "backward_kernel" else 0), name
