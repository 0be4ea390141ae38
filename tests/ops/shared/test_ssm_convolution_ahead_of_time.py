"""What the chunked convolution's speed rests on, counted where its kernels are compiled for an H100."""

import pytest
import torch

from seqlab import ops
from seqlab.ops.backends import has_triton

pytestmark = pytest.mark.skipif(not has_triton(), reason="no Triton")


@pytest.fixture(scope="module", params=(torch.float32, torch.bfloat16), ids=("float32", "bfloat16"))
def compiled(request):
    """The assembly of the kernels, of each the one launched last, that forward and backward passes take."""
    from launches import recorded

    with recorded() as launches:
        u = torch.empty(8, 2048, 1024, dtype=request.param).requires_grad_()
        system = [torch.empty(1024, 32, dtype=torch.complex64).requires_grad_() for _ in range(3)]
        y, _ = ops.ssm_convolution(*system, u)
        torch.autograd.grad(y, [u, *system], torch.empty_like(y))
    found = {launch.name: launch for launch in launches}
    names = "transpose_kernel", "walk_kernel", "correlation_kernel"
    return {name: found[name].compile(90).asm["sass"] for name in names}


def test_transpositions_move_sixteen_bytes_at_a_time(compiled):
    from assembly import instructions_of

    moves = [each for each in instructions_of(compiled["transpose_kernel"]) if "LDG" in each or "STG" in each]
    assert moves
    assert all(".128" in each for each in moves)


@pytest.mark.parametrize("name", ["walk_kernel", "correlation_kernel"])
def test_walks_hardly_move_numbers_between_registers(compiled, name):
    """They did so for each operand of a product, where the compiler laid float32 numbers out for 16 bits."""
    from assembly import inner_loops, instructions_of

    (loop,) = inner_loops(compiled[name])
    inside = instructions_of(compiled[name])[slice(*loop)]
    assert any("HMMA" in each for each in inside)
    moves = [each for each in inside if "MOV" in each.split()[0]]
    assert len(moves) < len(inside) / 10
